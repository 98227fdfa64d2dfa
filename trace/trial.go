package trace

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"skep/host"
	"skep/probe"
)

// A bench runs in rounds until it has had its time.
const (
	benchRound = 1000
	benchTime  = 50 * time.Millisecond
)

// trial is a probe test: or bench:, and how it went.
type trial struct {
	program, name string
	passed        bool
	took          time.Duration // of a test; of one run of a bench
	runs          int           // of a bench
	output        []byte        // what the program printed
}

// tryAll runs the trials and reports whether one failed.
func (r *run) tryAll() (failed bool) {
	if r.settle(); r.exited { // what begin did
		return false
	}
	var all []trial
	for _, a := range r.unit.Attach {
		for _, p := range a.Points {
			if p.Kind == r.opt.Trials {
				_, name, _ := strings.Cut(p.Name, ":")
				all = append(all, trial{program: a.Program, name: name})
			}
		}
	}
	if r.opt.Trials == probe.Bench {
		r.benchAll(all)
		return false
	}
	return r.testAll(all)
}

// settle handles all that was sent, even if the user has had enough.
func (r *run) settle() {
	ended := r.ended
	r.ended = true
	r.drain(true)
	r.ended = ended
}

// quietly runs f and keeps what programs print meanwhile, errors among it, as text.
func (r *run) quietly(f func()) []byte {
	var text bytes.Buffer
	out, sink := r.out, r.sink
	r.out = &output{w: &text, mode: FlushLines}
	r.sink = &textSink{output: r.out, values: r.values, errors: &text, noWarnings: r.opt.NoWarnings}
	r.errors.sink = r.sink
	f()
	r.settle()
	r.errors.report()
	r.out.flush()
	r.out, r.sink, r.errors.sink = out, sink, sink
	return text.Bytes()
}

func (r *run) testAll(all []trial) (failed bool) {
	if len(all) == 0 {
		return false
	}
	line := func(colour, label, format string, args ...any) {
		if r.opt.JSON {
			return
		}
		label = fmt.Sprintf("[%-10s]", label)
		if r.opt.Terminal {
			label = "\x1b[" + colour + "m" + label + "\x1b[0m"
		}
		r.out.raw(label + " " + fmt.Sprintf(format, args...) + "\n")
	}
	const green, red = "32", "31"
	line(green, "==========", "Running %d tests.", len(all))
	var bad []string
	for i := range all {
		if r.stopping.Load() {
			all = all[:i]
			break
		}
		t := &all[i]
		line(green, " RUN", "%s", t.name)
		t.output = r.quietly(func() {
			r.exited, r.exitCode, r.erred = false, 0, false
			start := time.Now()
			err := r.session.Run(t.program)
			t.took = time.Since(start)
			if t.passed = err == nil; !t.passed {
				r.sink.text(0, []byte(err.Error()+"\n"))
			}
		})
		t.passed = t.passed && r.exitCode == 0 && !r.erred
		took := fmt.Sprintf("%s (%d μs)", t.name, (t.took+time.Microsecond-1)/time.Microsecond)
		switch {
		case r.opt.JSON:
			r.out.raw(`{"type": "test_result", "data": {`)
			r.out.buf = appendJSONString(r.out.buf, []byte(t.name))
			r.out.raw(fmt.Sprintf(`: {"duration": %d, "passed": %t, "output": `, t.took, t.passed))
			r.out.buf = appendJSONString(r.out.buf, t.output)
			r.out.raw("}}}\n")
		case t.passed:
			line(green, "       OK", "%s", took)
		default:
			r.out.raw(string(t.output))
			line(red, "  FAILED", "%s", took)
		}
		if !t.passed {
			bad = append(bad, t.name)
		}
		r.out.recordDone()
	}
	line(green, "==========", "%s ran.", plural(len(all), "test"))
	line(green, "  PASSED", "%s.", plural(len(all)-len(bad), "test"))
	if len(bad) > 0 {
		line(red, "  FAILED", "%s, listed below:", plural(len(bad), "test"))
	}
	for _, name := range bad {
		line(red, "  FAILED", "%s", name)
	}
	r.exited, r.exitCode = false, 0
	return len(bad) > 0
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

func (r *run) benchAll(all []trial) {
	timer, ok := r.session.(host.ProgramTimer)
	if !ok {
		r.message("ERROR: programs cannot be timed here")
		return
	}
	if len(all) > 0 && !r.opt.JSON {
		r.out.raw(fmt.Sprintf("%-40s %-14s %s\n%s\n", "Benchmark", "Time(ns)", "Iterations", strings.Repeat("-", 66)))
	}
	for i := range all {
		if r.stopping.Load() {
			return
		}
		t := &all[i]
		start := time.Now()
		for t.runs == 0 || time.Since(start) < benchTime {
			r.quietly(func() {
				took, err := timer.TimeRuns(t.program, benchRound)
				if err != nil {
					r.message("ERROR: " + err.Error())
				}
				t.took += took
			})
			t.runs += benchRound
		}
		average := int(t.took) / t.runs
		if r.opt.JSON {
			r.out.raw(`{"type": "benchmark_result", "data": {`)
			r.out.buf = appendJSONString(r.out.buf, []byte(t.name))
			r.out.raw(fmt.Sprintf(`: {"average": %d, "iters": %d}}}`+"\n", average, t.runs))
		} else {
			r.out.raw(fmt.Sprintf("%-40s %-14d %d\n", t.name, average, t.runs))
		}
		r.out.recordDone()
	}
	r.exited, r.exitCode = false, 0
}
