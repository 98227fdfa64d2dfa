package user

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/host"
	"skep/probe"
	"skep/vm"
	vmmaps "skep/vm/maps"
)

// session is what was loaded and what it traces. Attach, Disable and Close are called from one goroutine.
type session struct {
	host   *Host
	opt    host.Options
	attach []probe.Attach

	machine    *vm.Machine
	collection *vm.Collection
	maps       map[string]*hostMap
	rings      map[string]*ring
	state      []uint64

	// run is held while a program runs: one at a time, so that per-CPU memory is never shared.
	run      sync.Mutex
	disabled atomic.Bool
	runner   *runner // under run
	hooks    hooks   // what programs wait for; written before tracing begins

	tracer  *tracer
	tickers []*time.Ticker
	clocks  sync.WaitGroup
	done    chan struct{} // closed by Disable
	signals []chan os.Signal
	closed  bool
}

var (
	_ host.Session = (*session)(nil)
	_ host.Command = (*session)(nil)
)

func newSession(h *Host, attach []probe.Attach, opt host.Options) *session {
	return &session{host: h, opt: opt, attach: attach, maps: map[string]*hostMap{}, rings: map[string]*ring{}, done: make(chan struct{})}
}

func (s *session) load(spec *ebpf.CollectionSpec) (err error) {
	cpus := possibleCPUs()
	if s.machine, err = vm.New(vm.Options{CPUs: cpus, KernelVersion: kernelVersion, Host: s.machineHost()}); err != nil {
		return err
	}
	if s.collection, err = s.machine.Load(s.withRings(spec), &vm.LoadOptions{Verify: true}); err != nil {
		return err
	}
	for name, m := range s.collection.Maps {
		if r, ok := m.(*vmmaps.RingBuf); ok {
			s.rings[name] = newRing(r)
			continue
		}
		s.maps[name] = newMap(m, cpus)
	}
	if m, ok := s.collection.Maps[s.opt.StateMap].(*vmmaps.Array); ok {
		b := m.Bytes() // the start of a page, so words are aligned
		s.state = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	}
	if s.runner, err = newRunner(s); err != nil {
		return err
	}
	s.run.Lock()
	defer s.run.Unlock()
	return s.runner.check()
}

const (
	dataRing    = 4 << 20
	controlRing = 256 << 10
)

// withRings gives the ring buffers their sizes, which are the host's to choose.
func (s *session) withRings(spec *ebpf.CollectionSpec) *ebpf.CollectionSpec {
	spec = spec.Copy()
	for name, m := range spec.Maps {
		if m.Type != ebpf.RingBuf {
			continue
		}
		size := m.MaxEntries
		switch {
		case name == s.opt.RingMap && s.opt.RingPages > 0:
			size = uint32(min(s.opt.RingPages, 1<<30/os.Getpagesize()) * os.Getpagesize())
		case name == s.opt.RingMap:
			size = dataRing
		case name == s.opt.ControlMap && size == 0:
			size = controlRing
		}
		power := uint32(os.Getpagesize())
		for power < size {
			power <<= 1
		}
		m.MaxEntries = power
	}
	return spec
}

// Attach lets BEGIN run, then follows the processes, and at last starts the clocks.
func (s *session) Attach(ctx context.Context) (attached int, failed []*host.AttachError, err error) {
	if s.closed || s.disabled.Load() {
		return 0, nil, host.ErrClosed
	}
	for _, a := range s.attach {
		if isBegin(a) {
			attached += len(a.Points)
			if err := s.Run(a.Program); err != nil {
				return attached, nil, err
			}
		}
	}
	var clocks []clock
	for _, a := range s.attach {
		if isBegin(a) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return attached, failed, err
		}
		for i, point := range a.Points {
			if err := s.attachPoint(a, i, &clocks); err != nil {
				failed = append(failed, &host.AttachError{Attach: a, Point: point, Err: err})
				continue
			}
			attached++
		}
	}
	if attached == 0 && len(failed) > 0 {
		return 0, failed, failed[0]
	}
	if s.hooks.any() {
		if err := s.trace(); err != nil {
			return attached, failed, err
		}
	}
	for _, c := range clocks {
		s.start(c)
	}
	return attached, failed, nil
}

