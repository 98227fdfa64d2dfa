package main

import (
	"errors"
	"fmt"
	"strings"

	"skep/host"
	"skep/host/kernel"
	"skep/host/user"
	"skep/internal/diag"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// place is where a script runs, and what there is to probe there.
type place struct {
	host      host.Host
	probes    check.Catalog
	types     func() (*probe.Types, error) // the kernel's
	usable    func(probe.Point) error
	hasRaw    func(probe.Point) bool
	traces    bool // it runs the command of -c as strace does
	otherPIDs bool // programs see the processes' numbers of another pid namespace
}

func kernelPlace() *place {
	catalog, h := &probe.Catalog{}, kernel.New()
	return &place{host: h, probes: catalog, types: catalog.Types, usable: h.Usable, otherPIDs: otherPIDNamespace()}
}

func userPlace() *place {
	catalog := user.NewCatalog()
	return &place{
		host: user.New(catalog.Types), probes: catalog, types: catalog.Types, traces: true,
		hasRaw: func(probe.Point) bool { return false }, // it makes the records of tracepoints at once
	}
}

// choose finds out where the script is to run. Where the kernel refuses and there is a process to trace, that is in user space.
func (t *tracing) choose(script *syntax.Script) error {
	if t.played != nil {
		t.place = replayPlace(t.played)
		return nil
	}
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
			if kind, _ := probe.KindOf(point.Text); !kind.Own() {
				return false
			}
		}
	}
	return len(script.Probes) > 0
}

// sees reports whether the host has a probe of the script, which may have chosen among what there is (has()), and found nothing: it is not
// to wait in silence, or to show zeros.
func (t *tracing) sees(script *syntax.Script, tree *check.Tree) bool {
	if !t.place.traces || needsNoProcess(script) {
		return true
	}
	for _, p := range tree.Probes {
		for _, point := range p.Points {
			if !point.Kind.Own() {
				return true
			}
		}
	}
	return false
}

// rootCauses leaves of the mistakes in a script those that the host is the cause of, if there are any: others may follow from them, as of
// values whose kind a missing probe would have told.
func (t *tracing) rootCauses(list *diag.List) *diag.List {
	if !t.place.traces {
		return list
	}
	only := &diag.List{Source: list.Source}
	for _, d := range list.All {
		if strings.Contains(d.Message, user.NeedsKernel) {
			only.Add(d)
		}
	}
	if len(only.All) == 0 {
		return list
	}
	return only
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
