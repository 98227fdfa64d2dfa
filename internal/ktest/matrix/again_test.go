package matrix

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExcuse(t *testing.T) {
	o := &Outcome{Results: []Result{
		{Kernel: "5.10", Package: "skep/a", Test: "TestLate", Outcome: Fail},
		{Kernel: "5.10", Package: "skep/a", Test: "TestLate/part", Outcome: Fail},
		{Kernel: "5.10", Package: "skep/a", Test: "TestLate/other", Outcome: Pass},
		{Kernel: "5.10", Package: "skep/a", Test: "TestLater", Outcome: Fail},
		{Kernel: "6.1", Package: "skep/a", Test: "TestLate", Outcome: Fail},
	}}
	w := &workspace{outcome: o}
	failed := w.failures()
	if len(failed) != 3 {
		t.Fatalf("%d whole tests failed, not 3: %v", len(failed), failed)
	}
	o.excuse(failed, []Result{
		{Kernel: "5.10", Package: "skep/a", Test: "TestLate", Outcome: Pass},
		{Kernel: "5.10", Package: "skep/a", Test: "TestLater", Outcome: Skip},
		{Kernel: "6.1", Package: "skep/a", Test: "TestLate", Outcome: Fail},
	})
	var got []Verdict
	for _, r := range o.Results {
		got = append(got, r.Outcome)
	}
	if diff := cmp.Diff([]Verdict{Again, Again, Pass, Fail, Fail}, got); diff != "" {
		t.Error(diff)
	}
	if !o.Failed(false) {
		t.Error("what failed twice is no failure")
	}
}

// TestNoSecondTry is for what running a test once more would not tell.
func TestNoSecondTry(t *testing.T) {
	for _, test := range []string{"(build)", "(boot)", "(package)"} {
		w := &workspace{outcome: &Outcome{Results: []Result{{Test: "TestX", Outcome: Fail}, {Test: test, Outcome: Fail}}}}
		if failed := w.failures(); len(failed) > 0 {
			t.Errorf("%s: run again: %v", test, failed)
		}
	}
}
