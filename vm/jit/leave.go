//go:build (linux || darwin) && (amd64 || arm64)

package jit

import (
	"skep/vm/code"
	"skep/vm/engine"
)

// imageOf is the image whose code has been left, most probably the one given.
func (n *native) imageOf(m *Image) *Image {
	if n.pc-m.base < m.size {
		return m
	}
	return n.imageAt(n.pc)
}

// imageAt is the image that has the address, among those that tail calls have left or begun.
func (n *native) imageAt(pc uint64) *Image {
	for _, m := range n.images {
		if pc-m.base < m.size {
			return m
		}
	}
	panic("jit: machine code of no image has run")
}

// pending does what a helper wants besides going on.
func (m *Image) pending(t *engine.Thread, n *native) error {
	tail, err := t.TakeTail()
	if err != nil || tail == nil {
		return err
	}
	f := &m.funcs[m.program.FuncOf(m.slotAt(int(n.pc-m.base)))]
	to, same := tail.(*Image)
	switch {
	case !same || to.mem == nil:
		// Another engine's: it runs in the function's place, which then returns.
		t.Depth--
		n.regs[0], err = t.RunInstead(tail, &n.fuel, [5]uint64(n.regs[1:6]))
		n.pc = m.address(f.exit)
		return err
	case t.Space != nil && !to.checked:
		return errUnchecked
	}
	n.images = append(n.images, m, to)
	n.limit = t.Stack.Base() + uint64(t.Frames())*engine.FrameSize
	t.Reach(t.Depth-1, to.funcs[0].frames)
	n.pc, n.tail = m.address(f.tail), to.address(to.funcs[0].entry)
	n.refresh(t)
	return nil
}

// lookup looks up an access that no window shows, and moves the first window there.
func (m *Image) lookup(t *engine.Thread, n *native) error {
	in := m.program.Insns[m.slotAt(int(n.pc-m.base))]
	atomic := in.Mode() == code.ModeATOMIC
	write := in.Class() != code.ClassLDX && !(atomic && in.Imm == code.AtomicLoad)
	r, err := t.Access(n.addr, in.Bytes(), write, atomic)
	if err != nil || r.Size < 8 {
		return err
	}
	w := &n.reads
	if write {
		w = &n.writes
	}
	copy(w[1:], w[:])
	w[0] = newWindow(r.Base, r.Size)
	return nil
}

// loadPacket does a legacy load.
func (m *Image) loadPacket(t *engine.Thread, n *native) error {
	if t.Packet == nil {
		return engine.ErrPacket
	}
	in := m.program.Insns[n.exit>>rowShift]
	off := in.Imm
	if in.Mode() == code.ModeIND {
		off += int32(n.regs[in.Src()])
	}
	v, ok := t.Packet(t, n.regs[6], off, in.Bytes())
	if n.regs[0] = v; !ok {
		n.regs[0] = 0
		n.pc = m.address(m.funcs[m.program.FuncOf(int(n.exit>>rowShift))].exit)
	}
	return nil
}
