package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// session is what was loaded and attached. Attach, Disable and Close are called from one goroutine.
type session struct {
	host   *Host
	opt    host.Options
	attach []probe.Attach

	maps     map[string]*hostMap
	rings    map[string]*ring
	programs map[string]*program

	state    []uint64
	stateMem []byte
	gateMap  *hostMap
	gate     []uint64
	gateMem  []byte

	held     // what attachments keep open
	tracker  *tracker
	signals  []chan os.Signal
	disabled bool
	closed   bool
}

// held are the descriptors that keep programs attached, by how they are let go.
type held struct {
	clocks []int // perf events that an ioctl disables, and their links
	quick  []int // links that are closed in a fraction of a millisecond
	slow   []int // links and events that the kernel takes a tenth of a second to close, behind the gate
}

// Attach connects the programs: BEGIN runs first, as bpftrace has it, then the others are attached in their order, and at last
// the clocks start.
func (s *session) Attach(ctx context.Context) (attached int, failed []*host.AttachError, err error) {
	if s.closed || s.disabled {
		return 0, nil, host.ErrClosed
	}
	if s.opt.TrackProcesses != nil {
		if s.tracker, err = s.trackProcesses(); err != nil {
			return 0, nil, err
		}
	}
	for _, begin := range []bool{true, false} {
		for _, a := range s.attach {
			if isBegin(a) != begin {
				continue
			}
			if err := ctx.Err(); err != nil {
				return attached, failed, err
			}
			errs := s.attachOne(a)
			attached += max(len(a.Points), 1) - len(errs)
			failed = append(failed, errs...)
		}
	}
	for _, fd := range s.clocks {
		if err := perfIoctl(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil && err != unix.ENOTTY {
			return attached, failed, fmt.Errorf("starting a clock: %w", err)
		}
	}
	if attached == 0 && len(failed) > 0 {
		err = failed[0]
	}
	return attached, failed, err
}

func isBegin(a probe.Attach) bool {
	return a.How == probe.TestRun && len(a.Points) > 0 && a.Points[0].Kind == probe.Begin
}

func (s *session) attachOne(a probe.Attach) []*host.AttachError {
	p := s.programs[a.Program]
	switch a.How {
	case probe.TestRun:
		if !isBegin(a) {
			return nil // END waits for Run
		}
		return oneError(a, s.testRun(p))
	case probe.SignalSelf:
		return oneError(a, s.onSignal(a, p))
	case probe.RawTP:
		return oneError(a, s.attachRawTP(a, p))
	case probe.BTFTP, probe.Trampoline:
		return oneError(a, s.attachTracing(a, p))
	case probe.KprobeMulti:
		return s.attachKprobeMulti(a, p)
	case probe.UprobeMulti:
		return s.attachUprobeMulti(a, p)
	}
	var failed []*host.AttachError
	for i, point := range a.Points {
		if err := s.attachPoint(a, i, p); err != nil {
			failed = append(failed, &host.AttachError{Attach: a, Point: point, Err: err})
		}
	}
	return failed
}

func (s *session) attachPoint(a probe.Attach, i int, p *program) error {
	switch a.How {
	case probe.TracepointPerf:
		return s.attachTracepoint(a, i, p)
	case probe.KprobePerf:
		return s.attachKprobe(a, i, p)
	case probe.UprobePerf:
		return s.attachUprobe(a, i, p)
	case probe.PerfClock:
		return s.attachClock(a, i, p)
	case probe.PerfInterval:
		return s.attachInterval(a, i, p)
	case probe.PerfSoftware:
		return s.attachSoftware(a, i, p)
	}
	return fmt.Errorf("the kernel cannot attach in way %d", a.How)
}

// oneError makes the error of a program into one of each of its points.
func oneError(a probe.Attach, err error) []*host.AttachError {
	if err == nil {
		return nil
	}
	if len(a.Points) == 0 {
		return []*host.AttachError{{Attach: a, Point: probe.Point{Name: a.Program}, Err: err}}
	}
	var errs []*host.AttachError
	for _, p := range a.Points {
		errs = append(errs, &host.AttachError{Attach: a, Point: p, Err: err})
	}
	return errs
}

// cookie gives the cookie of point i.
func cookie(a probe.Attach, i int) (uint64, bool) {
	if i < len(a.Cookies) {
		return a.Cookies[i], true
	}
	return 0, false
}

// Run runs a program once: END, or what a signal starts.
func (s *session) Run(name string) error {
	p := s.programs[name]
	if s.closed || p == nil {
		if s.closed {
			return host.ErrClosed
		}
		return fmt.Errorf("no program %s", name)
	}
	return s.testRun(p)
}

// onMain runs f on the first thread if the caller of the session gives it.
func (s *session) onMain(f func()) {
	if s.opt.Main != nil {
		s.opt.Main(f)
		return
	}
	f()
}

func (s *session) testRun(p *program) (err error) {
	s.onMain(func() { err = s.testRunHere(p) })
	return err
}

func (s *session) testRunHere(p *program) error {
	attr := testRunAttr{fd: uint32(p.fd)}
	if _, err := bpf(unix.BPF_PROG_TEST_RUN, &attr); err != nil {
		if errors.Is(err, unix.Errno(524)) || errors.Is(err, unix.EOPNOTSUPP) {
			return &host.Missing{What: fmt.Sprintf("running a program of type %s", p.spec.Type), Since: "Linux 5.10"}
		}
		return fmt.Errorf("running program %s: %w", p.name, err)
	}
	return nil
}

func (s *session) onSignal(a probe.Attach, p *program) error {
	for _, point := range a.Points {
		if point.Signal <= 0 {
			return fmt.Errorf("signal %d", point.Signal)
		}
		c := make(chan os.Signal, 16)
		signal.Notify(c, syscall.Signal(point.Signal))
		s.signals = append(s.signals, c)
		go func() {
			for range c {
				s.testRun(p)
			}
		}()
	}
	return nil
}

func (s *session) Map(name string) host.Map {
	if m := s.maps[name]; m != nil && m.kind != ebpf.RingBuf {
		return m
	}
	return nil
}

func (s *session) Ring(name string) host.Ring {
	if r := s.rings[name]; r != nil {
		return r
	}
	return nil
}

func (s *session) State() []uint64 { return s.state }

// Disable stops the programs. What would take long to detach is behind the gate.
func (s *session) Disable() {
	if s.disabled {
		return
	}
	s.disabled = true
	s.closeGate()
	for _, c := range s.signals {
		signal.Stop(c)
		close(c)
	}
	for _, fd := range s.clocks { // links among them do not mind
		perfIoctl(fd, unix.PERF_EVENT_IOC_DISABLE, 0)
	}
	closeAll(s.quick)
	s.quick = nil
	for _, r := range s.rings {
		r.settle(2 * time.Millisecond)
	}
}

// Missed asks the kernel for what it counts of each program. Kernels that do not count leave a zero.
func (s *session) Missed() map[string]uint64 {
	missed := map[string]uint64{}
	for name, p := range s.programs {
		var info progInfo
		attr := progInfoAttr{fd: uint32(p.fd), size: uint32(unsafe.Sizeof(info)), info: &info}
		if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err == nil && info.missed > 0 {
			missed[name] = info.missed
		}
	}
	return missed
}

// Close releases everything. The kernel takes up to a tenth of a second for each link; a helper process does the waiting.
func (s *session) Close() error {
	if s.closed {
		return nil
	}
	s.Disable()
	s.closed = true
	if s.tracker != nil {
		s.tracker.close()
	}
	closeAll(s.clocks)
	release(s.slow)
	for _, p := range s.programs {
		unix.Close(p.fd)
	}
	for _, r := range s.rings {
		r.close()
	}
	for _, m := range s.maps {
		m.close()
	}
	if s.gateMap != nil {
		s.gateMap.close()
	}
	for _, mem := range [][]byte{s.gateMem, s.stateMem} {
		if mem != nil {
			unix.Munmap(mem)
		}
	}
	s.gate, s.state = nil, nil
	return nil
}

var _ host.ProcessSyncer = (*session)(nil)

func (s *session) SyncProcesses() {
	if s.tracker != nil {
		s.tracker.catchUp()
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
