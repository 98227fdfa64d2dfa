package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/probe"
	"skep/recording"
)

// Live records what the programs of another host see, and plays it at once.
type Live struct {
	*player
	source  host.Session
	writer  *recording.Writer
	sourced []probe.Attach
	probes  map[key]int // of the source, in the header

	mu     sync.Mutex
	queue  []*recording.Event // under mu
	lost   uint64             // under mu
	failed error              // of the file; under mu
	ready  chan struct{}      // something has come

	disabled bool
}

var (
	_ host.Player        = (*Live)(nil)
	_ host.EventSink     = (*Live)(nil)
	_ host.ProcessSyncer = (*Live)(nil)
	_ host.Command       = (*Live)(nil)
)

// Probes lists the points of the attachments, for the header of a recording. It is an error if what a program is given cannot be recorded.
func Probes(attach []probe.Attach) ([]recording.Probe, error) {
	var all []recording.Probe
	for _, a := range attach {
		switch a.How {
		case probe.Trampoline, probe.BTFTP:
			return nil, fmt.Errorf("%s cannot be recorded: only the kernel can follow its arguments (kprobe and kretprobe can be)", a.Points[0].Name)
		}
		for _, p := range a.Points {
			all = append(all, recording.Probe{Point: p, Form: FormOf(a)})
		}
	}
	return all, nil
}

// NewLive makes the machine that plays what is recorded. sourced are the attachments of the host that the events come from, attach those of
// the programs that are played.
func NewLive(w *recording.Writer, h *recording.Header, sourced []probe.Attach, spec *ebpf.CollectionSpec, attach []probe.Attach, opt host.Options) (*Live, error) {
	p, err := newPlayer(h, spec, attach, opt)
	if err != nil {
		return nil, err
	}
	l := &Live{player: p, writer: w, sourced: sourced, probes: map[key]int{}, ready: make(chan struct{}, 1)}
	for n, a := range sourced {
		for i := range a.Points {
			l.probes[key{n, i}] = len(l.probes)
		}
	}
	l.setClocks()
	return l, nil
}

// setClocks takes the distances between this computer's clocks.
func (l *Live) setClocks() {
	s := &l.start
	s.Boot = nanoseconds(unix.CLOCK_BOOTTIME)
	s.Monotonic = int64(nanoseconds(unix.CLOCK_MONOTONIC) - s.Boot)
	s.TAI = int64(nanoseconds(unix.CLOCK_TAI) - s.Boot)
	s.Wall = time.Now().UnixNano() - int64(s.Boot)
	name, err := os.ReadFile("/proc/self/comm")
	comm := "skep"
	if err == nil {
		comm = strings.TrimSuffix(string(name), "\n")
	}
	pid := uint32(os.Getpid())
	s.Self = recording.Task{
		TID: pid, PID: pid, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Comm: comm, OwnTID: pid, OwnPID: pid, ParentPID: uint32(os.Getppid()),
	}
	l.now = s.Boot
}

func nanoseconds(clock int32) uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// SetSource says where the events come from: a session that was loaded with l as its sink.
func (l *Live) SetSource(source host.Session) { l.source = source }

// Event is called by the source.
func (l *Live) Event(attach, point int, e *recording.Event) {
	at, ok := l.probes[key{attach, point}]
	if !ok {
		return
	}
	e.Probe = at
	e.CPU = min(max(e.CPU, 0), len(l.threads)-1)
	l.mu.Lock()
	if l.failed == nil {
		l.failed = l.writer.Event(e)
	}
	l.queue = append(l.queue, e)
	l.mu.Unlock()
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// mostWaiting is how many events may wait to be played before the source keeps its own.
const mostWaiting = 1 << 16

// full reports whether the source should keep its events: what it has no room for then is lost, and counted.
func (l *Live) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > mostWaiting
}

// Lost is called by the source.
func (l *Live) Lost(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += n
}

// Attach attaches the source's programs, and plays BEGIN.
func (l *Live) Attach(ctx context.Context) (attached int, failed []*host.AttachError, err error) {
	state := l.source.State()
	for i, word := range l.state() {
		if word != 0 && i < len(state) {
			state[i] = word
		}
	}
	attached, failed, err = l.source.Attach(ctx)
	if err != nil {
		return attached, failed, err
	}
	l.start.Attached, l.start.State = attached, append([]uint64(nil), l.state()...)
	if len(failed) > 0 {
		l.start.Failed = map[int]string{}
	}
	for _, f := range failed {
		for at, p := range l.header.Probes {
			if p.Point.Name == f.Point.Name {
				l.start.Failed[at] = f.Err.Error()
			}
		}
	}
	if err := l.writer.Begin(&l.start); err != nil {
		return attached, failed, err
	}
	l.catchUp(false)
	for {
		e := l.take(func(e *recording.Event) bool { return l.header.Probes[e.Probe].Point.Kind == probe.Begin })
		if e == nil {
			return attached, failed, nil
		}
		if err := l.play(e); err != nil {
			return attached, failed, err
		}
	}
}

