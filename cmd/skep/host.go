package main

import (
	"errors"
	"fmt"
	"strings"

	"skep/host"
	"skep/host/kernel"
	"skep/host/user"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// place is where a script runs, and what there is to probe there.
type place struct {
	host      host.Host
	probes    check.Catalog
	catalog   *probe.Catalog // of the kernel's types
	usable    func(probe.Point) error
	hasRaw    func(probe.Point) bool
	traces    bool // it runs the command of -c as strace does
	otherPIDs bool // programs see the processes' numbers of another pid namespace
}

func kernelPlace() *place {
	catalog, h := &probe.Catalog{}, kernel.New()
	return &place{host: h, probes: catalog, catalog: catalog, usable: h.Usable, otherPIDs: otherPIDNamespace()}
}

func userPlace() *place {
	catalog := user.NewCatalog()
	return &place{
		host: user.New(catalog.Types), probes: catalog, catalog: catalog.Catalog, traces: true,
		hasRaw: func(probe.Point) bool { return false }, // it makes the records of tracepoints at once
	}
}

// choose finds out where the script is to run. Where the kernel refuses and there is a process to trace, that is in user space.
func (t *tracing) choose(script *syntax.Script) error {
	if t.options.host == "user" {
		t.place = userPlace()
		return nil
	}
	t.place = kernelPlace()
	refused := kernel.Privileges()
	if refused == nil || t.options.host == "kernel" {
		return refused
	}
	switch {
	case t.child == nil && t.followed() == 0 && needsNoProcess(script): // nothing is traced, so that nothing is missed
	case t.child != nil:
		t.notice("tracing %s and its children in user space; system-wide probes need %s", t.child[0], missingRight(refused))
	case t.followed() != 0:
		t.notice("tracing process %d and its children in user space; system-wide probes need %s", t.followed(), missingRight(refused))
	default:
		var right *host.Privilege
		if errors.As(refused, &right) && !strings.Contains(right.Way, "-c") {
			more := *right
			more.Way += "; or trace a command (-c) or a process (-p), which needs no rights"
			return &more
		}
		return refused
	}
	t.place = userPlace()
	return nil
}

// needsNoProcess reports whether a script has only probes that are skep's own.
func needsNoProcess(script *syntax.Script) bool {
	for _, p := range script.Probes {
		for _, point := range p.Points {
			switch kind, _ := probe.KindOf(point.Text); kind {
			case probe.Begin, probe.End, probe.Interval, probe.SelfSignal:
			default:
				return false
			}
		}
	}
	return len(script.Probes) > 0
}

// followed is the process that exists already and is to be traced in user space, 0 for none.
func (t *tracing) followed() int {
	if t.pid != 0 || t.child != nil {
		return t.pid
	}
	return t.about
}

// warnOnce shows what a host has to say about what it cannot do.
func (t *tracing) warnOnce(line string) {
	if !t.noWarnings {
		fmt.Fprintln(t.stderr, line)
	}
}

func (t *tracing) notice(format string, args ...any) {
	fmt.Fprintf(t.stderr, format+"\n", args...)
}

// missingRight is what the kernel wants.
func missingRight(err error) string {
	var right *host.Privilege
	if errors.As(err, &right) {
		return right.Capability
	}
	return "bpf(2)"
}
