package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"skep/probe"
)

// attachClock attaches to a clock that ticks on every CPU (profile), or in a process only while it runs.
func (s *session) attachClock(a probe.Attach, i int, p *program) error {
	return s.attachEverywhere(a, i, p, clock(a.Points[i]))
}

// attachInterval attaches to a clock that ticks on one CPU.
func (s *session) attachInterval(a probe.Attach, i int, p *program) error {
	cpu, err := s.host.firstCPU()
	if err != nil {
		return err
	}
	attr := clock(a.Points[i])
	return s.attachEvent(a, i, p, attr, -1, cpu)
}

// attachSoftware attaches to an event that the kernel counts itself, such as page faults.
func (s *session) attachSoftware(a probe.Attach, i int, p *program) error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: a.Points[i].Software, Sample: max(a.Points[i].Count, 1), Bits: unix.PerfBitDisabled}
	return s.attachEverywhere(a, i, p, attr)
}

func clock(p probe.Point) unix.PerfEventAttr {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Bits: unix.PerfBitDisabled}
	if p.Frequency != 0 {
		attr.Sample = p.Frequency
		attr.Bits |= unix.PerfBitFreq
	} else {
		attr.Sample = uint64(max(p.Period, 1))
	}
	return attr
}

// attachEverywhere opens an event on each CPU, or for each thread of the process that it is limited to.
func (s *session) attachEverywhere(a probe.Attach, i int, p *program, attr unix.PerfEventAttr) error {
	if pid := s.processOf(a.Points[i]); pid != 0 {
		return s.attachThreads(a, i, p, attr, pid)
	}
	cpus, err := s.host.online()
	if err != nil {
		return err
	}
	opened := 0
	for _, cpu := range cpus {
		err := s.attachEvent(a, i, p, attr, -1, cpu)
		if errors.Is(err, unix.ENODEV) { // it has gone offline
			continue
		}
		if err != nil {
			return err
		}
		opened++
	}
	if opened == 0 {
		return errors.New("no CPU is online")
	}
	return nil
}

// attachThreads opens an event for each thread of a process; those that they start inherit it.
func (s *session) attachThreads(a probe.Attach, i int, p *program, attr unix.PerfEventAttr, pid int) error {
	attr.Bits |= unix.PerfBitInherit
	if version() >= 5<<16|13<<8 {
		attr.Bits |= perfInheritThread
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("there is no process %d", pid)
	}
	opened := 0
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		err = s.attachEvent(a, i, p, attr, tid, -1)
		if errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			return err
		}
		opened++
	}
	if opened == 0 {
		return fmt.Errorf("there is no process %d", pid)
	}
	return nil
}

// attachEvent opens one event, stopped, and puts the program on it.
func (s *session) attachEvent(a probe.Attach, i int, p *program, attr unix.PerfEventAttr, pid, cpu int) error {
	fd, err := perfOpen(&attr, pid, cpu)
	if err != nil {
		if highest, e := os.ReadFile("/proc/sys/kernel/perf_event_max_sample_rate"); e == nil && attr.Bits&unix.PerfBitFreq != 0 && errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("the kernel refuses this rate; the highest is %s Hz (kernel.perf_event_max_sample_rate)", bytes.TrimSpace(highest))
		}
		return explainPerf(a.Points[i].Name, err)
	}
	return s.attachPerf(&s.clocks, fd, a, i, p)
}
