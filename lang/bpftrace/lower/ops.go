package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

func (f *fn) unary(x *check.Unary) *ir.Value {
	v := f.value(x.X)
	switch x.Op {
	case "!":
		return f.b.Binary(ir.OpEq, v, f.b.Const(0))
	case "-":
		return f.wrap(f.b.Add(ir.OpNeg, ir.Scalar, v), x.T)
	case "~":
		return f.wrap(f.b.Binary(ir.OpXor, v, f.b.Const(-1)), x.T)
	}
	panic("lower: unary " + x.Op)
}

func (f *fn) binary(x *check.Binary) *ir.Value {
	switch x.Op {
	case "&&", "||":
		yes, no, end := f.newBlock(), f.newBlock(), f.newBlock()
		f.cond(x, yes, no)
		v := &ir.Var{Name: "bool", Type: ir.Scalar}
		f.arm(yes, end, func() { f.b.Write(v, f.b.Const(1)) })
		f.arm(no, end, func() { f.b.Write(v, f.b.Const(0)) })
		end.Seal()
		f.b.At(end)
		return f.b.Read(v)
	case "==", "!=", "<", "<=", ">", ">=":
		if c, ok := constOf(x.Y); ok && x.X.Type().Kind == schema.ProbeName {
			return f.compare(x.Op, f.value(x.X), f.b.Const(int64(f.probeName(c))), false)
		}
		if !isScalar(x.X.Type()) || !isScalar(x.Y.Type()) {
			return f.compareMemory(x)
		}
		return f.compare(x.Op, f.value(x.X), f.value(x.Y), isSigned(x.X.Type()))
	}
	l, r := f.number(x.X, x.Op), f.number(x.Y, x.Op)
	v := f.arithmetic(x, x.Op, l, r, x.T)
	return v
}

// number evaluates an operand. The verifier forbids most arithmetic on pointers that it knows, until their bytes have been
// copied.
func (f *fn) number(x check.Expr, op string) *ir.Value {
	v := f.value(x)
	if v.Type != ir.KernelPointer {
		return v
	}
	if op == "+" || op == "-" {
		return f.plain(v)
	}
	slot, copied := f.slot("pointer", 8, 8), f.slot("number", 8, 8)
	f.b.Store(slot, 0, 8, v)
	f.b.Call(fnProbeReadKernel, ir.Scalar, 0, copied, f.b.Const(8), slot)
	return f.b.Load(copied, 0, 8, false)
}

func (f *fn) compare(op string, l, r *ir.Value, signed bool) *ir.Value {
	lt, le := ir.OpULt, ir.OpULe
	if signed {
		lt, le = ir.OpSLt, ir.OpSLe
	}
	switch op {
	case "==":
		return f.b.Binary(ir.OpEq, l, r)
	case "!=":
		return f.b.Binary(ir.OpNe, l, r)
	case "<":
		return f.b.Binary(lt, l, r)
	case "<=":
		return f.b.Binary(le, l, r)
	case ">":
		return f.b.Binary(lt, r, l)
	}
	return f.b.Binary(le, r, l)
}

// arithmetic builds l op r in type t.
func (f *fn) arithmetic(at check.Expr, op string, l, r *ir.Value, t *schema.Type) *ir.Value {
	signed := isSigned(t)
	switch op {
	case "+":
		return f.wrap(f.b.Binary(ir.OpAdd, l, r), t)
	case "-":
		return f.wrap(f.b.Binary(ir.OpSub, l, r), t)
	case "*":
		return f.wrap(f.b.Binary(ir.OpMul, l, r), t)
	case "&":
		return f.b.Binary(ir.OpAnd, l, r)
	case "|":
		return f.b.Binary(ir.OpOr, l, r)
	case "^":
		return f.b.Binary(ir.OpXor, l, r)
	case "<<":
		return f.wrap(f.b.Binary(ir.OpShl, l, r), t)
	case ">>":
		if signed {
			return f.b.Binary(ir.OpSar, l, r)
		}
		return f.b.Binary(ir.OpShr, l, r)
	case "/", "%":
		return f.divide(at, op, l, r, t)
	}
	panic("lower: operator " + op)
}

