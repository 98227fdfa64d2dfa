package verifier

import (
	"math"
	"math/bits"
)

// arith computes with numbers: *d = *d op *s, of which the ranges and bits are known as far as they are.
func (v *verifier) arith(in insn, d, s *reg) {
	is64 := in.class() == classALU64
	k := v.rules
	src := *s
	if !computable(in, &src, is64) || !k.unknownOperands && !knownEnough(in, &src, is64) {
		d.setUnknown()
		return
	}
	switch in.op() {
	case opADD:
		d.add(&src, k)
	case opSUB:
		d.sub(&src, k)
	case opNEG:
		old := *d
		d.setConst(0)
		d.off = 0
		d.sub(&old, k)
		d.bits = old.bits.neg()
	case opMUL:
		b := d.bits.mul(src.bits, k.tnumMulUnion)
		d.mul(&src, k)
		d.bits = b
	case opAND, opOR, opXOR:
		d.bitwise(in.op(), &src, k)
	case opLSH:
		d.shl(uint8(src.umin), is64, k)
	case opRSH:
		d.shr(uint8(src.umin), is64)
	case opARSH:
		d.sar(uint8(src.umin), is64)
	}
	if !is64 {
		d.zext(k)
	}
	d.sync(k)
}

// computable reports whether ranges can be computed: of divisions nothing is known, of shifts only by constants.
func computable(in insn, s *reg, is64 bool) bool {
	switch in.op() {
	case opLSH, opRSH, opARSH:
		if is64 {
			return s.bits.isConst() && s.smin == s.smax && s.umin == s.umax && s.umax < 64
		}
		return s.bits.low32().isConst() && s.s32min == s.s32max && s.u32min == s.u32max && s.umax < 32
	case opDIV, opMOD:
		return false
	}
	return true
}

// knownEnough reports whether kernels before 6.10 follow the operation: with an operand that is not known, sums, differences and masks
// only, and none with an operand of which contradictory things are known.
func knownEnough(in insn, s *reg, is64 bool) bool {
	known, sane := s.bits.isConst(), s.smin <= s.smax && s.umin <= s.umax
	if known {
		sane = s.smin == s.smax && s.umin == s.umax
	}
	if !is64 {
		known, sane = s.bits.low32().isConst(), s.s32min <= s.s32max && s.u32min <= s.u32max
		if known {
			sane = s.s32min == s.s32max && s.u32min == s.u32max
		}
	}
	return sane && (known || in.op() == opADD || in.op() == opSUB || in.op() == opAND)
}

func addSigned(alo, ahi, blo, bhi int64) (lo, hi int64) {
	lo, hi = alo+blo, ahi+bhi
	if (lo < alo) != (blo < 0) || (hi < ahi) != (bhi < 0) {
		return math.MinInt64, math.MaxInt64
	}
	return lo, hi
}

func subSigned(alo, ahi, blo, bhi int64) (lo, hi int64) {
	lo, hi = alo-bhi, ahi-blo
	if (lo > alo) != (bhi < 0) || (hi > ahi) != (blo < 0) {
		return math.MinInt64, math.MaxInt64
	}
	return lo, hi
}

// clamp32 makes a range of 64 bits one of 32, all numbers if it does not fit.
func clamp32(lo, hi int64) (int32, int32) {
	if lo < math.MinInt32 || hi > math.MaxInt32 {
		return math.MinInt32, math.MaxInt32
	}
	return int32(lo), int32(hi)
}

func (r *reg) add(s *reg, k *rules) {
	r.s32min, r.s32max = clamp32(int64(r.s32min)+int64(s.s32min), int64(r.s32max)+int64(s.s32max))
	lo, hi := r.u32min+s.u32min, r.u32max+s.u32max
	if wrapsLo, wrapsHi := lo < s.u32min, hi < s.u32max; wrapsHi && !(wrapsLo && k.wrappedSums) {
		lo, hi = 0, math.MaxUint32
	}
	r.u32min, r.u32max = lo, hi
	r.smin, r.smax = addSigned(r.smin, r.smax, s.smin, s.smax)
	lo64, hi64 := r.umin+s.umin, r.umax+s.umax
	if wrapsLo, wrapsHi := lo64 < s.umin, hi64 < s.umax; wrapsHi && !(wrapsLo && k.wrappedSums) {
		lo64, hi64 = 0, math.MaxUint64
	}
	r.umin, r.umax = lo64, hi64
	r.bits = r.bits.add(s.bits)
}

