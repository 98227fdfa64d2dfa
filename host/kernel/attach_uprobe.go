package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"skep/probe"
)

// refCounterShift is where the uprobe PMU's config has the offset of a reference counter.
const refCounterShift = 32

// attachUprobe attaches to an instruction of a file that processes map, through the uprobe PMU.
func (s *session) attachUprobe(a probe.Attach, i int, p *program) error {
	source, err := s.host.uprobes()
	if err != nil {
		return err
	}
	point := a.Points[i]
	attr := unix.PerfEventAttr{Type: source.kind, Sample: 1, Ext2: point.FileOffset}
	if point.Kind == probe.Uretprobe {
		attr.Config = source.atExit
	}
	if point.USDT != nil {
		// The kernel counts itself among those who watch, in the program's memory.
		attr.Config |= point.USDT.Semaphore << refCounterShift
	}
	// A filter by process is the kernel's work: others do not even hit the breakpoint.
	pid, cpu := s.processOf(point), -1
	if pid == 0 {
		pid = -1
		if cpu, err = s.host.firstCPU(); err != nil {
			return err
		}
	}
	fd, err := perfNamed(&attr, point.Binary, pid, cpu)
	if err != nil {
		return explainUprobe(point, err)
	}
	return s.attachPerf(&s.slow, fd, a, i, p)
}

// processOf is the process that a point is limited to, or 0.
func (s *session) processOf(p probe.Point) int {
	if p.PID != 0 {
		return p.PID
	}
	return s.opt.PID
}

func explainUprobe(p probe.Point, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return &fs.PathError{Op: "probe", Path: p.Binary, Err: err}
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("there is no process %d", p.PID)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s cannot be probed at offset %#x: not an executable file, or no instruction there: %w", p.Binary, p.FileOffset, err)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s is on a file system that cannot be probed: %w", p.Binary, err)
	case errors.Is(err, unix.Errno(524)), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s cannot be probed at offset %#x: the instruction there is of a kind that the kernel cannot step over: %w", p.Binary, p.FileOffset, err)
	}
	return explainPerf(fmt.Sprintf("%s at offset %#x", p.Binary, p.FileOffset), err)
}
