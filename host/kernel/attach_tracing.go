package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// attachTracing attaches a program that was loaded for its target: to a BTF-typed raw tracepoint, or to the entry or exit of a
// function by a trampoline.
func (s *session) attachTracing(a probe.Attach, p *program) error {
	var fd int
	var err error
	if c, ok := cookie(a, 0); ok {
		fd, err = bpf(unix.BPF_LINK_CREATE, &tracingLinkAttr{
			linkCreateAttr: linkCreateAttr{prog: uint32(p.fd), attachType: uint32(p.spec.AttachType)}, cookie: c})
	} else {
		fd, err = bpf(unix.BPF_RAW_TRACEPOINT_OPEN, &rawTracepointAttr{fd: uint32(p.fd)})
	}
	if err != nil {
		return explainTracing(a, err)
	}
	s.keepTracing(a, fd)
	return nil
}

func explainTracing(a probe.Attach, err error) error {
	if a.How == probe.BTFTP {
		return explainRawTP(a, err)
	}
	name := a.Target
	if name == "" && len(a.Points) > 0 {
		name = a.Points[0].Function
	}
	switch {
	case len(a.Cookies) > 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.E2BIG)):
		return &host.Missing{What: "a cookie on fentry and fexit", Since: "Linux 6.0"}
	case errors.Is(err, unix.Errno(524)), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &host.Missing{What: "fentry", Why: "the kernel is built without CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", Way: "use kprobe"}
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("function %s is taken by something that does not share it, or cannot be redirected: %w", name, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EFAULT):
		return fmt.Errorf("function %s cannot be traced", name)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("function %s has all the fentry and fexit programs that it can have (38)", name)
	case errors.Is(err, unix.EPERM):
		return denied("attaching to functions", err)
	}
	return err
}
