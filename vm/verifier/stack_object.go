package verifier

// Some structs on the stack are the kernel's own: programs hand their address to functions and may not look inside. Each takes whole slots,
// of which the register says what it is.

// special reports whether the slot is part of such a struct.
func (s *slot) special() bool {
	switch s.fill[0] {
	case fillDynptr, fillIter, fillIRQ:
		return true
	}
	return false
}

// object finds the slots of a struct that r points to: the first is the one at the lowest address. ok is false if they lie outside of what
// the stack has grown to.
func (v *verifier) object(n int, r *reg, slots int, what string) (f *frame, first int, ok bool) {
	if !r.bits.isConst() {
		v.rejectReg(n, "argument", "the offset of %s on the stack must be known", what)
	}
	off := int(r.off) + int(int64(r.bits.value))
	if off%8 != 0 || off >= 0 || -off/8 < slots {
		v.rejectReg(n, "argument", "offset %d of the stack cannot hold %s", off, what)
	}
	f = v.stackFrame(r)
	first = -off/8 - 1
	return f, first, first < len(f.stack)
}

// fillObject makes slots a struct of the kernel's.
func (v *verifier) fillObject(f *frame, first, slots int, kind fill, r reg) {
	for i := range slots {
		s := &f.stack[first-i]
		life := s.reg.life
		s.reg = r
		s.reg.life = life
		s.reg.life.marks |= liveWritten
		s.reg.first = i == 0
		for j := range s.fill {
			s.fill[j] = kind
		}
		v.liveness.write(f.number, 1<<(first-i))
	}
}

// clearObject makes slots what they were before anything was written.
func (v *verifier) clearObject(f *frame, first, slots int) {
	for i := range slots {
		s := &f.stack[first-i]
		s.fill = [8]fill{}
		life := s.reg.life
		s.reg.setNotInit()
		s.reg.life = life
		s.reg.life.marks |= liveWritten
		v.liveness.write(f.number, 1<<(first-i))
	}
}

func (v *verifier) readObject(f *frame, first, slots int) {
	for i := range slots {
		v.markSlotRead(f.number, first-i, &f.stack[first-i].reg)
	}
}

// overwrite is called before a slot is written: a dynptr of which a part is written is none any more.
func (v *verifier) overwrite(f *frame, spi int) {
	if spi >= len(f.stack) || f.stack[spi].fill[0] != fillDynptr {
		return
	}
	if !f.stack[spi].reg.first {
		spi++
	}
	s := &f.stack[spi]
	if dynptrKind(s.reg.what).counted() {
		v.reject("dynptr", "a dynptr that must be submitted or discarded first would be overwritten")
	}
	v.endDynptr(f, spi)
}

// sameObject reports whether two slots of the kernel's structs are alike.
func sameObject(o, c *slot, m *idMap) bool {
	a, b := &o.reg, &c.reg
	return a.what == b.what && a.first == b.first && a.typ == b.typ && a.flags == b.flags && m.match(a.ref, b.ref)
}
