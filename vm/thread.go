package vm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/memory"
)

// A Thread runs programs one after the other, like a CPU. It belongs to one goroutine at a time; only Stop may be called from others.
type Thread struct {
	engine engine.Thread // first, for trustedHelper

	// Event is the host's: what its functions need to know of the event that the program runs for.
	Event any
	// Budget is how many instructions a run may take; 0 is no limit.
	Budget int64
	// Cookie is what get_attach_cookie returns.
	Cookie uint64
	// FuncIP is what get_func_ip returns.
	FuncIP uint64
	// Override is what override_return has set for the function that the program is attached to, if Overridden says so.
	Override   uint64
	Overridden bool
	// Watch is called before each instruction of programs that the interpreter runs: with the program, the slot of the instruction, the depth
	// of the function's frame and its registers. It changes nothing of them.
	Watch func(p *code.Program, slot, depth int, r *[11]uint64)
	// Cgroup is the one that the program is attached to, whose storage get_local_storage returns.
	Cgroup uint64
	// Assigned is the socket that sk_assign has chosen. It is nil when a program begins.
	Assigned *Socket

	machine *Machine
	space   memory.Space
	context Context
	record  *Record         // the same, if it is one
	version uint64          // of a packet's regions
	fitting *Program        // that the context was found to fit
	regions []memory.Region // of the context, in space
	program *Program        // that was begun with
	tail    *Program        // that a tail call has gone to
	last    *Program        // that was begun with before: what is on the stack is its own, unless it made tail calls
	args    [5]uint64       // of the entry
	ctx     uint64          // the first of them
	locks   []uint64        // spin locks that the program holds
	records []record        // of ring buffers, that it has reserved and must submit
	sockets []lent          // that it has addresses of
	retval  int64           // of get_retval and set_retval
	walks   []*walk         // that are over
	came    bool            // the engine has returned, and did not panic
	text    []byte          // where formatted text is made
	stack   []uint64        // and where frames are
}

// NewThread makes a thread that runs programs on the CPU.
func (m *Machine) NewThread(cpu int) (*Thread, error) {
	if cpu < 0 || cpu >= m.CPUs() {
		return nil, fmt.Errorf("making a thread on CPU %d: the machine has %d", cpu, m.CPUs())
	}
	stack, err := memory.New(engine.StackSize)
	if err != nil {
		return nil, fmt.Errorf("making a thread: %w", err)
	}
	t := &Thread{machine: m}
	m.opened(t)
	t.space.Private = true
	t.engine.CPU, t.engine.Stack, t.engine.Machine = cpu, stack, t
	t.engine.Packet = loadPacket
	t.space.Add(memory.Region{Base: stack.Base(), Size: engine.MaxFrames * engine.FrameSize, Name: "the stack"})
	return t, nil
}

// Close frees the thread, which runs no program.
func (t *Thread) Close() error {
	t.machine.forget(t)
	errs := []error{t.engine.Stack.Free()}
	for _, w := range t.walks {
		errs = append(errs, w.key.Free())
	}
	t.walks = nil
	return errors.Join(errs...)
}

// CPU is the CPU that the thread's programs run on.
func (t *Thread) CPU() int { return t.engine.CPU }

// Machine is the machine that the thread belongs to.
func (t *Thread) Machine() *Machine { return t.machine }

// Context is what the running program was given.
func (t *Thread) Context() Context { return t.context }

// Stop ends the running program soon, with a [Fault], or the next one if none runs. It may be called from any goroutine.
func (t *Thread) Stop() { t.engine.Stop.Store(true) }

// ErrBusy means that a thread was asked to run a program while one runs.
var ErrBusy = errors.New("the thread runs a program")

