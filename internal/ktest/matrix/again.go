package matrix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// mostAgain is how many tests may have failed for a second try. More failures than that are no accident.
const mostAgain = 4

// again runs the packages in which a few tests failed once more, whole, each kernel alone. Under emulation a processor stands still for as
// long as the machine has other things to do, and what a test waits for may come late. Tests of a package that passes then are shown with their
// failures, since they may have found something that happens seldom.
func (w *workspace) again(ctx context.Context) {
	failed := w.failures()
	if len(failed) == 0 || len(failed) > mostAgain || ctx.Err() != nil {
		return
	}
	byKernel := map[string][]Package{}
	for _, p := range w.packages {
		for _, kernel := range w.Kernels {
			if slices.ContainsFunc(failed, func(r Result) bool { return r.Kernel == kernel && r.Package == p.Path }) {
				byKernel[kernel] = append(byKernel[kernel], p)
			}
		}
	}
	for _, kernel := range slices.Sorted(maps.Keys(byKernel)) {
		second := &workspace{Matrix: w.Matrix, dir: w.dir, commands: w.commands, root: w.root, packages: byKernel[kernel],
			outcome: newOutcome([]string{kernel})}
		for _, p := range second.packages {
			fmt.Fprintf(w.Progress, "%-8s once more: %s\n", kernel, p.Path)
		}
		started := time.Now()
		second.column(ctx, kernel)
		w.outcome.Times[kernel] += time.Since(started)
		w.eventsErr = errors.Join(w.eventsErr, second.eventsErr)
		w.outcome.Machines[kernel] = append(w.outcome.Machines[kernel], second.outcome.Machines[kernel]...)
		for _, p := range second.packages {
			w.outcome.excuse(kernel, p.Path, second.outcome)
		}
	}
}

// failures are the whole tests that failed; none if anything else is wrong: a build, a boot, a process that did not end by itself, something
// that a package left behind.
func (w *workspace) failures() []Result {
	if len(w.outcome.Machines) > 0 {
		return nil
	}
	var failed []Result
	for _, r := range w.outcome.Results {
		switch {
		case r.Outcome != Fail:
		case r.Aborted || strings.HasPrefix(r.Test, "("):
			return nil
		case r.top():
			failed = append(failed, r)
		}
	}
	return failed
}

// excuse marks the failed tests of a package if all that failed at first ran and passed in the second try, and nothing else failed there.
// Otherwise they stay, and what failed in the second try alone joins them.
func (o *Outcome) excuse(kernel, pkg string, second *Outcome) {
	passed := map[string]bool{}
	var worse []Result
	for _, r := range second.Results {
		if r.Package == pkg && r.Outcome == Fail {
			worse = append(worse, r)
		}
		passed[r.Test] = r.Package == pkg && r.Outcome == Pass || passed[r.Test]
	}
	ours := func(r Result) bool { return r.Kernel == kernel && r.Package == pkg && r.Outcome == Fail }
	excused := len(worse) == 0 && len(second.Machines) == 0 && len(second.NotRun) == 0
	for _, r := range o.Results {
		excused = excused && (!ours(r) || passed[r.Test])
	}
	for i := range o.Results {
		if excused && ours(o.Results[i]) {
			o.Results[i].Outcome = Again
		}
	}
	for _, r := range worse {
		i := slices.IndexFunc(o.Results, func(first Result) bool { return first.Kernel == kernel && first.Package == pkg && first.Test == r.Test })
		switch {
		case i < 0:
			o.Results = append(o.Results, r)
		case o.Results[i].Outcome == Fail:
			o.Results[i].Output += "once more:\n" + r.Output
		default:
			o.Results[i] = r
		}
	}
}
