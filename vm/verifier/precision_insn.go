package verifier

// argRegs are r1 to r5.
const argRegs = 0x3e

// trackInsn goes back over one instruction; next is the one after it on the path. false means that it cannot be told what the numbers
// were computed from.
func (v *verifier) trackInsn(i, next int, h *step) bool {
	t := &v.tracking
	in := v.prog.insns[i]
	if in.Op == 0 {
		return true
	}
	t.syncLinked(h)
	dst, src := in.Dst(), in.Src()
	switch in.class() {
	case classALU, classALU64:
		if !t.hasReg(dst) {
			return true
		}
		switch in.op() {
		case opEND, opNEG:
			return true
		case opMOV:
			t.clearReg(dst)
			if in.fromReg() && src != 10 {
				t.setReg(src)
			}
		default:
			if in.fromReg() && src != 10 {
				t.setReg(src)
			}
		}
	case classLDX:
		return v.trackLoad(in, h)
	case classST, classSTX:
		if in.isAtomic() && in.Imm == atomicLoadAcq {
			return v.trackLoad(in, h)
		}
		if t.hasReg(dst) {
			return false
		}
		access := h != nil && h.access
		if !v.rules.stackPrecision {
			access = dst == 10
			if access {
				h = &step{frame: uint8(t.top), spi: uint8((-int(in.Off) - 1) / 8)}
				if h.spi >= 64 {
					return false
				}
			}
		}
		if !access {
			return true
		}
		if t.slots[h.frame]>>h.spi&1 == 0 {
			return true
		}
		t.slots[h.frame] &^= 1 << h.spi
		if in.class() == classSTX {
			t.setReg(src)
		}
	case classJMP, classJMP32:
		return v.trackJump(in, i, next, h)
	case classLD:
		if !t.hasReg(dst) {
			return true
		}
		t.clearReg(dst)
		if in.mode() == modeIND || in.mode() == modeABS {
			return false
		}
	}
	t.syncLinked(h)
	return true
}

func (v *verifier) trackLoad(in insn, h *step) bool {
	t := &v.tracking
	if !t.hasReg(in.Dst()) {
		return true
	}
	t.clearReg(in.Dst())
	if !v.rules.stackPrecision {
		if in.Src() != 10 {
			return true
		}
		spi := (-int(in.Off) - 1) / 8
		if spi < 0 || spi >= 64 {
			return false
		}
		t.slots[t.top] |= 1 << spi
		return true
	}
	if h != nil && h.access {
		t.slots[h.frame] |= 1 << h.spi
	}
	return true
}

func (v *verifier) trackJump(in insn, i, next int, h *step) bool {
	t := &v.tracking
	if !v.rules.callPrecision && (in.isSubcall() || in.isExit()) {
		return false
	}
	switch {
	case in.isSubcall():
		if v.subs[v.subprogramAt(i+1+int(in.Imm))].global {
			t.clearReg(0)
			return true
		}
		for r := uint8(1); r <= 5; r++ {
			if t.hasReg(r) && t.top > 0 {
				t.clearReg(r)
				t.regs[t.top-1] |= 1 << r
			}
		}
		return t.leave()
	case in.isCall() && v.marks[i]&callsBack != 0 && i != next-1:
		// The way back out of a callback: its arguments come from the helper.
		t.regs[t.top] &^= argRegs
		return t.leave()
	case in.isCall():
		t.clearReg(0)
		if v.rules.tailReachable && in.isHelper() && in.Imm == helperTailCall && next-i != 1 {
			return t.enter()
		}
		return t.regs[t.top]&argRegs == 0
	case in.isExit():
		if next >= 0 && v.marks[next]&callsBack != 0 {
			t.regs[t.top] &^= argRegs
		}
		if t.regs[t.top]&argRegs != 0 {
			return false
		}
		precise := next >= 1 && v.prog.insns[next-1].isSubcall() && t.hasReg(0)
		t.clearReg(0)
		if !t.enter() {
			return false
		}
		if precise {
			t.setReg(0)
		}
		return true
	case in.op() == jA || in.op() == jCOND:
	case in.fromReg():
		if !t.hasReg(in.Dst()) && !t.hasReg(in.Src()) {
			return true
		}
		if h == nil || !h.srcStack {
			t.setReg(in.Src())
		}
		if h == nil || !h.dstStack {
			t.setReg(in.Dst())
		}
	}
	t.syncLinked(h)
	return true
}
