package matrix

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest/boot"
)

func TestExcuse(t *testing.T) {
	first := func() []Result {
		return []Result{
			{Kernel: "5.10", Package: "skep/a", Test: "TestLate", Outcome: Fail},
			{Kernel: "5.10", Package: "skep/a", Test: "TestLate/part", Outcome: Fail},
			{Kernel: "5.10", Package: "skep/a", Test: "TestGood", Outcome: Pass},
			{Kernel: "5.10", Package: "skep/b", Test: "TestLate", Outcome: Fail},
			{Kernel: "6.1", Package: "skep/a", Test: "TestLate", Outcome: Fail},
		}
	}
	again := func(results ...Result) *Outcome {
		for i := range results {
			results[i].Kernel = "5.10"
			if results[i].Package == "" {
				results[i].Package = "skep/a"
			}
		}
		return &Outcome{Results: results}
	}
	late, part := Result{Test: "TestLate", Outcome: Pass}, Result{Test: "TestLate/part", Outcome: Pass}
	good := Result{Test: "TestGood", Outcome: Pass}
	for _, c := range []struct {
		name   string
		second *Outcome
		want   []Verdict
	}{
		{name: "all is well", second: again(late, part, good), want: []Verdict{Again, Again, Pass, Fail, Fail}},
		{name: "another package's", second: again(Result{Package: "skep/b", Test: "TestLate", Outcome: Pass}, part, good), want: []Verdict{Fail, Fail, Pass, Fail, Fail}},
		{name: "a part is skipped", second: again(late, Result{Test: "TestLate/part", Outcome: Skip}, good), want: []Verdict{Fail, Fail, Pass, Fail, Fail}},
		{name: "a part is missing", second: again(late, good), want: []Verdict{Fail, Fail, Pass, Fail, Fail}},
		{name: "another one fails", second: again(late, part, Result{Test: "TestGood", Outcome: Fail}), want: []Verdict{Fail, Fail, Fail, Fail, Fail}},
		{name: "something is left behind", second: again(late, part, good, Result{Test: "(package)", Outcome: Fail}), want: []Verdict{Fail, Fail, Pass, Fail, Fail, Fail}},
		{name: "the kernel panics", second: &Outcome{Results: again(late, part, good).Results, Machines: map[string][]boot.Report{"5.10": {{}}}}, want: []Verdict{Fail, Fail, Pass, Fail, Fail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &Outcome{Results: first()}
			o.excuse("5.10", "skep/a", c.second)
			var got []Verdict
			for _, r := range o.Results {
				got = append(got, r.Outcome)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoSecondTry is for what running a package once more would not tell.
func TestNoSecondTry(t *testing.T) {
	failure := Result{Kernel: "5.10", Test: "TestX", Outcome: Fail}
	for _, c := range []struct {
		name    string
		outcome Outcome
	}{
		{"build", Outcome{Results: []Result{failure, {Test: "(build)", Outcome: Fail}}}},
		{"boot", Outcome{Results: []Result{failure, {Test: "(boot)", Outcome: Fail}}}},
		{"left behind", Outcome{Results: []Result{failure, {Test: "(package)", Outcome: Fail}}}},
		{"panic of the test", Outcome{Results: []Result{failure, {Test: "TestY", Outcome: Fail, Aborted: true}}}},
		{"panic of the kernel", Outcome{Results: []Result{failure}, Machines: map[string][]boot.Report{"5.10": {{}}}}},
	} {
		w := &workspace{outcome: &c.outcome}
		if failed := w.failures(); len(failed) > 0 {
			t.Errorf("%s: run again: %v", c.name, failed)
		}
	}
	w := &workspace{outcome: &Outcome{Results: []Result{failure}}}
	if failed := w.failures(); len(failed) != 1 {
		t.Errorf("not run again: %v", failed)
	}
}
