package main

import (
	"errors"
	"fmt"
	"strings"

	"skep/host"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/probe"
)

// explainHooks tells what the script asked about this kernel, and what it is attached to because of the answers. It attaches
// everything to find out, but runs nothing.
func (t *tracing) explainHooks(unit *lower.Unit, questions []check.Question, load host.Options) error {
	for i, q := range questions {
		if i == 0 {
			fmt.Fprintln(t.stdout, "asked of this kernel:")
		}
		if q.Yes {
			fmt.Fprintf(t.stdout, "    yes  %s\n", q.Name)
		} else {
			fmt.Fprintf(t.stdout, "    no   %s (%s)\n", q.Name, strings.ReplaceAll(q.Why, "\n", " "))
		}
	}
	session, err := t.load(unit, withoutRuns(unit.Attach), load)
	if err != nil {
		return t.explain(unit, err)
	}
	failed, err := t.attachOnly(session)
	if err != nil {
		return errors.Join(t.explain(unit, err), session.Close())
	}
	missing := map[string]error{}
	for _, f := range failed {
		missing[f.Attach.Program] = f
	}
	fmt.Fprintln(t.stdout, "attached:")
	for _, a := range unit.Attach {
		for _, p := range a.Points {
			if a.How == probe.TestRun {
				continue
			}
			fmt.Fprintf(t.stdout, "    %s, as %s", p.Name, howName(a))
			if err := missing[a.Program]; err != nil {
				fmt.Fprintf(t.stdout, ": %v", err)
			}
			fmt.Fprintln(t.stdout)
		}
	}
	session.Disable()
	return session.Close()
}

// howName says how a program is attached.
func howName(a probe.Attach) string {
	switch a.How {
	case probe.RawTP:
		return "a raw tracepoint on " + a.Target
	case probe.BTFTP:
		return "a raw tracepoint on " + a.Target + ", typed by BTF"
	case probe.TracepointPerf:
		return "a tracepoint"
	case probe.KprobePerf, probe.UprobePerf:
		return "a breakpoint"
	case probe.KprobeMulti, probe.UprobeMulti:
		return fmt.Sprintf("one of %d breakpoints set at once", len(a.Points))
	case probe.Trampoline:
		return "a trampoline"
	case probe.PerfInterval:
		return "a timer on one processor"
	case probe.SignalSelf:
		return "a signal"
	}
	return "a software event on every processor"
}
