package kernel

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TimeRuns has the kernel itself keep the time: each run is measured without the system call around it.
func (s *session) TimeRuns(name string, n int) (time.Duration, error) {
	p := s.programs[name]
	if p == nil {
		return 0, fmt.Errorf("no program %s", name)
	}
	attr := struct{ kind uint32 }{0} // BPF_STATS_RUN_TIME, kept while the descriptor is open
	fd, err := bpf(unix.BPF_ENABLE_STATS, &attr)
	if err != nil {
		return 0, fmt.Errorf("asking the kernel for the times of programs: %w", err)
	}
	defer unix.Close(fd)
	before := p.ran()
	s.onMain(func() {
		for range n {
			if err = s.testRunHere(p); err != nil {
				return
			}
		}
	})
	return p.ran() - before, err
}

// ran is the time for which a program has run.
func (p *program) ran() time.Duration {
	var info progInfo
	attr := progInfoAttr{fd: uint32(p.fd), size: uint32(unsafe.Sizeof(info)), info: &info}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err != nil {
		return 0
	}
	return time.Duration(info.nanoseconds)
}
