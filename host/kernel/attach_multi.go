package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// A multi link takes all its points or none and does not say which was wrong: after a refusal, the halves are tried.

// mostTries bounds the attempts to find the points that cannot be attached.
const mostTries = 128

// attachMulti attaches points [from, to) by link, in as few links as it takes.
func (s *session) attachMulti(a probe.Attach, link func(from, to int) (int, error), explain func(probe.Point, error) error) []*host.AttachError {
	var failed []*host.AttachError
	tries := 0
	var attach func(from, to int)
	attach = func(from, to int) {
		tries++
		fd, err := link(from, to)
		if err == nil {
			s.slow = append(s.slow, fd)
			return
		}
		if to-from > 1 && isOfPoint(err) && tries < mostTries {
			middle := (from + to) / 2
			attach(from, middle)
			attach(middle, to)
			return
		}
		for _, p := range a.Points[from:to] {
			failed = append(failed, &host.AttachError{Attach: a, Point: p, Err: explain(p, err)})
		}
	}
	attach(0, len(a.Points))
	return failed
}

// isOfPoint: an error that other points may not have.
func isOfPoint(err error) bool {
	for _, e := range []error{unix.ENOENT, unix.ESRCH, unix.EINVAL, unix.EADDRNOTAVAIL, unix.EFAULT, unix.EBUSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// attachKprobeMulti attaches to many kernel functions by one link.
func (s *session) attachKprobeMulti(a probe.Attach, p *program) []*host.AttachError {
	byAddress := true
	symbols, addrs := make([]*byte, len(a.Points)), make([]uint64, len(a.Points))
	for i, point := range a.Points {
		symbols[i], addrs[i] = cString(point.Function), point.Address
		byAddress = byAddress && point.Address != 0
	}
	var flags uint32
	if len(a.Points) > 0 && a.Points[0].Kind == probe.Kretprobe {
		flags = unix.BPF_F_KPROBE_MULTI_RETURN
	}
	link := func(from, to int) (int, error) {
		attr := kprobeMultiAttr{
			linkCreateAttr: linkCreateAttr{prog: uint32(p.fd), attachType: unix.BPF_TRACE_KPROBE_MULTI},
			flags:          flags, count: uint32(to - from),
		}
		if byAddress {
			attr.addrs = unsafe.Pointer(&addrs[from])
		} else {
			attr.symbols = unsafe.Pointer(&symbols[from])
		}
		if len(a.Cookies) >= to {
			attr.cookies = unsafe.Pointer(&a.Cookies[from])
		}
		return bpf(unix.BPF_LINK_CREATE, &attr)
	}
	return s.attachMulti(a, link, func(point probe.Point, err error) error {
		switch {
		case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
			return fmt.Errorf("function %s does not exist or cannot be traced", point.Function)
		case errors.Is(err, unix.EOPNOTSUPP):
			return &host.Missing{What: "attaching to many functions at once", Why: "CONFIG_FPROBE is not set"}
		case errors.Is(err, unix.EPERM):
			return denied("attaching to functions", err)
		}
		return fmt.Errorf("attaching to function %s: %w", point.Function, err)
	})
}

// attachUprobeMulti attaches to many places of one file by one link.
func (s *session) attachUprobeMulti(a probe.Attach, p *program) []*host.AttachError {
	if len(a.Points) == 0 {
		return nil
	}
	first := a.Points[0]
	path := cString(first.Binary)
	offsets, counters := make([]uint64, len(a.Points)), make([]uint64, len(a.Points))
	counted := false // by those who watch, in the program's memory
	for i, point := range a.Points {
		if point.Binary != first.Binary || point.Kind != first.Kind {
			return oneError(a, fmt.Errorf("points of several files in one link"))
		}
		offsets[i] = point.FileOffset
		if point.USDT != nil && point.USDT.Semaphore != 0 {
			counted = true
			counters[i] = point.USDT.Semaphore
		}
	}
	var flags uint32
	if first.Kind == probe.Uretprobe {
		flags = unix.BPF_F_UPROBE_MULTI_RETURN
	}
	link := func(from, to int) (int, error) {
		attr := uprobeMultiAttr{
			linkCreateAttr: linkCreateAttr{prog: uint32(p.fd), attachType: unix.BPF_TRACE_UPROBE_MULTI},
			path:           path, offsets: unsafe.Pointer(&offsets[from]), count: uint32(to - from), flags: flags,
			pid: uint32(s.processOf(first)),
		}
		if counted {
			attr.refCounters = unsafe.Pointer(&counters[from])
		}
		if len(a.Cookies) >= to {
			attr.cookie = unsafe.Pointer(&a.Cookies[from])
		}
		return bpf(unix.BPF_LINK_CREATE, &attr)
	}
	return s.attachMulti(a, link, explainUprobe)
}
