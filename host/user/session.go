package user

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"

	"skep/host"
	"skep/host/machine"
	"skep/probe"
	"skep/vm"
)

// session is what was loaded and what it traces. Attach, Disable and Close are called from one goroutine.
type session struct {
	host   *Host
	opt    host.Options
	attach []probe.Attach

	*machine.Loaded // nil until it is loaded
	collection      *vm.Collection

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
	return &session{host: h, opt: opt, attach: attach, done: make(chan struct{})}
}

func (s *session) load(spec *ebpf.CollectionSpec) (err error) {
	loaded, err := machine.Load(spec, s.machineOptions(), s.opt)
	if err != nil {
		return err
	}
	s.Loaded, s.collection = loaded, loaded.Collection
	if s.runner, err = newRunner(s); err != nil {
		return err
	}
	s.run.Lock()
	defer s.run.Unlock()
	return s.runner.check()
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
	for n, a := range s.attach {
		if isBegin(a) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return attached, failed, err
		}
		for i, point := range a.Points {
			if err := s.attachPoint(n, i, &clocks); err != nil {
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

// attachPoint puts the program of attachment n on its point i.
func (s *session) attachPoint(n, i int, clocks *[]clock) error {
	a := s.attach[n]
	point := a.Points[i]
	h := hook{program: s.collection.Programs[a.Program], attach: n, point: i}
	if i < len(a.Cookies) {
		h.cookie = a.Cookies[i]
	}
	switch a.How {
	case probe.TestRun: // END waits for Run
		return nil
	case probe.SignalSelf:
		return s.onSignal(point, h)
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

func (s *session) onSignal(point probe.Point, h hook) error {
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
				s.runSelf(h)
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
	return s.runner.self(hook{program: p, attach: slices.IndexFunc(s.attach, func(a probe.Attach) bool { return a.Program == name })})
}

// Missed is empty: an event waits for its programs.
func (s *session) Missed() map[string]uint64 { return nil }

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

// Signalled reports whether the command has got a signal since then.
func (s *session) Signalled(signal syscall.Signal, since time.Time) bool {
	return s.tracer != nil && s.tracer.signalledAt[signal].Load() > since.UnixNano()
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
	if s.Loaded == nil {
		return nil
	}
	return s.Loaded.Close()
}
