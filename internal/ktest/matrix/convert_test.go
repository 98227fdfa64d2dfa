package matrix

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConvert reads what a test binary prints with -test.v=test2json, whole and cut off; \x16 marks its own lines.
func TestConvert(t *testing.T) {
	const begun = "\x16=== RUN   TestA\n    a_test.go:5: looking\n\x16--- PASS: TestA (0.25s)\n\x16=== RUN   TestB\n"
	for _, c := range []struct {
		name   string
		output string
		code   int
		note   string
		say    string // in the output of what failed, besides the note
		want   []Result
	}{
		{name: "all kinds", code: 1,
			output: begun + "\x16=== RUN   TestB/part\n    b_test.go:7: wrong\n\x16--- FAIL: TestB (0.50s)\n\x16    --- FAIL: TestB/part (0.50s)\n" +
				"\x16=== RUN   TestC\n    need.go:9: ktest: kprobe: none\n\x16--- SKIP: TestC (0.00s)\nFAIL\n",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Fail, Elapsed: 0.5},
				{Test: "TestB/part", Outcome: Fail, Elapsed: 0.5},
				{Test: "TestC", Outcome: Skip},
			}},
		{name: "panic of the kernel", output: begun + "last wor", code: 1, note: "the kernel panicked\n",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Fail, Aborted: true},
			}},
		{name: "killed between tests", output: "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.25s)\n", code: 137,
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "(package)", Outcome: Fail},
			}},
		{name: "all passed and then the kernel panicked", output: "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.25s)\nPASS\n", code: 1,
			note: "the kernel panicked\n",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "(package)", Outcome: Fail},
			}},
		// test2json cuts lines at 4096 bytes.
		{name: "long line without end", output: "\x16=== RUN   TestA\n" + strings.Repeat("y", 8192) + "\x16--- PASS: TestA (0.25s)\n" +
			"\x16=== RUN   TestB\nz\x16z" + strings.Repeat("y", 8188) + "\x16=== RUN   TestB/part\n" + strings.Repeat("y", 4096) +
			"\x16--- PASS: TestB/part (0.50s)\n\x16=== NAME  TestB\n\x16--- PASS: TestB (0.50s)\n\x16=== NAME  \n\x16PASS\n",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Pass, Elapsed: 0.5},
				{Test: "TestB/part", Outcome: Pass, Elapsed: 0.5},
			}},
		{name: "left without a word", output: begun, code: 3, say: "exit status 3",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Fail, Aborted: true},
			}},
		{name: "out of memory", output: begun, code: 137, say: "signal 9 (killed)",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Fail, Aborted: true},
			}},
		{name: "left as if all was well", output: begun, say: "exit status 0",
			want: []Result{
				{Test: "TestA", Outcome: Pass, Elapsed: 0.25},
				{Test: "TestB", Outcome: Fail, Aborted: true},
			}},
		{name: "a failure, and processes left behind", output: "\x16=== RUN   TestA\n\x16--- FAIL: TestA (0.25s)\nFAIL\n", code: 3,
			want: []Result{
				{Test: "TestA", Outcome: Fail, Elapsed: 0.25},
				{Test: "(package)", Outcome: Fail},
			}},
		{name: "nothing", output: "PASS\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events bytes.Buffer
			w := &workspace{Matrix: Matrix{Events: &events}}
			got := w.convert("6.1", "skep/x", []byte(c.output), c.code, c.note)
			failed := false
			for i := range got {
				failed = failed || got[i].Outcome == Fail
				if got[i].Outcome == Fail && !strings.Contains(got[i].Output, c.note+c.say) {
					t.Errorf("the failure of %s does not say %q: %q", got[i].Test, c.note+c.say, got[i].Output)
				}
				got[i].Output = ""
			}
			for i := range c.want {
				c.want[i].Package = "skep/x"
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			checkEvents(t, events.Bytes(), failed)
			if said, _ := json.Marshal(c.note + c.say); failed && !bytes.Contains(events.Bytes(), said[1:len(said)-1]) {
				t.Errorf("the events do not say %s: %s", said, events.Bytes())
			}
		})
	}
}

// checkEvents reads the events as go test -json: every test that runs has one end, and the package has the last.
func checkEvents(t *testing.T, text []byte, failed bool) {
	t.Helper()
	open := map[string]int{}
	var last event
	for line := range bytes.Lines(text) {
		last = event{}
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if last.Kernel != "6.1" {
			t.Errorf("event of kernel %q", last.Kernel)
		}
		switch last.Action {
		case "run":
			open[last.Test]++
		case "pass", "fail", "skip":
			open[last.Test]--
		}
	}
	delete(open, "")
	for test, n := range open {
		if n != 0 {
			t.Errorf("test %s began and ended %d times apart", test, n)
		}
	}
	want := map[bool]string{true: "fail", false: "pass"}[failed]
	if last.Test != "" || last.Action != want {
		t.Errorf("the last event is %+v, want %s of the package", last, want)
	}
}

func TestReason(t *testing.T) {
	for output, want := range map[string]string{
		"=== RUN   TestC\n    need.go:9: ktest: kprobe: none\n--- SKIP: TestC (0.00s)\n": "kprobe: none",
		"    a_test.go:1: first\n    a_test.go:2: second: with colon\n":                  "second: with colon",
		"--- SKIP: TestC (0.00s)\n": "without a reason",
	} {
		if got := (Result{Output: output}).reason(); got != want {
			t.Errorf("%q: reason %q, want %q", output, got, want)
		}
	}
}
