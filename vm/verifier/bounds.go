package verifier

import "math"

// What can be concluded from one part of what is known about a value to another: from bits to ranges, from unsigned to signed, from 64
// to 32 bits, and back.

// sync lets all parts learn from each other.
func (r *reg) sync(k *rules) {
	r.fromBits()
	for range k.deduceRounds {
		r.deduce(k)
	}
	r.toBits()
	r.fromBits()
}

func (r *reg) fromBits() {
	r.fromBits32()
	r.smin = max(r.smin, int64(r.bits.value|r.bits.mask&(1<<63)))
	r.smax = min(r.smax, int64(r.bits.value|r.bits.mask&math.MaxInt64))
	r.umin = max(r.umin, r.bits.value)
	r.umax = min(r.umax, r.bits.value|r.bits.mask)
}

func (r *reg) fromBits32() {
	b := r.bits.low32()
	v, m := uint32(b.value), uint32(b.mask)
	r.s32min = max(r.s32min, int32(v|m&(1<<31)))
	r.s32max = min(r.s32max, int32(v|m&math.MaxInt32))
	r.u32min = max(r.u32min, v)
	r.u32max = min(r.u32max, v|m)
}

func (r *reg) toBits() {
	b64 := r.bits.intersect(tnumRange(r.umin, r.umax))
	b32 := b64.low32().intersect(tnumRange(uint64(r.u32min), uint64(r.u32max)))
	r.bits = b64.clearLow32().or(b32)
}

func (r *reg) deduce(k *rules) {
	if !k.mixedBounds {
		r.low().signsOld()
		r.whole().signsOld()
		return
	}
	r.fromWhole()
	r.low().signs(k.signCrossing32)
	r.whole().signs(k.signCrossing)
	r.deduceMixed()
}

// A half is what is known of a value in one width: as an unsigned and as a signed number.
type half[U uint32 | uint64, S int32 | int64] struct {
	umin, umax *U
	smin, smax *S
}

func (r *reg) low() half[uint32, int32] {
	return half[uint32, int32]{&r.u32min, &r.u32max, &r.s32min, &r.s32max}
}
func (r *reg) whole() half[uint64, int64] {
	return half[uint64, int64]{&r.umin, &r.umax, &r.smin, &r.smax}
}

func (h half[U, S]) limitU(lo, hi U) { *h.umin, *h.umax = max(*h.umin, lo), min(*h.umax, hi) }
func (h half[U, S]) limitS(lo, hi S) { *h.smin, *h.smax = max(*h.smin, lo), min(*h.smax, hi) }

// signs lets the unsigned and the signed range learn from each other. With crossing, also where the signed one is the two ends of the
// unsigned numbers, of which perhaps only one is possible.
func (h half[U, S]) signs(crossing bool) {
	// A range that does not cross the border of the sign is the same signed and unsigned.
	if S(*h.umin) <= S(*h.umax) {
		h.limitS(S(*h.umin), S(*h.umax))
	}
	if U(*h.smin) <= U(*h.smax) {
		h.limitU(U(*h.smin), U(*h.smax))
		return
	}
	if !crossing {
		return
	}
	if *h.umax < U(*h.smin) {
		*h.smin = S(*h.umin)
		*h.umax = min(*h.umax, U(*h.smax))
	} else if U(*h.smax) < *h.umin {
		*h.smax = S(*h.umax)
		*h.umin = max(*h.umin, U(*h.smin))
	}
}

// signsOld is what kernels before 6.8 conclude.
func (h half[U, S]) signsOld() {
	switch {
	case *h.smin >= 0 || *h.smax < 0:
		*h.umin = max(U(*h.smin), *h.umin)
		*h.smin = S(*h.umin)
		*h.umax = min(U(*h.smax), *h.umax)
		*h.smax = S(*h.umax)
	case S(*h.umax) >= 0:
		*h.smin = S(*h.umin)
		*h.umax = min(U(*h.smax), *h.umax)
		*h.smax = S(*h.umax)
	case S(*h.umin) < 0:
		*h.umin = max(U(*h.smin), *h.umin)
		*h.smin = S(*h.umin)
		*h.smax = S(*h.umax)
	}
}