func (r *reg) sub(s *reg, k *rules) {
	r.s32min, r.s32max = clamp32(int64(r.s32min)-int64(s.s32max), int64(r.s32max)-int64(s.s32min))
	wrapsLo, wrapsHi := r.u32min < s.u32max, r.u32max < s.u32min
	if wrapsLo && !(wrapsHi && k.wrappedSums) {
		r.u32min, r.u32max = 0, math.MaxUint32
	} else {
		r.u32min, r.u32max = r.u32min-s.u32max, r.u32max-s.u32min
	}
	r.smin, r.smax = subSigned(r.smin, r.smax, s.smin, s.smax)
	wrapsLo, wrapsHi = r.umin < s.umax, r.umax < s.umin
	if wrapsLo && !(wrapsHi && k.wrappedSums) {
		r.umin, r.umax = 0, math.MaxUint64
	} else {
		r.umin, r.umax = r.umin-s.umax, r.umax-s.umin
	}
	r.bits = r.bits.sub(s.bits)
}

func (r *reg) mul(s *reg, k *rules) {
	if !k.signedMul {
		r.mulOld(s)
		return
	}
	if p, q := uint64(r.u32max)*uint64(s.u32max), uint64(r.u32min)*uint64(s.u32min); p > math.MaxUint32 || q > math.MaxUint32 {
		r.u32min, r.u32max = 0, math.MaxUint32
	} else {
		r.u32min, r.u32max = uint32(q), uint32(p)
	}
	a, b, c, d := int64(r.s32min)*int64(s.s32min), int64(r.s32min)*int64(s.s32max), int64(r.s32max)*int64(s.s32min), int64(r.s32max)*int64(s.s32max)
	r.s32min, r.s32max = clamp32(min(a, b, c, d), max(a, b, c, d))
	hi1, p := bits.Mul64(r.umax, s.umax)
	hi2, q := bits.Mul64(r.umin, s.umin)
	if hi1 != 0 || hi2 != 0 {
		r.umin, r.umax = 0, math.MaxUint64
	} else {
		r.umin, r.umax = q, p
	}
	a, ok1 := mulSigned(r.smin, s.smin)
	b, ok2 := mulSigned(r.smin, s.smax)
	c, ok3 := mulSigned(r.smax, s.smin)
	d, ok4 := mulSigned(r.smax, s.smax)
	if ok1 && ok2 && ok3 && ok4 {
		r.smin, r.smax = min(a, b, c, d), max(a, b, c, d)
	} else {
		r.smin, r.smax = math.MinInt64, math.MaxInt64
	}
}

func mulSigned(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	p := a * b
	if a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 || p/b != a {
		return 0, false
	}
	return p, true
}

// mulOld knows products of numbers that are not negative and fit into half of the bits.
func (r *reg) mulOld(s *reg) {
	switch {
	case s.s32min < 0 || r.s32min < 0, s.u32max > math.MaxUint16 || r.u32max > math.MaxUint16:
		r.unbounded32()
	default:
		r.u32min *= s.u32min
		r.u32max *= s.u32max
		if r.u32max > math.MaxInt32 {
			r.s32min, r.s32max = math.MinInt32, math.MaxInt32
		} else {
			r.s32min, r.s32max = int32(r.u32min), int32(r.u32max)
		}
	}
	switch {
	case s.smin < 0 || r.smin < 0, s.umax > math.MaxUint32 || r.umax > math.MaxUint32:
		r.unbounded64()
	default:
		r.umin *= s.umin
		r.umax *= s.umax
		if r.umax > math.MaxInt64 {
			r.smin, r.smax = math.MinInt64, math.MaxInt64
		} else {
			r.smin, r.smax = int64(r.umin), int64(r.umax)
		}
	}
}

