package matrix

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"skep/internal/ktest/boot"
)

// guestColumn boots the guest and runs all packages in it. A kernel that panics or hangs costs the package it was at:
// the rest is run in another boot.
func (w *workspace) guestColumn(ctx context.Context, kernel string, guest boot.Guest, packages []Package) {
	var left []Package
	for _, p := range packages {
		if p.Binary != "" {
			left = append(left, p)
		}
	}
	for len(left) > 0 && ctx.Err() == nil {
		c := &collector{workspace: w, kernel: kernel}
		guest.Plan.Programs = nil
		guest.Limit = 3*time.Minute + time.Duration(len(left))*(w.Timeout+20*time.Second)
		for _, p := range left {
			guest.Plan.Programs = append(guest.Plan.Programs, boot.Program{
				Name:    p.Path,
				Argv:    append([]string{guestBinary(p)}, w.testArgs()...),
				Dir:     guestDir(p),
				Timeout: w.Timeout + 10*time.Second, // the binary's own time limit comes first
				Linger:  time.Minute,                // for what the kernel takes long to release
			})
		}
		report, err := guest.Run(ctx, c.take)
		if err != nil {
			w.unable(kernel, err)
			return
		}
		w.mu.Lock()
		if report.Release != "" {
			w.outcome.Releases[kernel] = report.Release
		}
		if report.End != boot.EndDone {
			w.outcome.Machines[kernel] = append(w.outcome.Machines[kernel], report)
		}
		w.mu.Unlock()
		if report.End == boot.EndDone {
			return
		}
		note := explain(report)
		if ctx.Err() != nil {
			note = "interrupted\n"
		}
		broken := left[min(c.ended, len(left)-1)].Path
		if report.Release == "" { // it did not get to run one, and would not the next time
			w.record(kernel, []Result{w.problem(kernel, broken, "(boot)", note)})
			return
		}
		c.finish(broken, 1, note)
		left = left[min(c.ended, len(left)):]
	}
}

// explain says how a machine ended and shows the end of what its kernel had to say.
func explain(r boot.Report) string {
	what := map[boot.End]string{
		boot.EndPanic:   "the kernel panicked",
		boot.EndHang:    "the kernel hung: no process ran any more",
		boot.EndLimit:   "the time for one boot was over",
		boot.EndStopped: "the machine stopped",
	}[r.End]
	lines := strings.Split(strings.TrimSpace(r.Console), "\n")
	const most = 60
	if len(lines) > most {
		lines = append([]string{fmt.Sprintf("(%d lines before)", len(lines)-most)}, lines[len(lines)-most:]...)
	}
	return what + "; its console ends:\n    " + strings.Join(lines, "\n    ") + "\n"
}

// A collector gathers a boot's output by package.
type collector struct {
	*workspace
	kernel string
	output bytes.Buffer // of the program that is running
	ended  int
}

func (c *collector) take(o boot.Output) {
	if o.Exit != nil {
		note := ""
		if o.Exit.TimedOut {
			note = "the tests were killed after their time was over\n"
		}
		c.finish(o.Program, o.Exit.Code, note)
		return
	}
	c.output.Write(o.Data)
}

// finish turns what a package printed into results.
func (c *collector) finish(program string, code int, note string) {
	results := c.convert(c.kernel, program, c.output.Bytes(), code, note)
	c.record(c.kernel, results)
	c.progress(c.kernel, program, results)
	c.output.Reset()
	c.ended++
}

func (w *workspace) progress(kernel, program string, results []Result) {
	passed, failed, skipped := count(results)
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.Progress, "%-8s %s: %d passed, %d failed, %d skipped\n", kernel, program, passed, failed, skipped)
}