func isBegin(a probe.Attach) bool {
	return a.How == probe.TestRun && len(a.Points) > 0 && a.Points[0].Kind == probe.Begin
}

func (s *session) attachPoint(a probe.Attach, i int, clocks *[]clock) error {
	p, point := s.collection.Programs[a.Program], a.Points[i]
	h := hook{program: p}
	if i < len(a.Cookies) {
		h.cookie = a.Cookies[i]
	}
	switch a.How {
	case probe.TestRun: // END waits for Run
		return nil
	case probe.SignalSelf:
		return s.onSignal(point, p)
	case probe.PerfInterval:
		*clocks = append(*clocks, clock{hook: h, period: period(point)})
		return nil
	case probe.PerfClock:
		*clocks = append(*clocks, clock{hook: h, period: period(point), samples: true})
		s.hooks.samples = true
		return nil
	case probe.UprobePerf:
		return s.hooks.addTarget(point, h)
	case probe.RawTP, probe.TracepointPerf:
		return s.hooks.add(a, point, h)
	}
	return needsKernel(point.Name)
}

// clock is an interval, or the rate at which what runs is sampled.
type clock struct {
	hook    hook
	period  time.Duration
	samples bool
}

func period(p probe.Point) time.Duration {
	if p.Frequency != 0 {
		return time.Second / time.Duration(p.Frequency)
	}
	return max(p.Period, 1)
}

func (s *session) start(c clock) {
	t := time.NewTicker(c.period)
	s.tickers = append(s.tickers, t)
	s.clocks.Go(func() {
		for {
			select {
			case <-t.C:
			case <-s.done:
				return
			}
			if !c.samples {
				s.runSelf(c.hook)
			} else if !s.tracer.ask(func() { s.tracer.sample(c.hook) }, s.done) {
				return
			}
		}
	})
}

func (s *session) onSignal(point probe.Point, p *vm.Program) error {
	if point.Signal <= 0 {
		return fmt.Errorf("signal %d", point.Signal)
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.Signal(point.Signal))
	s.signals = append(s.signals, c)
	s.clocks.Go(func() {
		for {
			select {
			case <-c:
				s.runSelf(hook{program: p})
			case <-s.done:
				return
			}
		}
	})
	return nil
}

// runSelf runs a program for an event of our own.
func (s *session) runSelf(h hook) {
	s.run.Lock()
	defer s.run.Unlock()
	if !s.disabled.Load() {
		s.runner.self(h)
	}
}

// Run runs a program once: BEGIN, END.
func (s *session) Run(name string) error {
	if s.closed {
		return host.ErrClosed
	}
	p := s.collection.Programs[name]
	if p == nil {
		return fmt.Errorf("no program %s", name)
	}
	s.run.Lock()
	defer s.run.Unlock()
	return s.runner.self(hook{program: p})
}

func (s *session) Map(name string) host.Map {
	if m := s.maps[name]; m != nil {
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

// Missed is empty: an event waits for its programs.
func (s *session) Missed() map[string]uint64 { return nil }

func (s *session) State() []uint64 { return s.state }

// Disable stops the programs. What is traced goes on, unseen.
func (s *session) Disable() {
	if s.disabled.Swap(true) {
		return
	}
	close(s.done)
	for _, t := range s.tickers {
		t.Stop()
	}
	for _, c := range s.signals {
		signal.Stop(c)
	}
	s.run.Lock() // the one that runs is the last
	defer s.run.Unlock()
}

// ExitStatus tells how the command has ended, once it has.
func (s *session) ExitStatus() (syscall.WaitStatus, bool) {
	if s.tracer == nil {
		return 0, false
	}
	return s.tracer.commandStatus()
}

// Close lets go of the traced processes and frees everything.
func (s *session) Close() error {
	if s.closed {
		return nil
	}
	s.Disable()
	s.clocks.Wait()
	s.closed = true
	if s.tracer != nil {
		s.tracer.close()
	}
	for _, r := range s.rings {
		r.close()
	}
	var errs []error
	if s.collection != nil {
		errs = append(errs, s.collection.Close())
	}
	if s.machine != nil {
		errs = append(errs, s.machine.Close())
	}
	return errors.Join(errs...)
}