// narrow learns from a comparison that holds; c is the other side of one that says only what is not.
func (h half[U, S]) narrow(o half[U, S], op uint8, c U) {
	switch op {
	case jEQ:
		h.limitU(*o.umin, *o.umax)
		h.limitS(*o.smin, *o.smax)
		*o.umin, *o.umax, *o.smin, *o.smax = *h.umin, *h.umax, *h.smin, *h.smax
	case jNE:
		if *h.umin == c {
			*h.umin++
		}
		if *h.umax == c {
			*h.umax--
		}
		if *h.smin == S(c) {
			*h.smin++
		}
		if *h.smax == S(c) {
			*h.smax--
		}
	case jLE:
		*h.umax = min(*h.umax, *o.umax)
		*o.umin = max(*h.umin, *o.umin)
	case jLT:
		*h.umax = min(*h.umax, *o.umax-1)
		*o.umin = max(*h.umin+1, *o.umin)
	case jSLE:
		*h.smax = min(*h.smax, *o.smax)
		*o.smin = max(*h.smin, *o.smin)
	case jSLT:
		*h.smax = min(*h.smax, *o.smax-1)
		*o.smin = max(*h.smin+1, *o.smin)
	}
}

// fromWhole is what a range of 64 bits says of the lower half.
func (r *reg) fromWhole() {
	h := r.low()
	// Where the upper halves of a range's ends are equal, the lower halves are a range of their own.
	if r.umin>>32 == r.umax>>32 {
		h.limitU(uint32(r.umin), uint32(r.umax))
		if int32(r.umin) <= int32(r.umax) {
			h.limitS(int32(r.umin), int32(r.umax))
		}
	}
	if r.smin>>32 == r.smax>>32 {
		if uint32(r.smin) <= uint32(r.smax) {
			h.limitU(uint32(r.smin), uint32(r.smax))
		}
		if int32(r.smin) <= int32(r.smax) {
			h.limitS(int32(r.smin), int32(r.smax))
		}
	}
	// Neighbouring upper halves, with lower halves that go from negative to positive.
	for _, ends := range [2][2]uint64{{r.umin, r.umax}, {uint64(r.smin), uint64(r.smax)}} {
		if lo, hi := int32(ends[0]), int32(ends[1]); uint32(ends[0]>>32)+1 == uint32(ends[1]>>32) && lo < 0 && hi >= 0 {
			h.limitS(lo, hi)
		}
	}
}

func (r *reg) deduceMixed() {
	const high = ^uint64(math.MaxUint32)
	r.whole().limitU(r.umin&high|uint64(r.u32min), r.umax&high|uint64(r.u32max))
	r.whole().limitS(int64(uint64(r.smin)&high|uint64(r.u32min)), int64(uint64(r.smax)&high|uint64(r.u32max)))
	// The ends of a sign-extended number: what is known of the lower half holds for the whole.
	if r.smin >= math.MinInt32 && r.smax <= math.MaxInt32 {
		r.whole().limitS(int64(r.s32min), int64(r.s32max))
	}
}

// zext makes the register what its lower half is, extended by zeroes.
func (r *reg) zext(k *rules) {
	r.bits = r.bits.low32()
	r.assign32To64()
}

func (r *reg) assign32To64() {
	r.umin, r.umax = uint64(r.u32min), uint64(r.u32max)
	// The signed range can be taken over as long as it is not negative.
	if r.s32min >= 0 {
		r.smin, r.smax = int64(r.s32min), int64(r.s32max)
	} else {
		r.smin, r.smax = 0, math.MaxUint32
	}
}

// combine64To32 and combine32To64 are how kernels before 6.8 carried ranges between the widths.
func (r *reg) combine64To32(k *rules) {
	r.unbounded32()
	if r.smin > math.MinInt32 && r.smin < math.MaxInt32 && r.smax > math.MinInt32 && r.smax < math.MaxInt32 {
		r.s32min, r.s32max = int32(r.smin), int32(r.smax)
	}
	if r.umin < math.MaxUint32 && r.umax < math.MaxUint32 {
		r.u32min, r.u32max = uint32(r.umin), uint32(r.umax)
	}
	r.sync(k)
}

func (r *reg) combine32To64(k *rules) {
	// A value that has no bits above the lower half is what that is.
	if b := r.bits.shr(32); b == (tnum{}) {
		r.assign32To64()
	} else {
		r.unbounded64()
		r.fromBits()
	}
	r.sync(k)
}

