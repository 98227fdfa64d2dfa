package verifier

import "skep/vm/helper"

// callerSaved are r0 to r5, which calls destroy.
const callerSaved = 0x3f

// findLiveRegisters computes for each instruction the registers whose values before it may still be read.
func (v *verifier) findLiveRegisters() {
	n := len(v.prog.insns)
	v.liveRegs = make([]uint16, n)
	use, def := make([]uint16, n), make([]uint16, n)
	for i := range n {
		use[i], def[i] = readsWrites(v.prog.insns[i])
	}
	var to [2]int
	for changed := true; changed; {
		changed = false
		for i := n - 1; i >= 0; i-- {
			var after uint16
			for _, next := range to[:v.successors(i, &to)] {
				after |= v.liveRegs[next]
			}
			if before := after&^def[i] | use[i]; before != v.liveRegs[i] {
				v.liveRegs[i] = before
				changed = true
			}
		}
	}
}

func readsWrites(in insn) (use, def uint16) {
	dst, src := uint16(1)<<in.Dst(), uint16(1)<<in.Src()
	switch in.class() {
	case classLD:
		if in.Op == loadImm64 {
			return 0, dst
		}
	case classLDX:
		return src, dst
	case classST:
		return dst, 0
	case classSTX:
		if in.mode() != modeATOMIC {
			return dst | src, 0
		}
		switch {
		case in.Imm == atomicCmpxchg:
			return 1 | dst | src, 1
		case in.Imm == atomicLoadAcq:
			return src, dst
		case in.Imm == atomicStoreRel:
			return dst | src, 0
		case in.Imm&atomicFetch != 0:
			return dst | src, src
		}
		return dst | src, 0
	case classALU, classALU64:
		switch {
		case in.op() == opEND:
			return dst, dst
		case in.op() == opMOV && in.fromReg():
			return src, dst
		case in.op() == opMOV:
			return 0, dst
		case in.fromReg():
			return dst | src, dst
		}
		return dst, dst
	case classJMP, classJMP32:
		switch in.op() {
		case jA, jCOND:
			return 0, 0
		case jEXIT:
			return 1, 0
		case jCALL:
			args := 5
			if in.isHelper() {
				if h := helper.ByNumber(in.Imm); h != nil {
					args = h.NumArgs()
				}
			}
			return 1<<(args+1) - 2, callerSaved
		}
		if in.fromReg() {
			return dst | src, 0
		}
		return dst, 0
	}
	return 0xffff, 0
}
