package user

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/recording"
	"skep/vm"
)

// tap takes down what programs are given. All of it is under the session's lock. A nil tap does nothing.
type tap struct {
	sink     host.EventSink
	event    *recording.Event // of the run under way
	wants    properties       // what the script asks of tasks, and names
	needsCPU bool             // the script asks for the CPU
	known    map[int]identity // by task
}

// identity is what no program has asked of a task; other scripts may, when the events are replayed. It costs several files of /proc.
type identity struct {
	at   time.Time
	task recording.Task
	cpu  int
}

const (
	// freshness is how long an identity is taken for true: tasks seldom change their user, their cgroup or their parent.
	freshness = 10 * time.Millisecond
	mostKnown = 1 << 14
)

// newTap makes a tap for a runner, nil if nobody records.
func newTap(r *runner) *tap {
	sink := r.session.opt.Record
	if sink == nil {
		return nil
	}
	wants := r.wants
	wants.comm = true
	return &tap{sink: sink, wants: wants, needsCPU: r.needsCPU, known: map[int]identity{}}
}

// identity gives what is known of a task.
func (p *tap) identity(t *task) identity {
	now := time.Now()
	if k, ok := p.known[t.tid]; ok && now.Sub(k.at) < freshness && t.pid == int(k.task.PID) {
		return k
	}
	seen := t.asTask(properties{ids: true, cgroups: true})
	k := identity{at: now, cpu: t.cpu(), task: recording.Task{
		TID: seen.TID, PID: seen.PID, UID: seen.UID, GID: seen.GID, Cgroups: seen.Cgroups, OwnTID: seen.TID, OwnPID: seen.PID,
	}}
	if parent := parentOf(t.pid); parent != 0 {
		k.task.ParentPID, k.task.ParentComm = uint32(parent), (&task{tid: parent}).nameOnce()
	}
	if len(p.known) >= mostKnown {
		clear(p.known)
	}
	p.known[t.tid] = k
	return k
}

// begin is before a program runs on the context.
func (p *tap) begin(r *runner, ctx vm.Context, cpu int) {
	if p == nil {
		return
	}
	t := r.event.task
	known := p.identity(t)
	e := &recording.Event{Boot: nanoseconds(unix.CLOCK_BOOTTIME), CPU: cpu, Task: known.task}
	if !p.needsCPU {
		e.CPU = known.cpu
	}
	if e.CPU < 0 || e.CPU >= possibleCPUs() {
		e.CPU = 0
	}
	// The script's own questions are answered anew each time, and names change with each program that is executed.
	seen := t.asTask(p.wants)
	e.Task.Comm, e.Task.Address = seen.Comm, seen.Address
	if p.wants.ids {
		e.Task.UID, e.Task.GID = seen.UID, seen.GID
	}
	if p.wants.cgroups {
		e.Task.Cgroups = seen.Cgroups
	}
	switch ctx {
	case r.words:
		if r.event.regs != nil {
			e.Context = append(bytes.Clone(r.words.Bytes()[8:16]), r.regs.Bytes()...)
		}
	case r.perf:
		if r.event.regs != nil {
			e.Context = bytes.Clone(r.perf.Bytes())
		}
	case r.record:
		e.Context = bytes.Clone(bytes.TrimRight(r.record.Bytes(), "\x00"))
	case r.probe:
		e.Context = bytes.Clone(r.probe.Bytes()[:ptRegsSize])
	}
	p.event = e
}

// end is after it.
func (p *tap) end(h hook) {
	if p != nil {
		p.sink.Event(h.attach, h.point, p.event)
		p.event = nil
	}
}

func (p *tap) add(r recording.Result) {
	if p.event != nil {
		p.event.Results = append(p.event.Results, r)
	}
}

func (p *tap) value(kind recording.Kind, v uint64) uint64 {
	p.add(recording.Result{Kind: kind, Value: v})
	return v
}

// read takes down a read of memory.
func (p *tap) read(kind recording.Kind, addr uint64, to []byte, err error) error {
	if err != nil {
		p.add(recording.Result{Kind: kind, Addr: addr, Errno: int(unix.EFAULT), Value: uint64(len(to))})
	} else {
		p.add(recording.Result{Kind: kind, Addr: addr, Data: bytes.Clone(to)})
	}
	return err
}

// machineOptions are those of the session's machine.
func (s *session) machineOptions() vm.Options {
	o := vm.Options{CPUs: possibleCPUs(), Host: s.machineHost()}
	if s.opt.Record == nil {
		return o
	}
	plain := o.Host
	o.Clock = tappedClock{s}
	o.Random = func() uint32 {
		var b [4]byte
		_, _ = unix.Getrandom(b[:], 0) // the kernel always has numbers once it has started
		return uint32(s.runner.tap.value(recording.Random, uint64(binary.NativeEndian.Uint32(b[:]))))
	}
	o.Host.ReadUser = func(t *vm.Thread, addr uint64, to []byte) error {
		return s.runner.tap.read(recording.ReadUser, addr, to, plain.ReadUser(t, addr, to))
	}
	o.Host.ReadKernel = func(t *vm.Thread, addr uint64, to []byte) error {
		err := plain.ReadKernel(t, addr, to)
		if addr-s.runner.at < ptRegsSize { // the registers are in the context
			return err
		}
		return s.runner.tap.read(recording.ReadKernel, addr, to, err)
	}
	o.Host.Stack = func(t *vm.Thread, user bool, frames []uint64) int {
		n := plain.Stack(t, user, frames)
		kind := recording.KernelStack
		if user {
			kind = recording.UserStack
		}
		s.runner.tap.add(recording.Result{Kind: kind, Frames: append([]uint64(nil), frames[:n]...)})
		return n
	}
	o.Host.Signal = func(t *vm.Thread, signal uint32, process bool) error {
		err := plain.Signal(t, signal, process)
		errno := 0
		if err != nil {
			errno = int(unix.EPERM)
		}
		s.runner.tap.add(recording.Result{Kind: recording.Signal, Errno: errno})
		return err
	}
	return o
}

// tappedClock is this computer's, taken down.
type tappedClock struct{ *session }

func (c tappedClock) Monotonic() uint64 {
	return c.runner.tap.value(recording.Monotonic, nanoseconds(unix.CLOCK_MONOTONIC))
}
func (c tappedClock) Boot() uint64 {
	return c.runner.tap.value(recording.Boot, nanoseconds(unix.CLOCK_BOOTTIME))
}
func (c tappedClock) TAI() uint64 {
	return c.runner.tap.value(recording.TAI, nanoseconds(unix.CLOCK_TAI))
}

// AfterFunc is for timers, which scripts have none of.
func (c tappedClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

func nanoseconds(clock int32) uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano())
}