func (r *reg) bitwise(op uint8, s *reg, k *rules) {
	old := *r
	switch op {
	case opAND:
		r.bits = r.bits.and(s.bits)
	case opOR:
		r.bits = r.bits.or(s.bits)
	case opXOR:
		r.bits = r.bits.xor(s.bits)
	}
	b32 := r.bits.low32()
	if s.bits.low32().isConst() && b32.isConst() {
		n := uint32(b32.value)
		r.s32min, r.s32max, r.u32min, r.u32max = int32(n), int32(n), n, n
	} else {
		v32, m32 := uint32(b32.value), uint32(b32.mask)
		switch op {
		case opAND:
			r.u32min, r.u32max = v32, min(r.u32max, s.u32max)
		case opOR:
			r.u32min, r.u32max = max(r.u32min, s.u32min), v32|m32
		case opXOR:
			r.u32min, r.u32max = v32, v32|m32
		}
		plain := int32(r.u32min) <= int32(r.u32max)
		if !k.signedBitwise {
			plain = old.s32min >= 0 && s.s32min >= 0
		}
		r.s32min, r.s32max = math.MinInt32, math.MaxInt32
		if plain {
			r.s32min, r.s32max = int32(r.u32min), int32(r.u32max)
		}
	}
	if s.bits.isConst() && r.bits.isConst() {
		r.setBounds(r.bits.value)
		return
	}
	switch op {
	case opAND:
		r.umin, r.umax = r.bits.value, min(r.umax, s.umax)
	case opOR:
		r.umin, r.umax = max(r.umin, s.umin), r.bits.value|r.bits.mask
	case opXOR:
		r.umin, r.umax = r.bits.value, r.bits.value|r.bits.mask
	}
	plain := int64(r.umin) <= int64(r.umax)
	if !k.signedBitwise {
		plain = old.smin >= 0 && s.smin >= 0
	}
	r.smin, r.smax = math.MinInt64, math.MaxInt64
	if plain {
		r.smin, r.smax = int64(r.umin), int64(r.umax)
	}
	r.fromBits()
}

func (r *reg) shl(n uint8, is64 bool, k *rules) {
	lo, hi := r.u32min, r.u32max
	s32lo, s32hi := r.s32min, r.s32max
	shl32 := func() {
		r.s32min, r.s32max = math.MinInt32, math.MaxInt32
		if n > 31 || uint64(hi) > 1<<(31-n) {
			r.u32min, r.u32max = 0, math.MaxUint32
		} else {
			r.u32min, r.u32max = lo<<n, hi<<n
		}
	}
	if !is64 {
		b := r.bits.low32()
		shl32()
		r.bits = b.shl(n).low32()
		r.unbounded64()
		r.fromBits32()
		return
	}
	r.smin, r.smax = math.MinInt64, math.MaxInt64
	if n == 32 {
		if s32hi >= 0 || k.shl32Negative {
			r.smax = int64(s32hi) << 32
		}
		if s32lo >= 0 || k.shl32Negative {
			r.smin = int64(s32lo) << 32
		}
	}
	if r.umax > 1<<(63-n) {
		r.umin, r.umax = 0, math.MaxUint64
	} else {
		r.umin <<= n
		r.umax <<= n
	}
	shl32()
	r.bits = r.bits.shl(n)
	r.fromBits()
}

func (r *reg) shr(n uint8, is64 bool) {
	if !is64 {
		r.s32min, r.s32max = math.MinInt32, math.MaxInt32
		r.bits = r.bits.low32().shr(n)
		r.u32min >>= n
		r.u32max >>= n
		r.unbounded64()
		r.fromBits32()
		return
	}
	r.smin, r.smax = math.MinInt64, math.MaxInt64
	r.bits = r.bits.shr(n)
	r.umin >>= n
	r.umax >>= n
	r.unbounded32()
	r.fromBits()
}

func (r *reg) sar(n uint8, is64 bool) {
	if !is64 {
		r.s32min >>= n
		r.s32max >>= n
		r.bits = r.bits.low32().sar(n, 32)
		r.u32min, r.u32max = 0, math.MaxUint32
		r.unbounded64()
		r.fromBits32()
		return
	}
	r.smin >>= n
	r.smax >>= n
	r.bits = r.bits.sar(n, 64)
	r.umin, r.umax = 0, math.MaxUint64
	r.unbounded32()
	r.fromBits()
}

// swap turns the bytes of a number around, or only cuts it, as on a little-endian machine.
func (r *reg) swap(width int, turns bool, k *rules) {
	if turns || width < 64 {
		r.id, r.off = 0, 0
	}
	if turns {
		shift := 64 - width
		r.bits = tnum{bits.ReverseBytes64(r.bits.value << shift), bits.ReverseBytes64(r.bits.mask << shift)}.cast(width / 8)
		r.unbounded()
	}
	if width < 64 {
		r.coerce(width/8, k)
	}
	r.sync(k)
}
