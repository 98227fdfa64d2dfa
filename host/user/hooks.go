package user

import (
	"fmt"
	"strings"

	"skep/probe"
)

// hooks are the programs by what they wait for.
type hooks struct {
	enter, exit       map[int][]hook    // by number of the system call
	anyEnter, anyExit []hook            // records of raw_syscalls
	events            map[string][]hook // records of other tracepoints, by category:event
	samples           bool              // there are clocks that sample
	targets           []target          // places in files
}

// add puts a program on a point that it was compiled for.
func (h *hooks) add(a probe.Attach, p probe.Point, program hook) error {
	name := p.Category + ":" + p.Event
	switch {
	case p.Kind == probe.Tracepoint && a.How == probe.RawTP && p.Category == "syscalls":
		return h.addSyscall(p.Event, program)
	case p.Kind != probe.Tracepoint || a.How != probe.TracepointPerf:
		return needsKernel(p.Name)
	case name == "raw_syscalls:sys_enter":
		h.anyEnter = append(h.anyEnter, program)
	case name == "raw_syscalls:sys_exit":
		h.anyExit = append(h.anyExit, program)
	case tracepoints()[name] != nil:
		if h.events == nil {
			h.events = map[string][]hook{}
		}
		h.events[name] = append(h.events[name], program)
	default:
		return needsKernel(p.Name)
	}
	return nil
}

func (h *hooks) addSyscall(event string, program hook) error {
	to, name := &h.enter, strings.TrimPrefix(event, "sys_enter_")
	if rest, ok := strings.CutPrefix(event, "sys_exit_"); ok {
		to, name = &h.exit, rest
	}
	nr, ok := probe.SyscallNumber(name)
	if !ok {
		return fmt.Errorf("there is no system call %s", name)
	}
	if *to == nil {
		*to = map[int][]hook{}
	}
	(*to)[nr] = append((*to)[nr], program)
	return nil
}

// any reports whether something of the traced processes is waited for.
func (h *hooks) any() bool {
	return h.syscalls() || len(h.events) > 0 || h.samples || len(h.targets) > 0
}

// syscalls reports whether system calls are waited for.
func (h *hooks) syscalls() bool { return len(h.enter) > 0 || len(h.exit) > 0 || h.everyCall() }

// everyCall reports whether all system calls are.
func (h *hooks) everyCall() bool { return len(h.anyEnter) > 0 || len(h.anyExit) > 0 }

// numbers are the system calls at whose start the process must stop.
func (h *hooks) numbers() []int {
	var all []int
	for _, m := range []map[int][]hook{h.enter, h.exit} {
		for nr := range m {
			all = append(all, nr)
		}
	}
	return all
}

// wantsExit reports whether the end of a system call is waited for.
func (h *hooks) wantsExit(nr int) bool { return len(h.anyExit) > 0 || len(h.exit[nr]) > 0 }
