package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// attachTracepoint attaches to a tracepoint through a perf event of one CPU: the program runs on all of them.
func (s *session) attachTracepoint(a probe.Attach, i int, p *program) error {
	point := a.Points[i]
	id, err := s.host.tracepointID(point.Category, point.Event)
	if err != nil {
		return err
	}
	cpu, err := s.host.firstCPU()
	if err != nil {
		return err
	}
	fd, err := perfOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1}, -1, cpu)
	if err != nil {
		return explainPerf("tracepoint "+point.Category+":"+point.Event, err)
	}
	return s.attachPerf(&s.slow, fd, a, i, p)
}

func (h *Host) tracepointID(category, event string) (uint64, error) {
	if err := h.tracefs.Err(); err != nil {
		if lockdown() == "confidentiality" {
			return 0, &host.Missing{What: "tracing by tracepoints", Why: "lockdown=confidentiality forbids it"}
		}
		return 0, &host.Missing{What: "tracefs", Why: err.Error()}
	}
	text, err := h.tracefs.Read("events/" + category + "/" + event + "/id")
	if errors.Is(err, fs.ErrNotExist) {
		if lockdown() == "confidentiality" { // tracefs is empty
			return 0, &host.Missing{What: "tracing by tracepoints", Why: "lockdown=confidentiality forbids it"}
		}
		return 0, fmt.Errorf("the kernel has no tracepoint %s:%s", category, event)
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
}

func (h *Host) firstCPU() (int, error) {
	cpus, err := h.online()
	if err != nil {
		return 0, err
	}
	return cpus[0], nil
}
