// Package user runs programs in the machine of package vm and feeds them from ptrace(2): tracing without privileges, of what one's own
// processes do.
//
// It sees a command that it starts, or a process that it attaches to, with all that these start. System calls stop the process only if a
// program wants them: a seccomp filter chooses. See docs/decisions/0018-user-host.md.
package user

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"

	"skep/host"
	"skep/host/machine"
	"skep/ir"
	"skep/probe"
)

// Host is our own machine in user space.
type Host struct {
	// Types gives the kernel's types, for the members of tasks that programs read. It is asked when a program reads one.
	Types func() (*probe.Types, error)
}

var _ host.Host = (*Host)(nil)

// New returns the host. It costs nothing yet.
func New(types func() (*probe.Types, error)) *Host { return &Host{Types: types} }

func (h *Host) Name() string { return "user" }

// possibleCPUs is the number of CPUs that per-CPU values have a place for.
func possibleCPUs() int { return runtime.NumCPU() }

// Target says what the machine can do, whatever kernel is below it.
func (h *Host) Target() (*ir.Target, error) {
	return machine.Target(runtime.GOARCH, possibleCPUs()), nil
}

// Load makes the maps and programs. Nothing is traced yet.
func (h *Host) Load(spec *ebpf.CollectionSpec, attach []probe.Attach, opt host.Options) (host.Session, error) {
	for _, a := range attach {
		if spec.Programs[a.Program] == nil {
			return nil, fmt.Errorf("program %s to attach is not in the collection", a.Program)
		}
	}
	s := newSession(h, attach, opt)
	if err := s.load(spec); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// needsKernel is the error of what only the kernel sees.
func needsKernel(what string) error {
	return fmt.Errorf("%s: only the kernel sees this; the user-space host does not (run as root, or with CAP_BPF and CAP_PERFMON, and --host=kernel)", what)
}
