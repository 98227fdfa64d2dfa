package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// A Verdict is how a test went.
type Verdict string

const (
	Pass Verdict = "pass"
	Fail Verdict = "FAIL"
	Skip Verdict = "skip"
	// Again is for a test that failed and passed when its package was run once more.
	Again Verdict = "2nd"
)

// A Result is one test on one kernel.
type Result struct {
	Kernel  string
	Package string
	Test    string // "(package)" for what is no single test's fault
	Outcome Verdict
	Elapsed float64 // seconds
	Output  string
	Aborted bool // its process ended before the test did
}

// top says that the test is no part of another one.
func (r Result) top() bool { return !strings.Contains(r.Test, "/") }

// event is what go test -json prints, with the kernel added.
type event struct {
	Time    string `json:",omitempty"`
	Kernel  string `json:",omitempty"`
	Action  string
	Package string   `json:",omitempty"`
	Test    string   `json:",omitempty"`
	Elapsed *float64 `json:",omitempty"`
	Output  string   `json:",omitempty"`
}

// convert reads the output of a test binary that ended with code, possibly too early: tests that began and did not
// end have failed, with note for the reason.
func (w *workspace) convert(kernel, pkg string, output []byte, code int, note string) []Result {
	cmd := exec.Command("go", "tool", "test2json", "-t", "-p", pkg)
	if code != 0 {
		// A binary that could not say it makes test2json keep the last test's end to itself.
		output = append(bytes.Clone(output), "\n\x16FAIL\n"...)
	}
	cmd.Stdin = bytes.NewReader(endLongLines(output))
	converted, err := cmd.Output()
	if err != nil {
		return []Result{w.problem(kernel, pkg, "(package)", fmt.Sprintf("reading the tests' output: %v\n%s", err, output))}
	}
	events, results := interpret(pkg, converted, code, note)
	w.writeEvents(kernel, events)
	return results
}

// interpret turns events into results, and completes the events of a package that could not end them itself.
func interpret(pkg string, converted []byte, code int, note string) ([]event, []Result) {
	var events []event
	outputs := map[string]*strings.Builder{}
	outputOf := func(test string) *strings.Builder {
		if outputs[test] == nil {
			outputs[test] = &strings.Builder{}
		}
		return outputs[test]
	}
	var order []string
	ended := map[string]event{}
	for line := range bytes.Lines(converted) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
			continue // test2json guesses; the exit code knows
		}
		events = append(events, e)
		switch e.Action {
		case "run":
			order = append(order, e.Test)
		case "output":
			outputOf(e.Test).WriteString(e.Output)
		case "pass", "fail", "skip":
			ended[e.Test] = e
		}
	}

	var results []Result
	failed := false
	for _, test := range order {
		e, ok := ended[test]
		if !ok {
			e = event{Action: "fail", Package: pkg, Test: test}
			why := note
			if why == "" {
				why = "the test did not end: its process did, with " + exitStatus(code) + "\n"
			}
			outputOf(test).WriteString(why)
			events = append(events, event{Action: "output", Package: pkg, Test: test, Output: why}, e)
		}
		r := Result{Package: pkg, Test: test, Outcome: verdict(e.Action), Output: outputOf(test).String(), Aborted: !ok}
		if e.Elapsed != nil {
			r.Elapsed = *e.Elapsed
		}
		failed = failed || r.Outcome == Fail
		results = append(results, r)
	}
	// A failed test ends the binary with 1; anything else comes on top of it, as what it has left behind.
	if note != "" && !aborted(results) || code != 0 && (!failed || code != 1) && !aborted(results) {
		why := note + exitStatus(code) + "\n"
		events = append(events, event{Action: "output", Package: pkg, Output: why})
		results = append(results, Result{Package: pkg, Test: "(package)", Outcome: Fail, Output: outputOf("").String() + why})
		failed = true
	}
	end := event{Action: "pass", Package: pkg}
	if failed {
		end.Action = "fail"
	}
	return append(events, end), results
}

func aborted(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return r.Aborted })
}

// exitStatus reads the code as shells give it: 128 plus the number of the signal that ended the process.
func exitStatus(code int) string {
	switch {
	case code == 128+int(syscall.SIGKILL):
		return "signal 9 (killed), as the kernel does when memory is used up"
	case code > 128:
		return fmt.Sprintf("signal %d (%s)", code-128, syscall.Signal(code-128))
	}
	return fmt.Sprintf("exit status %d", code)
}

// endLongLines puts a new line before the marks of the testing package (\x16 and "=== " or "--- ") that follow other
// text, since test2json overlooks one where it has cut a long line.
func endLongLines(output []byte) []byte {
	const tooLong = 4096
	var whole []byte
	for line := range bytes.Lines(output) {
		for from := 0; len(line) > tooLong && from < len(line); {
			i := bytes.IndexByte(line[from:], '\x16')
			if i < 0 {
				break
			}
			from += i + 1
			rest := line[from:]
			if from > 1 && (bytes.HasPrefix(rest, []byte("=== ")) || bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("--- "))) {
				whole = append(append(whole, line[:from-1]...), '\n')
				line, from = line[from-1:], 1
			}
		}
		whole = append(whole, line...)
	}
	return whole
}

// problem is the failure of a package that has no output of tests, told also in events.
func (w *workspace) problem(kernel, pkg, test, output string) Result {
	w.writeEvents(kernel, []event{
		{Action: "start", Package: pkg},
		{Action: "output", Package: pkg, Output: output},
		{Action: "fail", Package: pkg},
	})
	return Result{Package: pkg, Test: test, Outcome: Fail, Output: output}
}

func verdict(action string) Verdict {
	switch action {
	case "pass":
		return Pass
	case "skip":
		return Skip
	default:
		return Fail
	}
}

func (w *workspace) writeEvents(kernel string, events []event) {
	if w.Events == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	encoder := json.NewEncoder(w.Events)
	for _, e := range events {
		e.Kernel = kernel
		if err := encoder.Encode(e); err != nil && w.eventsErr == nil {
			w.eventsErr = fmt.Errorf("writing events: %w", err)
		}
	}
}

var testLogPlace = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason is what a skipped test said last.
func (r Result) reason() string {
	said := ""
	for line := range strings.Lines(r.Output) {
		if place := testLogPlace.FindString(line); place != "" {
			said = strings.TrimSpace(line[len(place):])
		}
	}
	if said == "" {
		return "without a reason"
	}
	return strings.TrimPrefix(said, "ktest: ")
}

// count gives the numbers of whole tests; their parts are not counted again.
func count(results []Result) (passed, failed, skipped int) {
	for _, r := range results {
		switch {
		case !r.top():
		case r.Outcome == Pass || r.Outcome == Again:
			passed++
		case r.Outcome == Fail:
			failed++
		default:
			skipped++
		}
	}
	return passed, failed, skipped
}
