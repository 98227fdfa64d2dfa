package check

import (
	"math"
	"math/bits"

	"skep/internal/diag"
)

// constResult decides the comparison of two constants.
func constResult(op string, signed bool, x, y Expr) (int64, bool) {
	a, ok := x.(*Const)
	b, ok2 := y.(*Const)
	if !ok || !ok2 {
		return 0, false
	}
	less := a.Value < b.Value
	if !signed {
		less = uint64(a.Value) < uint64(b.Value)
	}
	equal := a.Value == b.Value
	switch op {
	case "==":
		return b2i(equal), true
	case "!=":
		return b2i(!equal), true
	case "<":
		return b2i(less), true
	case "<=":
		return b2i(less || equal), true
	case ">":
		return b2i(!less && !equal), true
	}
	return b2i(!less), true
}

// fold computes with literals. The result is a literal again.
func (c *checker) fold(at diag.Span, op string, x, y *Const) Expr {
	if isComparison(op) {
		unsigned := x.T == literalU64 && y.Value >= 0 || y.T == literalU64 && x.Value >= 0 || x.T == literalU64 && y.T == literalU64
		v, _ := constResult(op, !unsigned, x, y)
		return &Const{Node{at, typeBool}, v}
	}
	v, ok := foldInt(op, x.Value, y.Value)
	if x.T == literalU64 || y.T == literalU64 {
		u, uok := foldUint(op, uint64(x.Value), uint64(y.Value))
		if uok && u > math.MaxInt64 {
			return &Const{Node{at, literalU64}, int64(u)}
		}
		v, ok = int64(u), uok
	}
	if ok {
		return number(at, v)
	}
	if x.Value >= 0 && y.Value >= 0 && op != "-" {
		if u, ok := foldUint(op, uint64(x.Value), uint64(y.Value)); ok {
			return &Const{Node{at, literalU64}, int64(u)}
		}
	}
	if (op == "/" || op == "%") && y.Value == 0 {
		c.list.Errorf(at, "division by zero")
	} else {
		c.list.Errorf(at, "the result does not fit into 64 bits")
	}
	return bad(at)
}

// foldTyped computes with constants of 64 bits that are no literals, such as parameters. What does not fit is left to the program.
func foldTyped(op string, signed bool, x, y Expr) (int64, bool) {
	a, ok := x.(*Const)
	b, ok2 := y.(*Const)
	if !ok || !ok2 {
		return 0, false
	}
	if signed {
		return foldInt(op, a.Value, b.Value)
	}
	v, ok := foldUint(op, uint64(a.Value), uint64(b.Value))
	return int64(v), ok
}

func foldInt(op string, x, y int64) (int64, bool) {
	switch op {
	case "+":
		v := x + y
		return v, (v > x) == (y > 0)
	case "-":
		v := x - y
		return v, (v < x) == (y > 0)
	case "*":
		if x == 0 || y == 0 {
			return 0, true
		}
		v := x * y
		return v, v/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	case "/":
		if y == 0 || x == math.MinInt64 && y == -1 {
			return 0, false
		}
		return x / y, true
	case "%":
		if y == 0 || y == -1 {
			return 0, y == -1
		}
		return x % y, true
	case "&":
		return x & y, true
	case "|":
		return x | y, true
	case "^":
		return x ^ y, true
	case "<<":
		if y < 0 || y > 63 || x<<y>>y != x {
			return 0, false
		}
		return x << y, true
	case ">>":
		if y < 0 || y > 63 {
			return 0, false
		}
		return x >> y, true
	}
	return 0, false
}

func foldUint(op string, x, y uint64) (uint64, bool) {
	switch op {
	case "+":
		v, carry := bits.Add64(x, y, 0)
		return v, carry == 0
	case "-":
		v, borrow := bits.Sub64(x, y, 0)
		return v, borrow == 0
	case "*":
		hi, lo := bits.Mul64(x, y)
		return lo, hi == 0
	case "/", "%":
		if y == 0 {
			return 0, false
		}
		if op == "/" {
			return x / y, true
		}
		return x % y, true
	case "<<":
		return x << y, y < 64
	case ">>":
		return x >> y, y < 64
	}
	v, ok := foldInt(op, int64(x), int64(y))
	return uint64(v), ok
}
