package ir

import "math/bits"

// constant computes a binary operation of constants.
func constant(op Op, x, y int64) (int64, bool) {
	switch op {
	case OpAdd:
		return x + y, true
	case OpSub:
		return x - y, true
	case OpMul:
		return x * y, true
	case OpUDiv, OpSDiv, OpUMod, OpSMod:
		return divide(op, x, y), true
	case OpAnd:
		return x & y, true
	case OpOr:
		return x | y, true
	case OpXor:
		return x ^ y, true
	case OpShl:
		return x << (y & 63), true
	case OpShr:
		return int64(uint64(x) >> (y & 63)), true
	case OpSar:
		return x >> (y & 63), true
	case OpEq:
		return bit(x == y), true
	case OpNe:
		return bit(x != y), true
	case OpULt:
		return bit(uint64(x) < uint64(y)), true
	case OpULe:
		return bit(uint64(x) <= uint64(y)), true
	case OpSLt:
		return bit(x < y), true
	case OpSLe:
		return bit(x <= y), true
	}
	return 0, false
}

// divide has the results of eBPF for a divisor of 0.
func divide(op Op, x, y int64) int64 {
	switch {
	case y == 0 && (op == OpUDiv || op == OpSDiv):
		return 0
	case y == 0:
		return x
	case op == OpUDiv:
		return int64(uint64(x) / uint64(y))
	case op == OpUMod:
		return int64(uint64(x) % uint64(y))
	case op == OpSDiv:
		return x / y
	}
	return x % y
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (o *folder) binary(v *Value) *Value {
	x, y := v.Args[0], v.Args[1]
	if x.Op == OpConst && y.Op == OpConst {
		n, _ := constant(v.Op, x.Aux, y.Aux)
		return o.num(n)
	}
	if v.Op.commutative() && x.Op == OpConst && y.Type == Scalar {
		x, y = y, x
		v.Args[0], v.Args[1] = x, y
		o.changed = true
	}
	if y.Op == OpConst {
		if r := o.withConst(v, x, y.Aux); r != nil || !v.Op.binary() {
			return r
		}
		return o.chain(v)
	}
	if x.isConst(0) {
		switch v.Op {
		case OpSub:
			if y.Type == Scalar {
				o.become(v, OpNeg, y)
			}
			return nil
		case OpUDiv, OpSDiv, OpUMod, OpSMod, OpShl, OpShr, OpSar:
			return x
		}
	}
	if x == y {
		switch v.Op {
		case OpSub, OpXor:
			return o.num(0)
		case OpAnd, OpOr:
			return x
		}
	}
	return nil
}

// withConst simplifies x op n; v is changed or what to use instead is returned.
func (o *folder) withConst(v, x *Value, n int64) *Value {
	k, power := log2(n)
	switch v.Op {
	case OpAdd, OpXor, OpOr:
		if n == 0 {
			return x
		}
		if v.Op == OpOr && n == -1 {
			return v.Args[1]
		}
		if v.Op == OpAdd && x.Op == OpMapValue && x.Aux+n >= 0 && fits32(x.Aux+n) {
			v.Op, v.Args, v.Sym, v.Aux = OpMapValue, nil, x.Sym, x.Aux+n
			o.changed = true
		}
	case OpSub:
		if n == 0 {
			return x
		}
		v.Args[1] = o.num(-n)
		o.become(v, OpAdd, x, v.Args[1])
	case OpShl, OpShr, OpSar:
		if n&63 == 0 {
			return x
		}
		return o.shift(v, x, int(n&63))
	case OpMul:
		switch {
		case n == 0:
			return v.Args[1]
		case n == 1:
			return x
		case n == -1:
			o.become(v, OpNeg, x)
		case power:
			o.become(v, OpShl, x, o.num(int64(k)))
		}
	case OpAnd:
		return o.and(v, x, n)
	case OpUDiv:
		switch {
		case n == 0:
			return v.Args[1]
		case power && k == 0:
			return x
		case power:
			o.become(v, OpShr, x, o.num(int64(k)))
		}
	case OpUMod:
		switch {
		case n == 0:
			return x
		case power:
			o.become(v, OpAnd, x, o.num(n-1))
		}
	case OpSDiv, OpSMod:
		return o.signedDivide(v, x, n)
	}
	return nil
}

func (o *folder) and(v, x *Value, n int64) *Value {
	known := unsignedBits(x)
	switch {
	case n&mask(known) == 0:
		return o.num(0)
	case n|^mask(known) == -1:
		return x
	}
	if n&(n+1) == 0 { // a mask of low bits: one way to say it is enough
		o.become(v, OpZExt, x)
		v.Aux = int64(bits.Len64(uint64(n)))
		o.changed = true
	}
	return nil
}

func (o *folder) shift(v, x *Value, n int) *Value {
	switch v.Op {
	case OpShr:
		if unsignedBits(x) <= n {
			return o.num(0)
		}
		if x.Op == OpShl && x.Args[1].isConst(int64(n)) {
			o.become(v, OpZExt, x.Args[0])
			v.Aux = int64(64 - n)
		}
	case OpSar:
		if unsignedBits(x) < 64 {
			o.become(v, OpShr, x, v.Args[1])
			return nil
		}
		if x.Op == OpShl && x.Args[1].isConst(int64(n)) {
			o.become(v, OpSExt, x.Args[0])
			v.Aux = int64(64 - n)
		}
	}
	return nil
}

// signedDivide avoids the slow instruction, which old kernels do not have at all.
func (o *folder) signedDivide(v, x *Value, n int64) *Value {
	if unsignedBits(x) < 64 && n >= 0 {
		op := OpUDiv
		if v.Op == OpSMod {
			op = OpUMod
		}
		o.become(v, op, x, v.Args[1])
		return nil
	}
	k, power := log2(n)
	switch {
	case n == 0 && v.Op == OpSDiv, (n == 1 || n == -1) && v.Op == OpSMod:
		return o.num(0)
	case n == 0, n == 1:
		return x
	case n == -1:
		o.become(v, OpNeg, x)
	case power:
		// Rounding is towards zero: a negative x is moved up by n-1 first.
		up := o.add(OpShr, o.add(OpSar, x, o.num(63)), o.num(int64(64-k)))
		sum := o.add(OpAdd, x, up)
		if v.Op == OpSDiv {
			o.become(v, OpSar, sum, o.num(int64(k)))
		} else {
			o.become(v, OpSub, x, o.add(OpAnd, sum, o.num(-n)))
		}
	}
	return nil
}

// chain joins (x op c1) op c2.
func (o *folder) chain(v *Value) *Value {
	x := v.Args[0]
	if x.Op != v.Op || len(x.Args) != 2 || x.Args[1].Op != OpConst || v.Args[1].Op != OpConst {
		return nil
	}
	a, b := x.Args[1].Aux, v.Args[1].Aux
	var n int64
	switch v.Op {
	case OpAdd, OpAnd, OpOr, OpXor, OpMul:
		n, _ = constant(v.Op, a, b)
	case OpShl, OpShr:
		if n = a&63 + b&63; n > 63 {
			return o.num(0)
		}
	case OpSar:
		n = min(a&63+b&63, 63)
	default:
		return nil
	}
	v.Args[0], v.Args[1] = x.Args[0], o.num(n)
	o.changed = true
	return nil
}

// inverse returns the comparison that is true when v is not, with its arguments.
func inverse(op Op, x, y *Value) (Op, *Value, *Value) {
	switch op {
	case OpEq:
		return OpNe, x, y
	case OpNe:
		return OpEq, x, y
	case OpULt:
		return OpULe, y, x
	case OpULe:
		return OpULt, y, x
	case OpSLt:
		return OpSLe, y, x
	}
	return OpSLt, y, x
}

func (o *folder) compare(v *Value) *Value {
	x, y := v.Args[0], v.Args[1]
	if x.Op == OpConst && y.Op == OpConst {
		n, _ := constant(v.Op, x.Aux, y.Aux)
		return o.num(n)
	}
	if x == y {
		n, _ := constant(v.Op, 0, 0)
		return o.num(n)
	}
	if v.Op.commutative() && x.Op == OpConst {
		x, y = y, x
		v.Args[0], v.Args[1] = x, y
		o.changed = true
	}
	if x.Type != Scalar || y.Type != Scalar {
		return nil
	}
	if v.Op == OpSLt || v.Op == OpSLe {
		if unsignedBits(x) < 64 && unsignedBits(y) < 64 { // neither is negative
			v.Op -= OpSLt - OpULt
			o.changed = true
		}
	}
	if v.Op == OpEq || v.Op == OpNe {
		return o.equal(v, x, y)
	}
	return o.less(v, x, y)
}

func (o *folder) equal(v, x, y *Value) *Value {
	if x.Op == OpSub && y.isConst(0) && x.Args[1].Type == Scalar && x.Args[0].Type == Scalar {
		v.Args = []*Value{x.Args[0], x.Args[1]}
		o.changed = true
		return nil
	}
	if y.Op != OpConst {
		return nil
	}
	n := y.Aux
	if uint64(n) > uint64(mask(unsignedBits(x))) {
		return o.num(bit(v.Op == OpNe))
	}
	truth := v.Op == OpEq // whether v is true if x is n
	switch {
	case x.Op.compare() && (n == 0) != truth:
		return x
	case x.Op.compare():
		op, a, b := inverse(x.Op, x.Args[0], x.Args[1])
		o.become(v, op, a, b)
	case x.Op == OpAnd && x.Args[1].isConst(n) && n != 0:
		if _, power := log2(n); power { // one bit: compare with zero, which a jump can do at once
			v.Op, v.Args[1] = OpEq+OpNe-v.Op, o.num(0)
			o.changed = true
		}
	case x.Op == OpAdd && x.Args[1].Op == OpConst && x.Args[0].Type == Scalar:
		v.Args = []*Value{x.Args[0], o.num(n - x.Args[1].Aux)}
		o.changed = true
	case x.Op == OpXor && n == 0:
		v.Args = []*Value{x.Args[0], x.Args[1]}
		o.changed = true
	}
	return nil
}

// less handles ULt, ULe, SLt and SLe.
func (o *folder) less(v, x, y *Value) *Value {
	unsigned := v.Op == OpULt || v.Op == OpULe
	if y.Op == OpConst {
		n, top := y.Aux, mask(unsignedBits(x))
		switch {
		case v.Op == OpULt && n == 0:
			return o.num(0)
		case v.Op == OpULt && n == 1, v.Op == OpULe && n == 0:
			o.become(v, OpEq, x, o.num(0))
			return nil
		case v.Op == OpULe && uint64(top) <= uint64(n), v.Op == OpULt && uint64(top) < uint64(n):
			return o.num(1)
		case !unsigned && top >= 0 && n < 0: // x is not negative
			return o.num(0)
		case (v.Op == OpSLe && n != mask(63) || v.Op == OpULe && n != -1) && (fits32(n+1) || !fits32(n)):
			v.Op--
			v.Args = []*Value{x, o.num(n + 1)}
			o.changed = true
		}
	}
	if x.Op == OpConst {
		n, top := x.Aux, mask(unsignedBits(y))
		switch {
		case v.Op == OpULe && n == 0:
			return o.num(1)
		case v.Op == OpULt && n == 0, v.Op == OpULe && n == 1:
			o.become(v, OpNe, y, o.num(0))
			return nil
		case v.Op == OpULt && uint64(top) <= uint64(n), v.Op == OpULe && uint64(top) < uint64(n):
			return o.num(0)
		case !unsigned && top >= 0 && n < 0:
			return o.num(1)
		case (v.Op == OpSLe && n != -mask(63)-1 || v.Op == OpULe && n != 0) && (fits32(n-1) || !fits32(n)):
			v.Op--
			v.Args = []*Value{o.num(n - 1), y}
			o.changed = true
		}
	}
	return nil
}