// coerce cuts a value to its lowest bytes, the others being 0.
func (r *reg) coerce(size int, k *rules) {
	r.bits = r.bits.cast(size)
	mask := uint64(1)<<(8*size) - 1
	if r.umin&^mask == r.umax&^mask {
		r.umin &= mask
		r.umax &= mask
	} else {
		r.umin, r.umax = 0, mask
	}
	r.smin, r.smax = int64(r.umin), int64(r.umax)
	// The lower half knows already what the bits and ranges above say only of less than 4 bytes.
	if size >= 4 {
		if k.mixedBounds {
			r.sync(k)
		}
		return
	}
	if k.mixedBounds {
		r.unbounded32()
		r.sync(k)
		return
	}
	r.combine64To32(k)
}

// coerceSigned cuts a value to its lowest bytes and extends the sign to the width in bytes.
func (r *reg) coerceSigned(size int, k *rules) {
	if size == 8 {
		return
	}
	n := 8 * size
	if r.bits.isConst() {
		v := int64(r.bits.value<<(64-n)) >> (64 - n)
		r.bits = tnumConst(uint64(v))
		r.smin, r.smax, r.umin, r.umax = v, v, uint64(v), uint64(v)
		r.s32min, r.s32max, r.u32min, r.u32max = int32(v), int32(v), uint32(v), uint32(v)
		return
	}
	if r.smax>>n == r.smin>>n {
		hi, lo := r.smax<<(64-n)>>(64-n), r.smin<<(64-n)>>(64-n)
		// Both must have the same sign after the cut.
		if hi >= 0 == (lo >= 0) {
			r.smin, r.smax = min(lo, hi), max(lo, hi)
			r.umin, r.umax = uint64(r.smin), uint64(r.smax)
			r.s32min, r.s32max = int32(r.smin), int32(r.smax)
			r.u32min, r.u32max = uint32(r.s32min), uint32(r.s32max)
			r.bits = tnumRange(uint64(r.smin), uint64(r.smax))
			return
		}
	}
	r.smin, r.smax = -1<<(n-1), 1<<(n-1)-1
	r.umin, r.umax = 0, math.MaxUint64
	r.s32min, r.s32max = int32(r.smin), int32(r.smax)
	r.u32min, r.u32max = 0, math.MaxUint32
	r.bits = tnumUnknown
}

// coerceSigned32 is coerceSigned for moves between the lower halves of registers.
func (r *reg) coerceSigned32(size int) {
	n := 8 * size
	if r.bits.isConst() {
		v := int32(r.bits.value<<(64-n)>>32) >> (32 - n)
		r.bits = tnumConst(uint64(uint32(v)))
		r.s32min, r.s32max, r.u32min, r.u32max = v, v, uint32(v), uint32(v)
		return
	}
	if r.s32max>>n == r.s32min>>n {
		hi, lo := r.s32max<<(32-n)>>(32-n), r.s32min<<(32-n)>>(32-n)
		if hi >= 0 == (lo >= 0) {
			r.s32min, r.s32max = min(lo, hi), max(lo, hi)
			r.u32min, r.u32max = uint32(r.s32min), uint32(r.s32max)
			r.bits = r.bits.with32(tnumRange(uint64(r.u32min), uint64(r.u32max)))
			return
		}
	}
	r.s32min, r.s32max = -1<<(n-1), 1<<(n-1)-1
	r.u32min, r.u32max = 0, math.MaxUint32
	r.bits = r.bits.with32(tnumUnknown)
}

// sane reports whether the parts agree. They may not on a path that cannot be taken; then the value is forgotten.
func (r *reg) sane() bool {
	if r.umin > r.umax || r.smin > r.smax || r.u32min > r.u32max || r.s32min > r.s32max {
		return false
	}
	if r.bits.isConst() {
		if v := r.bits.value; r.umin != v || r.umax != v || r.smin != int64(v) || r.smax != int64(v) {
			return false
		}
	}
	if b := r.bits.low32(); b.isConst() {
		if v := uint32(b.value); r.u32min != v || r.u32max != v || r.s32min != int32(v) || r.s32max != int32(v) {
			return false
		}
	}
	return true
}
