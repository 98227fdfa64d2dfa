package verifier

// stackFrame is the frame that a pointer to the stack leads into.
func (v *verifier) stackFrame(r *reg) *frame { return v.cur.frames[r.frame] }

// stackAccess checks a load from or store to the stack.
func (v *verifier) stackAccess(a access, r *reg) {
	v.stackBounds(a.reg, r, a.off+int(r.off), a.size, a.write)
	f := v.stackFrame(r)
	if r.bits.isConst() {
		off := a.off + int(r.off) + int(int64(r.bits.value))
		if a.write {
			v.stackWrite(a, f, off)
		} else {
			v.stackRead(a, f, off)
		}
		return
	}
	if a.write {
		v.stackWriteSomewhere(a, r, f)
		return
	}
	if a.value < 0 {
		v.rejectReg(a.reg, "stack", "the stack is read at an offset that is not known here")
	}
	v.stackReadSomewhere(a, r, f)
}

// stackBounds asks that the access lies in the frame, and lets the frame grow to it.
func (v *verifier) stackBounds(at int, r *reg, off, size int, write bool) {
	lo, hi := int64(off)+int64(r.bits.value), int64(0)
	if r.bits.isConst() {
		hi = lo + int64(size)
	} else {
		if r.smax >= maxVarOffset || r.smin <= -maxVarOffset {
			v.rejectReg(at, "bounds", "the offset in the stack has no bounds")
		}
		lo, hi = int64(off)+r.smin, int64(off)+r.smax+int64(size)
	}
	f := v.stackFrame(r)
	least := int64(-maxStack)
	if !write && !v.rules.uninitBelow {
		least = -int64(8 * len(f.stack))
	}
	if lo < -maxStack || lo >= 0 || hi > 0 {
		v.rejectReg(at, "bounds", "the access of %d bytes at offset %d does not lie inside of the stack, which has offsets -%d to -1", size, lo, maxStack)
	}
	if lo < least {
		v.rejectReg(at, "stack", "the stack at offset %d is read but was never written", lo)
	}
	if write || v.rules.uninitBelow {
		v.growStack(f, int(-lo))
	}
}

func (v *verifier) growStack(f *frame, size int) {
	size = (size + 7) / 8
	for len(f.stack) < size {
		s := slot{}
		s.reg.setNotInit()
		f.stack = append(f.stack, s)
	}
	v.subs[f.sub].stack = max(v.subs[f.sub].stack, 8*size)
}

// The byte at offset off lies in slot (-off-1)/8; the slot's fill[7] is the byte at its lowest address... of the same order as memory
// seen from above: fill[(-off-1)%8].
func fillAt(off int) (spi, i int) { n := -off - 1; return n / 8, n % 8 }

func (v *verifier) stackWrite(a access, f *frame, off int) {
	spi, first := fillAt(off)
	s := &f.stack[spi]
	var r *reg
	if a.value >= 0 {
		r = &v.regs()[a.value]
	}
	h := step{access: true, frame: uint8(f.number), spi: uint8(spi)}
	in := v.prog.insns[v.insn]
	known := r == nil && in.class() == classST && !a.anyBytes
	v.overwrite(f, spi)
	if a.size == 8 {
		v.liveness.write(f.number, 1<<spi)
	}
	switch {
	case r != nil && first == 7 && v.spillable(r):
		fits := r.width() <= 8*a.size
		if v.rules.spillIDs && fits {
			v.linkable(r)
		}
		if !v.rules.spillIDs && in.Dst() != 10 {
			// Stores by other registers cannot be found again on the way back.
			v.markPrecise(a.value)
		}
		v.spill(s, r, a.size)
		if v.rules.spillIDs && !fits || !v.rules.spillIDs && a.size != 8 {
			s.reg.id = 0
		}
		if !v.rules.narrowSpills && a.size != 8 {
			s.reg.coerce(a.size, v.rules)
		}
	case known && first == 7 && (in.Imm != 0 || v.rules.spillIDs):
		var k reg
		k.setNumber(uint64(int64(in.Imm)))
		v.spill(s, &k, a.size)
	case r != nil && r.isPointer():
		if a.size != 8 || first != 7 {
			v.rejectReg(a.value, "spill", "a pointer must be stored as a whole: 8 bytes, aligned")
		}
		if f != v.cur.frame() && r.kind == ptrStack {
			v.rejectReg(a.value, "spill", "a pointer to the stack cannot be stored in the caller's stack")
		}
		v.spill(s, r, 8)
	default:
		v.writeBytes(a, s, first, r, known && in.Imm == 0)
		h.access = false
	}
	if h.access && v.rules.stackPrecision {
		v.remember(h, nil)
	}
}

