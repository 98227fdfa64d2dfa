package verifier

import (
	"fmt"
	"math/bits"
)

// A tnum is a number of which some bits are not known: those of mask. The others are as in value, which is 0 at unknown bits.
type tnum struct{ value, mask uint64 }

var tnumUnknown = tnum{0, ^uint64(0)}

func tnumConst(v uint64) tnum { return tnum{v, 0} }

// tnumRange is the smallest tnum that has all numbers of a range.
func tnumRange(lo, hi uint64) tnum {
	n := bits.Len64(lo ^ hi)
	if n > 63 {
		return tnumUnknown
	}
	delta := uint64(1)<<n - 1
	return tnum{lo &^ delta, delta}
}

func (a tnum) isConst() bool { return a.mask == 0 }

func (a tnum) shl(n uint8) tnum { return tnum{a.value << n, a.mask << n} }
func (a tnum) shr(n uint8) tnum { return tnum{a.value >> n, a.mask >> n} }

// sar shifts right with the sign of a number of 32 or 64 bits.
func (a tnum) sar(n uint8, width int) tnum {
	if width == 32 {
		return tnum{uint64(uint32(int32(a.value) >> n)), uint64(uint32(int32(a.mask) >> n))}
	}
	return tnum{uint64(int64(a.value) >> n), uint64(int64(a.mask) >> n)}
}

func (a tnum) add(b tnum) tnum {
	sm, sv := a.mask+b.mask, a.value+b.value
	mu := (sm + sv) ^ sv | a.mask | b.mask
	return tnum{sv &^ mu, mu}
}

func (a tnum) sub(b tnum) tnum {
	dv := a.value - b.value
	mu := (dv + a.mask) ^ (dv - b.mask) | a.mask | b.mask
	return tnum{dv &^ mu, mu}
}

func (a tnum) neg() tnum { return tnumConst(0).sub(a) }

func (a tnum) and(b tnum) tnum {
	v := a.value & b.value
	return tnum{v, (a.value | a.mask) & (b.value | b.mask) &^ v}
}

func (a tnum) or(b tnum) tnum {
	v := a.value | b.value
	return tnum{v, (a.mask | b.mask) &^ v}
}

func (a tnum) xor(b tnum) tnum {
	mu := a.mask | b.mask
	return tnum{(a.value ^ b.value) &^ mu, mu}
}

// mul adds up what each bit of a contributes. With union, an unknown bit of a joins the sums with and without it, as kernels do since
// 6.18; without, it makes the bits of b that could differ unknown.
func (a tnum) mul(b tnum, union bool) tnum {
	if union {
		acc := tnumConst(0)
		for a.value != 0 || a.mask != 0 {
			switch {
			case a.value&1 != 0:
				acc = acc.add(b)
			case a.mask&1 != 0:
				acc = acc.union(acc.add(b))
			}
			a, b = a.shr(1), b.shl(1)
		}
		return acc
	}
	v, m := a.value*b.value, tnumConst(0)
	for a.value != 0 || a.mask != 0 {
		switch {
		case a.value&1 != 0:
			m = m.add(tnum{0, b.mask})
		case a.mask&1 != 0:
			m = m.add(tnum{0, b.value | b.mask})
		}
		a, b = a.shr(1), b.shl(1)
	}
	return tnumConst(v).add(m)
}

// union has the numbers of both.
func (a tnum) union(b tnum) tnum {
	mu := a.mask | b.mask | a.value ^ b.value
	return tnum{a.value & b.value &^ mu, mu}
}

// intersect knows what either knows.
func (a tnum) intersect(b tnum) tnum {
	v, mu := a.value|b.value, a.mask&b.mask
	return tnum{v &^ mu, mu}
}

// overlap reports whether a number can be in both.
func (a tnum) overlap(b tnum) bool { return a.value&^b.mask&^a.mask == b.value&^a.mask&^b.mask }

// has reports whether all numbers of b are in a.
func (a tnum) has(b tnum) bool {
	return b.mask&^a.mask == 0 && a.value == b.value&^a.mask
}

// cast keeps the lowest bytes.
func (a tnum) cast(size int) tnum {
	if size >= 8 {
		return a
	}
	m := uint64(1)<<(8*size) - 1
	return tnum{a.value & m, a.mask & m}
}

func (a tnum) low32() tnum        { return a.cast(4) }
func (a tnum) clearLow32() tnum   { return a.shr(32).shl(32) }
func (a tnum) with32(b tnum) tnum { return a.clearLow32().or(b.low32()) }

// aligned reports whether all numbers are multiples of size.
func (a tnum) aligned(size uint64) bool { return size == 0 || (a.value|a.mask)&(size-1) == 0 }

func (a tnum) String() string {
	if a.isConst() {
		return fmt.Sprintf("%#x", a.value)
	}
	return fmt.Sprintf("(%#x; %#x)", a.value, a.mask)
}