// divide reports a divisor of zero and gives 1 then.
func (f *fn) divide(at check.Expr, op string, l, r *ir.Value, t *schema.Type) *ir.Value {
	o := ir.OpUDiv
	switch signed := isSigned(t); {
	case op == "/" && signed:
		o = ir.OpSDiv
	case op == "%" && signed:
		o = ir.OpSMod
	case op == "%":
		o = ir.OpUMod
	}
	do := func() *ir.Value { return f.wrap(f.b.Binary(o, l, r), t) }
	if r.Op == ir.OpConst && r.Aux != 0 {
		return do()
	}
	return f.pick(r, ir.Scalar, ir.LikelyThen, do, func() *ir.Value {
		f.runtimeError(at.Pos(), "", "Divide or modulo by 0 detected: 1 is used as the result", nil)
		return f.b.Const(1)
	})
}

func (f *fn) convert(x *check.Convert) operand {
	from, to := x.X.Type(), x.T
	switch {
	case to.Kind == schema.ProbeName && from.Kind == schema.String:
		name, _ := constOf(x.X) // check takes nothing else
		return operand{v: f.b.Const(int64(f.probeName(name)))}
	case isScalar(to) && isScalar(from):
		v := f.value(x.X)
		if to.Kind == schema.Pointer {
			return operand{v: f.asPointer(v, x.X, to)}
		}
		return operand{v: f.fit(v, from, to)}
	case isScalar(to): // an array, string or other memory as an integer
		p := f.at(x.X)
		n := min(pow2Below(size(from)), scalarSize(to))
		return operand{v: f.fit(f.loadInt(p, n, isSigned(to)), to, to)}
	case isScalar(from) && to.Kind == schema.String:
		return operand{place: f.textOf(x)}
	case isScalar(from):
		return f.scalarToMemory(x)
	case to.Kind == schema.String && from.Kind == schema.String:
		p := f.at(x.X)
		if p.size == 0 {
			p.size = size(from)
		}
		if size(to) < p.size {
			slot := f.slot("string", (size(to)+7)&^7, 8)
			f.stringPlaceInto(p, p.size, size(to), slot, 0)
			return operand{place: place{base: slot, padded: true}}
		}
		return operand{place: p}
	}
	p := f.at(x.X)
	p.padded = false
	if to.Kind == schema.Tuple && from.Kind == schema.Tuple && !schema.Equal(from, to) {
		slot := f.slot("tuple", (size(to)+7)&^7, 8)
		f.placeInto(p, from, to, slot, 0)
		return operand{place: place{base: slot}}
	}
	if size(to) > size(from) {
		slot := f.slot("convert", (size(to)+7)&^7, 8)
		f.copyTo(slot, 0, p, size(from))
		f.zero(slot, int64(size(from)), size(to)-size(from))
		p = place{base: slot}
	}
	return operand{place: p}
}

// scalarToMemory is a conversion of an integer to an array of bytes, or of an address to a symbol.
func (f *fn) scalarToMemory(x *check.Convert) operand {
	n := (size(x.T) + 7) &^ 7
	slot := f.slot("convert", n, 8)
	v := f.value(x.X)
	w := min(size(x.T), 8)
	f.b.Store(slot, 0, 8, v)
	if x.T.Kind == schema.USym {
		f.b.Store(slot, 8, 8, f.processID())
		return operand{place: place{base: slot}}
	}
	f.zero(slot, 8, n-8)
	_ = w
	return operand{place: place{base: slot}}
}

// asPointer keeps what the verifier knows of a pointer only if the type is still the same.
func (f *fn) asPointer(v *ir.Value, x check.Expr, to *schema.Type) *ir.Value {
	if v.Type != ir.KernelPointer {
		return v
	}
	from := x.Type()
	if from.Kind == schema.Pointer && from.Elem != nil && to.Elem != nil && from.Elem.Kind == to.Elem.Kind && from.Elem.Name == to.Elem.Name {
		return v
	}
	if c, ok := x.(*check.Call); ok && c.Fn == "curtask" && to.Elem != nil && to.Elem.Kind == schema.Struct && to.Elem.Name == "task_struct" {
		return v
	}
	return f.plain(v)
}

// plain forgets that a value is a typed pointer, so that it may be mixed with other numbers.
func (f *fn) plain(v *ir.Value) *ir.Value {
	if v.Type != ir.KernelPointer {
		return v
	}
	w := f.b.Binary(ir.OpAdd, v, f.b.Const(0))
	w.Type = ir.Scalar
	return w
}
