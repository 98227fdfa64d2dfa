package matrix

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPrint(t *testing.T) {
	skip := func(reason string) string { return "    a_test.go:1: ktest: " + reason + "\n" }
	o := &Outcome{
		Kernels: []string{"5.10", "6.12", "newest", "6.12+lockdown=confidentiality"},
		Results: []Result{
			{Kernel: "5.10", Package: "skep/b", Test: "TestOne", Outcome: Pass},
			{Kernel: "6.12", Package: "skep/b", Test: "TestOne", Outcome: Pass},
			{Kernel: "6.12+lockdown=confidentiality", Package: "skep/b", Test: "TestOne", Outcome: Skip, Output: skip("not meant")},
			{Kernel: "5.10", Package: "skep/a", Test: "TestParts", Outcome: Fail, Output: "outer\n"},
			{Kernel: "5.10", Package: "skep/a", Test: "TestParts/good", Outcome: Pass},
			{Kernel: "5.10", Package: "skep/a", Test: "TestParts/bad", Outcome: Fail, Output: "got 1\nwant 2\n"},
			{Kernel: "6.12", Package: "skep/a", Test: "TestParts", Outcome: Pass},
			{Kernel: "6.12", Package: "skep/a", Test: "TestParts/good", Outcome: Pass},
			{Kernel: "6.12", Package: "skep/a", Test: "TestParts/bad", Outcome: Pass},
			{Kernel: "6.12", Package: "skep/a", Test: "TestSlow", Outcome: Again, Output: "too late\n"},
			{Kernel: "5.10", Package: "skep/a", Test: "TestMulti", Outcome: Skip, Output: skip("kprobe_multi: none")},
			{Kernel: "6.12", Package: "skep/a", Test: "TestMulti", Outcome: Skip, Output: skip("kprobe_multi: none")},
		},
		NotRun:   map[string]string{"newest": "no Debian archive"},
		Releases: map[string]string{"5.10": "5.10.0-46-cloud-amd64"},
		Times:    map[string]time.Duration{"5.10": 12345 * time.Millisecond},
	}
	var b strings.Builder
	o.Print(&b)
	const want = `                    5.10     6.12   newest  6.12+lockdown
skep/a
  TestMulti       skip 1   skip 1        -              -
  TestParts         FAIL     pass        -              -
  TestParts/bad     FAIL     pass        -              -
  TestSlow             -      2nd        -              -
skep/b
  TestOne           pass     pass        -         skip 2

skip 1: kprobe_multi: none
skip 2: not meant
5.10 is Linux 5.10.0-46-cloud-amd64, 12 s
kernel newest was not run: no Debian archive
skep/a TestSlow on 6.12 passed only the second time

--- FAIL on 5.10: skep/a TestParts/bad
    got 1
    want 2

--- FAIL on 6.12, and passed once more: skep/a TestSlow
    too late

4 passed, 1 failed, 3 skipped
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFailed(t *testing.T) {
	failure := []Result{{Test: "TestX", Outcome: Fail}}
	missing := map[string]string{"6.1": "no Debian archive"}
	for _, c := range []struct {
		name    string
		outcome Outcome
		strict  bool
		want    bool
	}{
		{name: "nothing", want: false},
		{name: "a failure", outcome: Outcome{Results: failure}, want: true},
		{name: "a kernel is missing", outcome: Outcome{NotRun: missing}, want: false},
		{name: "a kernel is missing in CI", outcome: Outcome{NotRun: missing}, strict: true, want: true},
	} {
		if got := c.outcome.Failed(c.strict); got != c.want {
			t.Errorf("%s: failed = %v", c.name, got)
		}
	}
}

// TestNowhere finds a test that no kernel of the whole matrix ran.
func TestNowhere(t *testing.T) {
	o := &Outcome{Kernels: DefaultKernels()}
	for i, kernel := range o.Kernels {
		somewhere := Skip
		if i == 2 {
			somewhere = Pass
		}
		o.Results = append(o.Results,
			Result{Kernel: kernel, Package: "skep/a", Test: "TestSomewhere", Outcome: somewhere},
			Result{Kernel: kernel, Package: "skep/a", Test: "TestNowhere", Outcome: Skip})
	}
	if diff := cmp.Diff([]string{"skep/a TestNowhere"}, o.nowhere()); diff != "" {
		t.Error(diff)
	}
}
