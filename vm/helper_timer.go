package vm

import (
	"sync"
	"time"

	"skep/vm/code"
	"skep/vm/maps"
)

// timerSize is that of struct bpf_timer, of which the machine uses nothing: timers are known by their address.
const timerSize = 16

// timers are those of a machine's maps.
type timers struct {
	machine *Machine

	mu      sync.Mutex
	all     map[uint64]*timer // by address
	running sync.WaitGroup
	closed  bool
}

// A timer is one that a program has initialized.
type timer struct {
	m       maps.Map
	addr    uint64
	clock   uint64
	program *Program
	slot    int
	stop    func() bool   // of what waits for its time; nil if nothing does
	round   uint64        // counts the starts, so that one that is overtaken is noticed
	thread  *Thread       // that runs the callback now
	ended   chan struct{} // closed when the callback that was begun last has ended
}

// Clocks of timers, and flags of their start.
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clockBoot      = 7

	timerAbsolute = 1
	timerPinned   = 2
)

const edeadlk maps.Errno = 35

func timerInit(t *Thread, a *[5]uint64) uint64 {
	ts := &t.machine.timers
	m := t.machine.mapAt(a[1])
	if clock := a[2]; clock != clockRealtime && clock != clockMonotonic && clock != clockBoot {
		return errno(maps.EINVAL)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all[a[0]] != nil {
		return errno(maps.EBUSY)
	}
	if ts.closed {
		return errno(maps.EPERM)
	}
	if ts.all == nil {
		ts.all = map[uint64]*timer{}
	}
	ts.all[a[0]] = &timer{m: m, addr: a[0], clock: a[2]}
	return 0
}

func timerSetCallback(t *Thread, a *[5]uint64) uint64 {
	ts := &t.machine.timers
	slot, _ := code.FuncSlot(a[1])
	ts.mu.Lock()
	defer ts.mu.Unlock()
	x := ts.all[a[0]]
	if x == nil {
		return errno(maps.EINVAL)
	}
	x.program, x.slot = t.running(), slot
	return 0
}

func timerStart(t *Thread, a *[5]uint64) uint64 {
	ts := &t.machine.timers
	ns, flags := a[1], a[2]
	if flags&^(timerAbsolute|timerPinned) != 0 {
		return errno(maps.EINVAL)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	x := ts.all[a[0]]
	if x == nil || x.program == nil {
		return errno(maps.EINVAL)
	}
	if flags&timerAbsolute != 0 {
		ns -= min(ns, x.now(t.machine.clock))
	}
	if x.stop != nil {
		x.stop()
	}
	x.round++
	round, cpu := x.round, t.engine.CPU
	x.stop = t.machine.clock.AfterFunc(time.Duration(min(ns, 1<<62)), func() { ts.fire(x, round, cpu) })
	return 0
}

// now is the time of the timer's clock.
func (x *timer) now(c Clock) uint64 {
	switch x.clock {
	case clockBoot:
		return c.Boot()
	case clockRealtime:
		return c.TAI()
	}
	return c.Monotonic()
}

// timerCancel returns 1 if the timer was waiting. It does not wait for a callback that runs: that ends by itself.
func timerCancel(t *Thread, a *[5]uint64) uint64 {
	ts := &t.machine.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	x := ts.all[a[0]]
	switch {
	case x == nil:
		return errno(maps.EINVAL)
	case x.thread == t:
		return errno(edeadlk)
	case x.stop == nil:
		return 0
	}
	waiting := x.stop()
	x.stop = nil
	if waiting {
		return 1
	}
	return 0
}

// fire runs a timer's callback with the map, the key and the value.
func (ts *timers) fire(x *timer, round uint64, cpu int) {
	ts.mu.Lock()
	if ts.closed || ts.all[x.addr] != x || x.round != round || x.stop == nil {
		ts.mu.Unlock()
		return
	}
	x.stop = nil
	value := x.addr - uint64(max(x.m.Fields().Timer, 0))
	program, slot := x.program, x.slot
	ended := make(chan struct{})
	x.ended = ended
	ts.running.Add(1)
	ts.mu.Unlock()
	defer ts.running.Done()
	defer close(ended)
	_ = ts.machine.callback(program, slot, cpu, x, value)
}

// callback runs a timer's function on a thread of its own. That it faults has nobody to be told to but the host.
func (m *Machine) callback(p *Program, slot, cpu int, x *timer, value uint64) error {
	t, err := m.idleThread(cpu)
	if err != nil {
		return err
	}
	defer m.putThread(t)
	w, err := t.walk(x.m.KeySize())
	if err != nil {
		return err
	}
	defer t.walked(w)
	copy(w.key.Bytes(), x.m.KeyOf(value))
	m.timers.mu.Lock()
	x.thread = t
	m.timers.mu.Unlock()
	_, err = t.run(p, slot, &[5]uint64{x.m.Handle(), w.key.Base(), value})
	m.timers.mu.Lock()
	x.thread = nil
	m.timers.mu.Unlock()
	t.engine.Stop.Store(false) // who stops a timer as it ends does not mean the next one
	if err != nil && m.options.Host.TimerFault != nil {
		m.options.Host.TimerFault(err)
	}
	return err
}

// release forgets the timer of a value that ends.
func (ts *timers) release(value uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for addr, x := range ts.all {
		if addr-value == uint64(max(x.m.Fields().Timer, 0)) {
			if x.stop != nil {
				x.stop()
			}
			delete(ts.all, addr)
		}
	}
}

// closeOf stops the timers whose callbacks are functions of the collection's programs, and waits for those that run.
func (ts *timers) closeOf(c *Collection) {
	ts.mu.Lock()
	var running []chan struct{}
	for addr, x := range ts.all {
		if x.program == nil || x.program.collection != c {
			continue
		}
		if x.stop != nil {
			x.stop()
		}
		if x.thread != nil {
			x.thread.Stop()
		}
		if x.ended != nil {
			running = append(running, x.ended)
		}
		delete(ts.all, addr)
	}
	ts.mu.Unlock()
	for _, ended := range running {
		<-ended
	}
}

// close stops all timers and waits for those that run.
func (ts *timers) close() {
	ts.mu.Lock()
	ts.closed = true
	for _, x := range ts.all {
		if x.stop != nil {
			x.stop()
		}
		if x.thread != nil {
			x.thread.Stop()
		}
	}
	ts.mu.Unlock()
	ts.running.Wait()
}

// idleThread is a thread for callbacks on the CPU.
func (m *Machine) idleThread(cpu int) (*Thread, error) {
	m.mu.Lock()
	for i, t := range m.idle {
		if t.engine.CPU == cpu {
			m.idle = append(m.idle[:i], m.idle[i+1:]...)
			m.mu.Unlock()
			return t, nil
		}
	}
	m.mu.Unlock()
	return m.NewThread(cpu)
}

func (m *Machine) putThread(t *Thread) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, t)
}
