package ir

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

const bitsDepth = 6 // how far the operands of operands are looked at

// unsignedBits returns n such that v < 2^n, taken as unsigned.
func unsignedBits(v *Value) int { return unsignedBitsTo(v, bitsDepth) }

func unsignedBitsTo(v *Value, depth int) int {
	if depth == 0 || v.Type != Scalar {
		return 64
	}
	sub := func(i int) int { return unsignedBitsTo(v.Args[i], depth-1) }
	switch v.Op {
	case OpConst:
		return bits.Len64(uint64(v.Aux))
	case OpEq, OpNe, OpULt, OpULe, OpSLt, OpSLe:
		return 1
	case OpZExt:
		return min(int(v.Aux), sub(0))
	case OpSExt:
		if n := sub(0); n < int(v.Aux) {
			return n
		}
	case OpSwap:
		return int(v.Aux)
	case OpBound:
		return bits.Len64(uint64(v.Aux))
	case OpLoad:
		return 8 * v.Size
	case OpFetchAdd, OpXchg, OpCmpXchg:
		return 8 * v.Size
	case OpAnd:
		return min(sub(0), sub(1))
	case OpOr, OpXor:
		return max(sub(0), sub(1))
	case OpAdd:
		return min(64, max(sub(0), sub(1))+1)
	case OpMul:
		return min(64, sub(0)+sub(1))
	case OpUDiv:
		if c := v.Args[1]; c.Op == OpConst && c.Aux > 0 {
			return max(0, sub(0)-bits.Len64(uint64(c.Aux))+1)
		}
		return sub(0)
	case OpUMod:
		if c := v.Args[1]; c.Op == OpConst && c.Aux > 0 {
			return min(sub(0), bits.Len64(uint64(c.Aux-1)))
		}
		return sub(0)
	case OpShr:
		if c := v.Args[1]; c.Op == OpConst {
			return max(0, sub(0)-int(c.Aux&63))
		}
		return sub(0)
	case OpShl:
		if c := v.Args[1]; c.Op == OpConst {
			return min(64, sub(0)+int(c.Aux&63))
		}
	case OpPhi:
		n := 0
		for i := range v.Args {
			n = max(n, sub(i))
		}
		return n
	case OpCall:
		switch asm.BuiltinFunc(v.Aux) {
		case asm.FnGetSmpProcessorId, asm.FnGetPrandomU32:
			return 32
		}
	}
	return 64
}

// signBits returns how many of the high bits of v, besides the first, are copies of the first.
func signBits(v *Value) int { return signBitsTo(v, bitsDepth) }

func signBitsTo(v *Value, depth int) int {
	if depth == 0 || v.Type != Scalar {
		return 0
	}
	n := max(0, 63-unsignedBitsTo(v, depth))
	sub := func(i int) int { return signBitsTo(v.Args[i], depth-1) }
	switch v.Op {
	case OpConst:
		if v.Aux < 0 {
			n = bits.LeadingZeros64(^uint64(v.Aux)) - 1
		}
	case OpSExt:
		n = max(n, 64-int(v.Aux), sub(0))
	case OpLoadS:
		n = max(n, 64-8*v.Size)
	case OpAnd, OpOr, OpXor:
		n = max(n, min(sub(0), sub(1)))
	case OpAdd, OpSub:
		n = max(n, min(sub(0), sub(1))-1)
	case OpSar:
		if c := v.Args[1]; c.Op == OpConst {
			n = max(n, min(63, sub(0)+int(c.Aux&63)))
		}
	case OpPhi:
		least := 63
		for i := range v.Args {
			least = min(least, sub(i))
		}
		n = max(n, least)
	}
	return n
}
