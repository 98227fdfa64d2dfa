package matrix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostAgain is how many tests are run a second time. More failures than that are no accident.
const mostAgain = 4

// again runs the few tests that failed once more, each kernel alone. Under emulation a processor stands still for as long as the
// machine has other things to do, and what a test waits for may come late. One that passes now is shown with its failure, since it may have
// found something that happens seldom.
func (w *workspace) again(ctx context.Context) {
	failed := w.failures()
	if len(failed) == 0 || len(failed) > mostAgain || ctx.Err() != nil {
		return
	}
	for _, kernel := range w.Kernels {
		var names []string
		second := &workspace{Matrix: w.Matrix, dir: w.dir, commands: w.commands, root: w.root, outcome: newOutcome([]string{kernel})}
		for _, f := range failed {
			if f.Kernel != kernel {
				continue
			}
			names = append(names, f.Test)
			for _, p := range w.packages {
				if p.Path == f.Package && !slices.ContainsFunc(second.packages, func(q Package) bool { return q.Path == p.Path }) {
					second.packages = append(second.packages, p)
				}
			}
		}
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(w.Progress, "%-8s once more: %s\n", kernel, strings.Join(names, " "))
		second.Run = "^(" + strings.Join(names, "|") + ")$"
		started := time.Now()
		second.column(ctx, kernel)
		w.outcome.Times[kernel] += time.Since(started)
		w.eventsErr = errors.Join(w.eventsErr, second.eventsErr)
		w.outcome.excuse(failed, second.outcome.Results)
	}
}

// failures are the whole tests that failed and can be run again; none if anything else is wrong.
func (w *workspace) failures() []Result {
	var failed []Result
	for _, r := range w.outcome.Results {
		if r.Outcome != Fail || !r.top() {
			continue
		}
		if strings.HasPrefix(r.Test, "(") { // the build, the boot or the package's process
			return nil
		}
		failed = append(failed, r)
	}
	return failed
}

// excuse marks the failed tests, with their parts, that the second results say passed.
func (o *Outcome) excuse(failed, second []Result) {
	for _, f := range failed {
		same := func(r Result) bool { return r.Kernel == f.Kernel && r.Package == f.Package && r.Test == f.Test }
		if !slices.ContainsFunc(second, func(r Result) bool { return same(r) && r.Outcome == Pass }) {
			continue
		}
		for i := range o.Results {
			r := &o.Results[i]
			part := r.Kernel == f.Kernel && r.Package == f.Package && strings.HasPrefix(r.Test, f.Test+"/")
			if r.Outcome == Fail && (part || same(*r)) {
				r.Outcome = Again
			}
		}
	}
}
