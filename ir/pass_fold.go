package ir

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// fold computes what is constant and replaces operations by cheaper ones that give the same.
func fold(f *Func) bool {
	o := &folder{f: f, with: map[*Value]*Value{}}
	for _, b := range f.reversePostorder() {
		o.b = b
		old := b.Values
		b.Values = make([]*Value, 0, len(old))
		for _, v := range old {
			for i, a := range v.Args {
				v.Args[i] = o.now(a)
			}
			o.at = v
			if r := o.simplify(v); r != nil && r != v {
				o.with[v] = r
				o.changed = true
				continue
			}
			b.Values = append(b.Values, v)
		}
	}
	f.replaceAll(o.with)
	f.placeConstants()
	return o.changed
}

type folder struct {
	f       *Func
	b       *Block
	at      *Value
	with    map[*Value]*Value
	changed bool
}

func (o *folder) now(v *Value) *Value {
	for o.with[v] != nil {
		v = o.with[v]
	}
	return v
}

func (o *folder) num(n int64) *Value {
	for _, c := range o.f.constants {
		if c.Aux == n {
			return c
		}
	}
	return o.f.constant(n)
}

// add puts a value in front of the one at hand.
func (o *folder) add(op Op, args ...*Value) *Value {
	v := o.f.newValue(op, Scalar, args...)
	v.Block, v.Span, v.Note = o.b, o.at.Span, o.at.Note
	o.b.Values = append(o.b.Values, v)
	return v
}

func (o *folder) ext(op Op, x *Value, n int64) *Value {
	v := o.add(op, x)
	v.Aux = n
	return v
}

// become turns v into another operation.
func (o *folder) become(v *Value, op Op, args ...*Value) {
	v.Op, v.Args, v.Aux = op, args, 0
	o.changed = true
}

// simplify returns a value to use instead of v, or nil; it may also change v.
func (o *folder) simplify(v *Value) *Value {
	if v.Op.memory() {
		o.address(v)
	}
	switch {
	case v.Op.binary():
		return o.binary(v)
	case v.Op.compare():
		return o.compare(v)
	}
	switch v.Op {
	case OpNeg:
		switch x := v.Args[0]; x.Op {
		case OpConst:
			return o.num(-x.Aux)
		case OpNeg:
			return x.Args[0]
		}
	case OpZExt:
		return o.zeroExtend(v)
	case OpSExt:
		return o.signExtend(v)
	case OpSwap:
		o.low(v, 0, int(v.Aux))
		if x := v.Args[0]; x.Op == OpConst {
			return o.num(int64(bits.ReverseBytes64(uint64(x.Aux)) >> (64 - v.Aux)))
		}
	case OpBound:
		if x := v.Args[0]; x.Op == OpConst && x.Aux >= 0 && x.Aux <= v.Aux {
			return x
		}
	case OpCall:
		if v.Aux == int64(asm.FnLoop) && v.Args[0].isConst(0) {
			// Besides being idle, it makes the kernel (6.18) lose the callback and refuse the program.
			return o.num(0)
		}
	case OpStore:
		o.low(v, 1, 8*v.Size)
	case OpIf:
		o.condition(v)
	}
	return nil
}

// address moves constant additions to the address into the offset of the access.
func (o *folder) address(v *Value) {
	for {
		a := v.Args[0]
		if a.Op != OpAdd || a.Args[1].Op != OpConst || !a.Args[0].Type.pointer() || !fits16(v.Aux+a.Args[1].Aux) {
			return
		}
		v.Aux += a.Args[1].Aux
		v.Args[0] = a.Args[0]
		o.changed = true
	}
}

// low takes away what stands before argument i and leaves its low n bits alone, if n bits are all that v looks at.
func (o *folder) low(v *Value, i, n int) {
	for {
		x := v.Args[i]
		switch {
		case (x.Op == OpZExt || x.Op == OpSExt) && int(x.Aux) >= n:
		case x.Op == OpAnd && x.Args[1].Op == OpConst && x.Args[1].Aux|^mask(n) == -1:
		default:
			return
		}
		if x.Args[0].Type != Scalar {
			return
		}
		v.Args[i] = x.Args[0]
		o.changed = true
	}
}

// mask has the low n bits set.
func mask(n int) int64 {
	if n >= 64 {
		return -1
	}
	return 1<<n - 1
}

func (o *folder) zeroExtend(v *Value) *Value {
	n := int(v.Aux)
	o.low(v, 0, n)
	x := v.Args[0]
	switch {
	case x.Op == OpConst:
		return o.num(x.Aux & mask(n))
	case unsignedBits(x) <= n && x.Type == Scalar:
		return x
	case x.Op == OpZExt:
		v.Aux, v.Args[0] = min(v.Aux, x.Aux), x.Args[0]
		o.changed = true
	}
	return nil
}

func (o *folder) signExtend(v *Value) *Value {
	n := int(v.Aux)
	o.low(v, 0, n)
	x := v.Args[0]
	switch {
	case x.Op == OpConst:
		return o.num(x.Aux << (64 - n) >> (64 - n))
	case signBits(x) >= 64-n && x.Type == Scalar:
		return x
	case unsignedBits(x) < n && x.Type == Scalar:
		return x
	}
	return nil
}

// condition brings the branch to the form that looks at one value, and at the right way around.
func (o *folder) condition(v *Value) {
	for {
		x := v.Args[0]
		if (x.Op != OpEq && x.Op != OpNe) || !x.Args[1].isConst(0) {
			break
		}
		v.Args[0] = x.Args[0]
		if x.Op == OpEq {
			v.Block.Succs[0], v.Block.Succs[1] = v.Block.Succs[1], v.Block.Succs[0]
			v.Aux = -v.Aux
		}
		o.changed = true
	}
	for {
		x := v.Args[0]
		if x.Op == OpSExt || x.Op == OpZExt && unsignedBits(x.Args[0]) <= int(x.Aux) || x.Op == OpNeg {
			if x.Op == OpSExt { // zero if its low bits are
				v.Args[0] = o.ext(OpZExt, x.Args[0], x.Aux)
			} else {
				v.Args[0] = x.Args[0]
			}
			o.changed = true
			continue
		}
		return
	}
}

func log2(n int64) (int, bool) {
	if n > 0 && n&(n-1) == 0 {
		return bits.TrailingZeros64(uint64(n)), true
	}
	return 0, false
}