// spillable reports whether a number is stored as what it is, or only as bytes.
func (v *verifier) spillable(r *reg) bool {
	if r.kind != scalar {
		return false
	}
	if v.rules.spillIDs {
		return true
	}
	var all reg
	all.unbounded()
	return !r.isNull() && !r.within(&all)
}

// spill stores a register in a slot.
func (v *verifier) spill(s *slot, r *reg, size int) {
	old := s.reg.life
	s.reg = *r
	s.reg.life = old
	if size == 8 {
		s.reg.life.marks |= liveWritten
	}
	for i := 7; i > 7-size; i-- {
		s.fill[i] = fillSpill
	}
	for i := 7 - size; i >= 0; i-- {
		v.scrub(&s.fill[i])
	}
}

// scrub is what becomes of a byte next to a spilled part, or of a spilled register that is overwritten in part.
func (v *verifier) scrub(f *fill) {
	if *f == fillZero && v.rules.spillIDs || *f == fillInvalid {
		return
	}
	*f = fillMisc
}

func (v *verifier) writeBytes(a access, s *slot, first int, r *reg, zero bool) {
	s.reg.kind = notInit
	if s.fill[7] == fillSpill || s.special() {
		for i := range s.fill {
			if s.fill[i] != fillInvalid {
				s.fill[i] = fillMisc
			}
		}
	}
	if a.size == 8 {
		s.reg.life.marks |= liveWritten
	}
	kind := fillMisc
	if r != nil && r.isNull() || zero {
		if a.value >= 0 {
			v.markPrecise(a.value)
		}
		kind = fillZero
	}
	for i := range a.size {
		s.fill[(first-i+8)%8] = kind
	}
}

func (v *verifier) stackRead(a access, f *frame, off int) {
	spi, first := fillAt(off)
	if spi >= len(f.stack) {
		v.rejectReg(a.reg, "stack", "the stack at offset %d is read but was never written", off)
	}
	s := &f.stack[spi]
	h := step{access: true, frame: uint8(f.number), spi: uint8(spi)}
	v.markSlotRead(f.number, spi, &s.reg)
	if !s.spilled() {
		v.checkBytes(a, s, first, off, false)
		if a.value >= 0 {
			v.readBytes(a, f, off)
		}
		return
	}
	spillSize := 1
	for i := 7; i > 0 && s.fill[i-1] == fillSpill; i-- {
		spillSize++
	}
	if a.size == 8 && spillSize == 8 {
		if a.value >= 0 {
			if v.rules.spillIDs {
				v.linkable(&s.reg)
			}
			v.fillReg(a.value, &s.reg)
		}
		if v.rules.stackPrecision {
			v.remember(h, nil)
		}
		return
	}
	if s.reg.kind != scalar {
		v.rejectReg(a.reg, "fill", "a part of a stored pointer is read at offset %d of the stack", off)
	}
	if a.value < 0 {
		return
	}
	narrow := a.size == spillSize && first == 7
	if v.rules.narrowSpills {
		narrow = a.size <= spillSize && first == 7
	}
	if narrow {
		if v.rules.spillIDs {
			v.linkable(&s.reg)
		}
		wide := s.reg.width() > 8*a.size
		v.fillReg(a.value, &s.reg)
		if x := &v.regs()[a.value]; wide || !v.rules.spillIDs {
			x.id = 0
		}
		if v.rules.stackPrecision {
			v.remember(h, nil)
		}
		return
	}
	spills, zeros := 0, 0
	for i := range a.size {
		switch s.fill[(first-i+8)%8] {
		case fillSpill:
			spills++
		case fillZero:
			zeros++
		case fillInvalid:
			if !v.rules.uninitStack {
				v.rejectReg(a.reg, "stack", "the stack at offset %d is read but was never written", off+i)
			}
		}
	}
	x := &v.regs()[a.value]
	switch {
	case !v.rules.stackPrecision:
		x.setUnknown()
	case spills == a.size && s.reg.isNull():
		x.setNumber(0)
		v.remember(h, nil)
	case zeros == a.size:
		x.setNumber(0)
	default:
		x.setUnknown()
	}
}

// fillReg restores a spilled register.
func (v *verifier) fillReg(to int, from *reg) {
	x := &v.regs()[to]
	old := x.life
	*x = *from
	x.life = old
}

// checkBytes asks that the bytes have been written.
func (v *verifier) checkBytes(a access, s *slot, first, off int, helper bool) {
	for i := range a.size {
		switch s.fill[(first-i+8)%8] {
		case fillMisc, fillZero:
		case fillInvalid:
			if !v.rules.uninitStack {
				v.rejectReg(a.reg, "stack", "the stack at offset %d is read but was never written", off+i)
			}
		default:
			v.rejectReg(a.reg, "stack", "the stack at offset %d holds something that cannot be read", off+i)
		}
	}
}