// Run runs a program to its end. If it is ended before, the error is a *[Fault].
func (t *Thread) Run(p *Program, c Context) (r0 uint64, err error) {
	if t.program != nil {
		return 0, ErrBusy
	}
	t.args = [5]uint64{}
	if c.enter(t, &t.args) {
		t.context, t.fitting = c, nil
		t.setRegions(c.memory())
	}
	if t.fitting != p {
		if p.trusted && !c.fits(p.Type) {
			t.takeBack()
			return 0, fmt.Errorf("running program %s: a %T is not the context of programs of type %s", p.Name, c, p.Type)
		}
		t.fitting = p
	}
	return t.run(p, 0, &t.args)
}

// RunContext is Run, and ends the program when the context of package context is done.
func (t *Thread) RunContext(ctx context.Context, p *Program, c Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("running program %s: %w", p.Name, err)
	}
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		t.Stop()
		close(stopped)
	})
	r0, err := t.Run(p, c)
	if !cancel() {
		// The next program is not meant.
		<-stopped
		t.engine.Stop.Store(false)
	}
	if err != nil && errors.Is(err, engine.ErrStopped) && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return r0, err
}

// run runs the function at the slot.
func (t *Thread) run(p *Program, slot int, args *[5]uint64) (uint64, error) {
	t.program, t.ctx, t.retval, t.Overridden, t.Assigned = p, args[0], 0, false, nil
	defer t.leave()
	e := &t.engine
	if t.last != p || e.TailCalls > 0 {
		t.follow(p)
	}
	e.Space = nil
	if !p.trusted {
		t.space.Parent = p.collection.space
		e.Space = &t.space
	}
	e.Probe = nil
	if p.probes {
		e.Probe = probeHost
	}
	e.Watch = t.Watch
	e.Budget = t.Budget
	if e.Budget == 0 {
		e.Budget = math.MaxInt64 / 2
	}
	r0, err := p.image.Run(e, slot, engine.Args{R1: args[0], R2: args[1], R3: args[2], R4: args[3], R5: args[4]})
	t.came = true
	if err != nil {
		return 0, t.machine.explain(p, err)
	}
	return r0, nil
}

// follow is called before a program that runs on the stack of others. One that was not verified may read all of it, and what they have
// left there is not for it.
func (t *Thread) follow(p *Program) {
	if !p.trusted {
		clear(t.engine.Stack.Bytes()[:engine.MaxFrames*engine.FrameSize])
	}
	t.last = p
}

// leave takes back what a program that was ended holds. After a normal end there is nothing.
func (t *Thread) leave() {
	if !t.came {
		// A helper panics, which is a mistake of ours or of the host's: the thread stays usable for who recovers.
		t.engine.Reset()
		t.drop()
		return
	}
	t.came = false
	if t.engine.Stop.Load() {
		t.engine.Stop.Store(false)
	}
	t.drop()
}

func (t *Thread) drop() {
	t.program, t.tail = nil, nil
	if len(t.locks)+len(t.records)+len(t.sockets) == 0 {
		return
	}
	t.takeBack()
	for _, addr := range t.locks {
		unlock(addr)
	}
	for _, r := range t.records {
		r.ring.Discard(r.addr, 0)
	}
	t.locks, t.records = t.locks[:0], t.records[:0]
}

// Memory is memory of the running program, for functions of the host that get its address from the program. For a program that is checked
// it is an error if the program was not given it.
func (t *Thread) Memory(addr, size uint64, write bool) ([]byte, error) {
	if err := t.access(addr, size, write); err != nil {
		return nil, err
	}
	return memory.At(addr, int(size)), nil
}

// setRegions changes what the context's memory is, also while a program runs.
func (t *Thread) setRegions(regions []memory.Region) {
	for _, r := range t.regions {
		t.space.Remove(r.Base)
	}
	t.regions = append(t.regions[:0], regions...)
	for _, r := range t.regions {
		t.space.Add(r)
	}
}

// fail ends the running program, and is what a helper returns then.
func (t *Thread) fail(format string, args ...any) uint64 {
	t.engine.Fail(fmt.Errorf(format, args...))
	return 0
}
