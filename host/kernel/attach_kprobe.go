package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// attachKprobe attaches to a kernel function, or an instruction in it, through the kprobe PMU.
func (s *session) attachKprobe(a probe.Attach, i int, p *program) error {
	source, err := s.host.kprobes()
	if err != nil {
		return err
	}
	cpu, err := s.host.firstCPU()
	if err != nil {
		return err
	}
	point := a.Points[i]
	attr := unix.PerfEventAttr{Type: source.kind, Sample: 1}
	if point.Kind == probe.Kretprobe {
		attr.Config = source.atExit
	}
	var fd int
	what := "function " + point.Function
	if point.Function == "" {
		what = fmt.Sprintf("address %#x", point.Address)
		attr.Ext2 = point.Address
		fd, err = perfOpen(&attr, -1, cpu)
	} else {
		attr.Ext2 = point.Offset
		fd, err = perfNamed(&attr, kprobeName(point), -1, cpu)
		if errors.Is(err, unix.EADDRNOTAVAIL) && point.Address != 0 { // several functions have that name
			attr.Ext1, attr.Ext2 = 0, point.Address+point.Offset
			fd, err = perfOpen(&attr, -1, cpu)
		}
	}
	if err != nil {
		return explainKprobe(what, point, err)
	}
	return s.attachPerf(&s.slow, fd, a, i, p)
}

// kprobeName is a function as kprobes take it.
func kprobeName(p probe.Point) string {
	if p.Module != "" && p.Module != "vmlinux" {
		return p.Module + ":" + p.Function
	}
	return p.Function
}

func explainKprobe(what string, p probe.Point, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the kernel has no %s, or it is inlined", what)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("several places of the kernel are called %s", p.Function)
	case errors.Is(err, unix.EILSEQ):
		return fmt.Errorf("%s+%d is not at the start of an instruction", what, p.Offset)
	case errors.Is(err, unix.EINVAL) && p.Offset != 0:
		return fmt.Errorf("%s cannot be traced at offset %d, or is on the kernel's list of functions that must not be: %w", what, p.Offset, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s cannot be traced: it is on the kernel's list of functions that must not be: %w", what, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.Errno(524)):
		return &host.Missing{What: "a kprobe", Why: "CONFIG_KPROBE_EVENTS is not set"}
	}
	return explainPerf(what, err)
}