// readBytes reads bytes that are no spilled register: 0, or anything.
func (v *verifier) readBytes(a access, f *frame, off int) {
	x := &v.regs()[a.value]
	for i := range a.size {
		spi, at := fillAt(off + i)
		if f.stack[spi].fill[at] != fillZero {
			x.setUnknown()
			return
		}
	}
	x.setNumber(0)
	if !v.rules.stackPrecision {
		x.precise = true
	}
}

// stackReadSomewhere reads from the stack at an offset that is not known exactly.
func (v *verifier) stackReadSomewhere(a access, r *reg, f *frame) {
	v.stackInitialized(a.reg, a.off, a.size, false, reads)
	lo, hi := int64(a.off)+int64(r.off)+r.smin, int64(a.off)+int64(r.off)+r.smax+int64(a.size)
	x := &v.regs()[a.value]
	for off := lo; off < hi; off++ {
		spi, at := fillAt(int(off))
		if f.stack[spi].fill[at] != fillZero {
			x.setUnknown()
			return
		}
	}
	x.setNumber(0)
	if !v.rules.stackPrecision {
		x.precise = true
	}
}

// stackWriteSomewhere writes to the stack at an offset that is not known exactly: all that may be hit is unknown afterwards.
func (v *verifier) stackWriteSomewhere(a access, r *reg, f *frame) {
	lo, hi := int(int64(a.off)+int64(r.off)+r.smin), int(int64(a.off)+int64(r.off)+r.smax)+a.size
	in := v.prog.insns[v.insn]
	zero := a.value < 0 && in.class() == classST && in.Imm == 0
	if a.value >= 0 {
		zero = v.regs()[a.value].isNull()
	}
	keptZero := false
	for off := lo; off < hi; off++ {
		spi, _ := fillAt(off)
		v.overwrite(f, spi)
	}
	for off := lo; off < hi; off++ {
		spi, at := fillAt(off)
		s := &f.stack[spi]
		// A zero written over a zero stays one.
		if zero && s.fill[at] == fillSpill && s.spilledScalar() && s.reg.isNull() && v.rules.kernel >= linux(6, 8) {
			keptZero = true
			continue
		}
		kind := fillMisc
		if zero && s.fill[at] == fillZero {
			kind, keptZero = fillZero, true
		}
		s.reg.kind = notInit
		if s.fill[7] == fillSpill && v.rules.kernel < linux(6, 8) {
			for i := range s.fill {
				if s.fill[i] == fillSpill {
					s.fill[i] = fillMisc
				}
			}
		}
		s.fill[at] = kind
	}
	if keptZero && a.value >= 0 {
		v.markPrecise(a.value)
	}
}

// use is what a helper does with memory.
type use uint8

const (
	reads   use = iota // it must be initialized
	clobber            // it must be, and may be changed
	fills              // it need not be; all of it is written
)

// stackInitialized asks that a range of the stack that is read has been written; what may be written is unknown afterwards. It reports
// whether the range is to be filled by the caller.
func (v *verifier) stackInitialized(at, off, size int, zeroAllowed bool, how use) (filled bool) {
	r := &v.regs()[at]
	if size == 0 && !zeroAllowed {
		v.rejectReg(at, "size", "the size of memory may not be 0")
	}
	f := v.stackFrame(r)
	off += int(r.off)
	v.stackBounds(at, r, off, size, how == fills || how == clobber && v.rules.helperAccess)
	lo, hi := off+int(int64(r.bits.value)), off+int(int64(r.bits.value))
	if !r.bits.isConst() {
		// It is not known which bytes are written: they must be initialized.
		if how == fills {
			how = clobber
		}
		lo, hi = off+int(r.smin), off+int(r.smax)
	}
	if how == fills {
		for i := lo; i < hi+size; i++ {
			if spi, _ := fillAt(i); spi < len(f.stack) && f.stack[spi].special() && v.rules.kernel >= linux(6, 3) {
				v.rejectReg(at, "stack", "a struct of the kernel's on the stack would be overwritten")
			}
		}
		return true
	}
	for i := lo; i < hi+size; i++ {
		spi, b := fillAt(i)
		if spi >= len(f.stack) {
			v.rejectReg(at, "stack", "the stack at offset %d is read but was never written", i)
		}
		s := &f.stack[spi]
		switch {
		case s.fill[b] == fillMisc:
		case s.fill[b] == fillZero, s.fill[b] == fillInvalid && v.rules.uninitStack:
			if how == clobber {
				s.fill[b] = fillMisc
			}
		case s.spilled():
			if how == clobber {
				life := s.reg.life
				s.reg.setUnknown()
				s.reg.life = life
				for j := range s.fill {
					if s.fill[j] != fillInvalid {
						s.fill[j] = fillMisc
					}
				}
			}
		default:
			v.rejectReg(at, "stack", "the stack at offset %d is read but was never written", i)
		}
		v.markSlotRead(f.number, spi, &s.reg)
	}
	return false
}