// catchUp has a source that sends its events late send all that there are.
func (l *Live) catchUp(end bool) {
	if s, ok := l.source.(*kernelSource); ok {
		s.catchUp(end)
	}
}

// take takes the first event, if it is wanted; nil if not, or if there is none.
func (l *Live) take(wanted func(*recording.Event) bool) *recording.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 || wanted != nil && !wanted(l.queue[0]) {
		return nil
	}
	e := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return e
}

// Play plays the events that have come, and waits for the first of them.
func (l *Live) Play(ctx context.Context) (more bool, err error) {
	for n := 0; n < mostAtOnce; n++ {
		l.mu.Lock()
		err := l.failed
		l.mu.Unlock()
		if err != nil {
			return false, err
		}
		e := l.take(nil)
		switch {
		case e != nil:
			if err := l.play(e); err != nil {
				return false, err
			}
			if l.crowded() {
				return true, nil
			}
			continue
		case l.disabled:
			return false, nil
		case n > 0:
			return true, nil
		}
		select {
		case <-l.ready:
			n--
		case <-ctx.Done():
			return false, nil
		case <-time.After(idle):
			return true, nil
		}
	}
	return true, nil
}

// idle is how long nothing happens before who reads the output may do something else.
const idle = time.Second

// Run runs END.
func (l *Live) Run(name string) error {
	n, ok := l.attachOf(name)
	if !ok {
		return host.ErrClosed
	}
	if state := l.source.State(); len(state) > stateStop {
		state[stateStop] = 0
	}
	at, recorded := l.recorded[key{n, 0}]
	if err := l.source.Run(l.sourceProgram(at)); err != nil {
		return err
	}
	l.catchUp(true)
	for recorded {
		e := l.take(nil)
		if e == nil {
			break
		}
		if e.Probe == at {
			return l.play(e)
		}
	}
	return l.self(l.hookOf(n, 0))
}

const stateStop = lower.StateStop / 8

// sourceProgram is the name of the source's program for a recorded probe.
func (l *Live) sourceProgram(at int) string {
	for k, probe := range l.probes {
		if probe == at {
			return l.sourced[k.attach].Program
		}
	}
	return ""
}

// Disable stops the source.
func (l *Live) Disable() {
	if l.disabled {
		return
	}
	l.source.Disable()
	l.catchUp(true)
	l.disabled = true
}

// Missed is what the source tells.
func (l *Live) Missed() map[string]uint64 { return l.source.Missed() }

// SyncProcesses passes it on.
func (l *Live) SyncProcesses() {
	if s, ok := l.source.(host.ProcessSyncer); ok {
		s.SyncProcesses()
	}
}

// ExitStatus passes it on.
func (l *Live) ExitStatus() (syscall.WaitStatus, bool) {
	if s, ok := l.source.(host.Command); ok {
		return s.ExitStatus()
	}
	return 0, false
}

// Signalled passes it on.
func (l *Live) Signalled(signal syscall.Signal, since time.Time) bool {
	s, ok := l.source.(host.Command)
	return ok && s.Signalled(signal, since)
}

// Map is the machine's map. Who clears it, or changes it, does so with the source's, too: what its programs do depends on that.
func (l *Live) Map(name string) host.Map {
	m := l.player.Map(name)
	if m == nil {
		return nil
	}
	if other := l.source.Map(name); other != nil {
		return bothMaps{m, other}
	}
	return m
}

type bothMaps struct {
	host.Map
	other host.Map
}

func (m bothMaps) Update(key, value []byte) error {
	return errors.Join(m.other.Update(key, value), m.Map.Update(key, value))
}
func (m bothMaps) Delete(key []byte) error {
	return errors.Join(m.other.Delete(key), m.Map.Delete(key))
}
func (m bothMaps) Clear() error { return errors.Join(m.other.Clear(), m.Map.Clear()) }

// Close ends the recording.
func (l *Live) Close() error {
	var errs []error
	if l.source != nil {
		l.Disable()
		errs = append(errs, l.source.Close())
	}
	l.report()
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost > 0 {
		l.notice("WARNING: %d events were lost: there was no room for them", lost)
	}
	errs = append(errs, l.writer.Close(recording.End{Boot: nanoseconds(unix.CLOCK_BOOTTIME), Lost: lost}), l.Loaded.Close())
	return errors.Join(errs...)
}
