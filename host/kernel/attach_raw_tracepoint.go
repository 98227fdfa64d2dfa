package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// attachRawTP attaches to a raw tracepoint. It needs no tracefs.
func (s *session) attachRawTP(a probe.Attach, p *program) error {
	attr := rawTracepointAttr{name: cString(a.Target), fd: uint32(p.fd)}
	if c, ok := cookie(a, 0); ok {
		attr.cookie = c
	}
	fd, err := bpf(unix.BPF_RAW_TRACEPOINT_OPEN, &attr)
	if err != nil {
		return explainRawTP(a, err)
	}
	s.keepTracing(a, fd)
	return nil
}

// keepTracing keeps a link: one that Disable closes, unless the program is behind the gate.
func (s *session) keepTracing(a probe.Attach, fd int) {
	if s.programs[a.Program].gate > 0 {
		s.slow = append(s.slow, fd)
		return
	}
	s.quick = append(s.quick, fd)
}

func explainRawTP(a probe.Attach, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the kernel has no raw tracepoint %s", a.Target)
	case len(a.Cookies) > 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.E2BIG)):
		return &host.Missing{What: "a cookie on raw tracepoints", Since: "Linux 6.10"}
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the program reads more arguments than tracepoint %s has: %w", a.Target, err)
	case errors.Is(err, unix.EPERM):
		return denied("attaching to tracepoints", err)
	}
	return err
}
