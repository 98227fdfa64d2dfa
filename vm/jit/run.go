//go:build (linux || darwin) && (amd64 || arm64)

package jit

import (
	"errors"
	"runtime"
	"unsafe"

	"skep/vm/engine"
)

// enter runs machine code at pc until it leaves.
//
//go:noescape
func enter(s *state)

// enter is the same by way of a function of Go's, at whose beginning Go stops goroutines: enter has no such place, and neither has what
// the compiler makes one with run.
//
//go:noinline
func (n *native) enter() { enter(&n.state) }

// resume is the same after a helper, without r1 to r5, which verified code does not read then.
//
//go:noescape
func resume(s *state)

// resumeFew is resume for programs that do not use r7 to r9. Where they keep these for a caller, as all functions do that a tail call
// leaves, they keep whatever is there, and nobody looks.
//
//go:noescape
func resumeFew(s *state)

// Run implements [engine.Image].
func (m *Image) Run(t *engine.Thread, slot int, args engine.Args) (uint64, error) {
	n, f, err := m.runnable(t, slot)
	if err != nil {
		return 0, engine.NewFault(m.program.Name, slot, [11]uint64{1: args.R1, args.R2, args.R3, args.R4, args.R5}, err)
	}
	outer, depth := t.Begin(m, &n.fuel), t.Depth
	var r0 uint64
	if n.running == 0 || outer.None() {
		n.running, n.images, n.sp = 0, n.images[:0], n.stack
		r0, err = m.run(t, n, f, &args)
	} else {
		// Called back: what runs outside gets its registers back, which are also its helper's arguments.
		saved, images := n.saveRun(), len(n.images)
		r0, err = m.run(t, n, f, &args)
		n.restoreRun(&saved)
		n.images = n.images[:images]
	}
	t.End(outer)
	if t.Frames() > engine.MaxFrames {
		t.Shrink()
	}
	t.Depth = depth
	return r0, err
}

var errUnchecked = errors.New("the program is compiled without checks, and the thread does not trust it")

func (m *Image) runnable(t *engine.Thread, slot int) (*native, *function, error) {
	f := 0 // most often
	if slot != 0 {
		f = m.program.FuncAt(slot)
	}
	switch {
	case f < 0 || m.mem == nil:
		return nil, nil, engine.ErrSlot
	case t.Stack == nil || len(t.Stack.Bytes()) < engine.MaxFrames*engine.FrameSize:
		return nil, nil, engine.ErrStack
	case t.Depth < 0 || t.Depth >= t.Frames():
		return nil, nil, engine.ErrDepth
	case t.Space != nil && !m.checked:
		return nil, nil, errUnchecked
	}
	n, ok := t.Native.(*native)
	if !ok {
		var err error
		if n, err = nativeOf(t); err != nil {
			return nil, nil, err
		}
	}
	return n, &m.funcs[f], nil
}

// A saved is what a run that is interrupted by another one wants back.
type saved struct {
	pc, sp uint64
	regs   [11]uint64
	fuel   int64
}

func (n *native) saveRun() saved { return saved{n.pc, n.sp, n.regs, n.fuel} }

func (n *native) restoreRun(s *saved) { n.pc, n.sp, n.regs, n.fuel = s.pc, s.sp, s.regs, s.fuel }

// run runs a function, and does for the machine code what it leaves for.
func (m *Image) run(t *engine.Thread, n *native, f *function, args *engine.Args) (r0 uint64, err error) {
	base := t.Stack.Base()
	n.running++
	n.limit = base + uint64(t.Frames())*engine.FrameSize
	n.loops = uint64(uintptr(unsafe.Pointer(&t.Loops)))
	n.cpu = uint64(t.CPU)
	n.fuel = t.Slice()
	// One by one: copied as a whole, the processor would have to wait for each.
	n.regs[0], n.regs[1], n.regs[2], n.regs[3], n.regs[4], n.regs[5] = 0, args.R1, args.R2, args.R3, args.R4, args.R5
	n.regs[6], n.regs[7], n.regs[8], n.regs[9] = 0, 0, 0, 0
	n.regs[10] = base + uint64(t.Depth)*engine.FrameSize
	n.pc = m.address(f.entry)
	n.push(m.address(m.done))
	if m.checked {
		t.Reach(t.Depth, f.frames)
		n.refresh(t)
	}
	tailed := false
	for err == nil {
		if tailed {
			n.enter()
		} else {
			m.calls(t, n, base)
		}
		switch n.exit & (1<<rowShift - 1) {
		case exitDone:
			n.running--
			t.Budget += n.fuel
			runtime.KeepAlive(m)
			return n.regs[0], nil
		case exitCall:
			m = n.imageOf(m)
			if m.call(t, n, base); t.Pending() {
				err = m.pending(t, n)
			}
		case exitPending:
			tailed = true
			err = m.pending(t, n)
		case exitFuel:
			n.fuel, err = t.Refill(n.fuel)
		case exitAccess:
			err = n.imageOf(m).lookup(t, n)
		case exitPacket:
			err = n.imageOf(m).loadPacket(t, n)
		case exitDepth:
			err = engine.ErrDepth
		case exitReturn:
			err = engine.ErrReturn
		}
	}
	n.running--
	t.Budget += max(n.fuel, 0)
	m = n.imageOf(m)
	return 0, engine.NewFault(m.program.Name, m.slotAt(int(n.pc-m.base)), n.regs, err)
}

// calls runs machine code until it leaves for something else than a helper that only returns. It is apart from run to have less to
// remember, and knows that no other image's code runs. Go stops goroutines at its beginning.
//
//go:noinline
func (m *Image) calls(t *engine.Thread, n *native, base uint64) {
	helpers := m.helpers
	enter(&n.state)
	for n.exit&(1<<rowShift-1) == exitCall {
		t.Depth = int((n.regs[10] - base) / engine.FrameSize)
		n.regs[0] = helpers[n.exit>>rowShift](t, (*[5]uint64)(n.regs[1:6]))
		if t.Pending() {
			n.exit = exitPending
			return
		}
		switch {
		case m.few:
			resumeFew(&n.state)
		case m.checked:
			n.refresh(t)
			enter(&n.state)
		default:
			resume(&n.state)
		}
	}
}

// call calls a helper in a run with tail calls.
func (m *Image) call(t *engine.Thread, n *native, base uint64) {
	t.Continue(m)
	t.Depth = int((n.regs[10] - base) / engine.FrameSize)
	n.regs[0] = m.helpers[n.exit>>rowShift](t, (*[5]uint64)(n.regs[1:6]))
	n.refresh(t)
}
