package verifier

import "math"

// decideOld is for kernels which compare with constants only.
func (v *verifier) decideOld(a, b *reg, op uint8, is32 bool) int {
	switch {
	case b.constOf(is32):
	case a.constOf(is32) && v.rules.kernel >= linux(6, 6):
		a, b, op = b, a, flip(op)
	default:
		return -1
	}
	if a.isPointer() {
		if is32 || !v.notNull(a) || b.bits.value != 0 {
			return -1
		}
		switch op {
		case jEQ:
			return 0
		case jNE:
			return 1
		}
		return -1
	}
	return v.decideNumbers(a, b, op, is32)
}

// combineEqual lets two registers that are equal learn from each other, as kernels before 6.8 do.
func combineEqual(a, b *reg, k *rules) {
	a.umin = max(a.umin, b.umin)
	a.umax = min(a.umax, b.umax)
	a.smin = max(a.smin, b.smin)
	a.smax = min(a.smax, b.smax)
	a.bits = a.bits.intersect(b.bits)
	b.umin, b.umax, b.smin, b.smax, b.bits = a.umin, a.umax, a.smin, a.smax, a.bits
	a.sync(k)
	b.sync(k)
}

// refineOld narrows a register by a comparison with a constant, as kernels before 6.8 do.
func refineOld(a, c *reg, op uint8, is32 bool, k *rules) {
	val := c.constValue(is32)
	bits64, bits32 := a.bits, a.bits.low32()
	sval, u32, s32 := int64(val), uint32(val), int32(val)
	switch op {
	case jEQ:
		if is32 {
			n := a.bits.clearLow32().or(tnumConst(val))
			a.bits = n
			a.u32min, a.u32max, a.s32min, a.s32max = u32, u32, s32, s32
			bits32, bits64 = a.bits.low32(), a.bits
		} else {
			a.setBounds(val)
			bits32, bits64 = a.bits.low32(), a.bits
		}
	case jNE:
	case jSET:
		if is32 {
			if val&(val-1) == 0 && val != 0 {
				bits32 = bits32.or(tnumConst(val))
			}
		} else if val&(val-1) == 0 && val != 0 {
			bits64 = bits64.or(tnumConst(val))
		}
	case jSETnot:
		if is32 {
			bits32 = bits32.and(tnumConst(uint64(^u32)))
		} else {
			bits64 = bits64.and(tnumConst(^val))
		}
	case jGE, jGT:
		if is32 {
			lo := u32
			if op == jGT {
				lo++
			}
			a.u32min = max(a.u32min, lo)
		} else {
			lo := val
			if op == jGT {
				lo++
			}
			a.umin = max(a.umin, lo)
		}
	case jLE, jLT:
		if is32 {
			hi := u32
			if op == jLT {
				hi--
			}
			a.u32max = min(a.u32max, hi)
		} else {
			hi := val
			if op == jLT {
				hi--
			}
			a.umax = min(a.umax, hi)
		}
	case jSGE, jSGT:
		if is32 {
			if op == jSGT && s32 == math.MaxInt32 {
				break
			}
			lo := s32
			if op == jSGT {
				lo++
			}
			a.s32min = max(a.s32min, lo)
		} else {
			if op == jSGT && sval == math.MaxInt64 {
				break
			}
			lo := sval
			if op == jSGT {
				lo++
			}
			a.smin = max(a.smin, lo)
		}
	case jSLE, jSLT:
		if is32 {
			hi := s32
			if op == jSLT {
				hi--
			}
			a.s32max = min(a.s32max, hi)
		} else {
			hi := sval
			if op == jSLT {
				hi--
			}
			a.smax = min(a.smax, hi)
		}
	}
	if is32 {
		a.bits = a.bits.clearLow32().or(bits32)
		a.combine32To64(k)
	} else {
		a.bits = bits64
		a.combine64To32(k)
	}
}
