package lower

import (
	"fmt"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// value evaluates an expression of a scalar type.
func (f *fn) value(x check.Expr) *ir.Value {
	o := f.operand(x)
	if o.v != nil {
		return o.v
	}
	if o.base != nil {
		return f.loadInt(o.place, min(8, pow2Below(size(x.Type()))), isSigned(x.Type()))
	}
	return f.b.Const(0)
}

// pow2Below is the largest width of a load that n bytes hold.
func pow2Below(n int) int {
	w := 1
	for w*2 <= n {
		w *= 2
	}
	return w
}

// at evaluates an expression that is not a scalar and tells where it lies.
func (f *fn) at(x check.Expr) place {
	o := f.operand(x)
	if o.v != nil {
		slot := f.slot("value", 8, 8)
		f.b.Store(slot, 0, 8, o.v)
		return place{base: slot}
	}
	return o.place
}

// operand evaluates an expression.
func (f *fn) operand(x check.Expr) operand {
	if f.b.Terminated() {
		f.unreachable()
	}
	leave := f.within(x)
	o := f.eval(x)
	if f.b.Terminated() {
		f.unreachable()
	}
	leave()
	return o
}

// within gives what is built the place of x, until its result is called.
func (f *fn) within(x check.Expr) (leave func()) {
	span := f.b.Span
	f.b.Span = x.Pos()
	return func() { f.b.Span = span }
}

func (f *fn) eval(x check.Expr) operand {
	switch x := x.(type) {
	case *check.Const:
		return operand{v: f.b.Const(x.Value)}
	case *check.Str:
		return operand{place: f.constString(x.Value)}
	case *check.VarRef:
		return f.readVar(x.Var)
	case *check.MapGet:
		return f.mapGet(x)
	case *check.IncDec:
		return operand{v: f.incDec(x, true)}
	case *check.Unary:
		return operand{v: f.unary(x)}
	case *check.Binary:
		return operand{v: f.binary(x)}
	case *check.Cond:
		return f.ternary(x)
	case *check.Convert:
		return f.convert(x)
	case *check.Deref:
		return f.deref(x)
	case *check.Member:
		return f.member(x)
	case *check.Index:
		return f.index(x)
	case *check.AddrOf:
		return operand{v: f.addrOf(x)}
	case *check.ArgsField:
		return f.src.field(f, x)
	case *check.Tuple:
		slot := f.slot("tuple", x.T.Size, 8)
		f.into(x, x.T, slot, 0)
		return operand{place: place{base: slot}}
	case *check.Call:
		return f.call(x)
	case *check.Seq:
		f.body(x.Stmts)
		if f.b.Terminated() {
			f.unreachable()
		}
		if x.X == nil {
			return operand{}
		}
		return f.operand(x.X)
	}
	panic(fmt.Sprintf("lower: expression %T", x))
}

// into stores the value of x, as type t, in own memory at dst+off. All bytes of t's memory are written.
func (f *fn) into(x check.Expr, t *schema.Type, dst *ir.Value, off int64) {
	defer f.within(x)()
	if isScalar(t) {
		f.b.Store(dst, off, scalarSize(t), f.fit(f.value(x), x.Type(), t))
		return
	}
	switch t.Kind {
	case schema.String:
		f.stringInto(x, size(t), dst, off)
		return
	case schema.Tuple:
		if tuple, ok := x.(*check.Tuple); ok {
			f.tupleInto(tuple, t, dst, off)
			return
		}
	}
	from := f.at(x)
	f.placeInto(from, x.Type(), t, dst, off)
}

// placeInto stores what lies at a place as type ft as a value of type t.
func (f *fn) placeInto(from place, ft, t *schema.Type, dst *ir.Value, off int64) {
	switch {
	case isScalar(t):
		f.b.Store(dst, off, scalarSize(t), f.fit(f.load(from, ft), ft, t))
	case t.Kind == schema.String:
		f.stringPlaceInto(from, size(ft), size(t), dst, off)
	case t.Kind == schema.Tuple && len(ft.Fields) == len(t.Fields) && !schema.Equal(ft, t):
		f.zeroGaps(t, dst, off)
		for i, field := range t.Fields {
			f.placeInto(from.at(int64(ft.Fields[i].Offset)), ft.Fields[i].Type, field.Type, dst, off+int64(field.Offset))
		}
	default:
		n := min(size(t), size(ft))
		f.copyTo(dst, off, from, n)
		f.zero(dst, off+int64(n), size(t)-n)
	}
}

func (f *fn) tupleInto(x *check.Tuple, t *schema.Type, dst *ir.Value, off int64) {
	f.zeroGaps(t, dst, off)
	for i, e := range x.Elems {
		f.into(e, t.Fields[i].Type, dst, off+int64(t.Fields[i].Offset))
	}
}

// zeroGaps clears the padding of a tuple, which is part of what keys are compared by.
func (f *fn) zeroGaps(t *schema.Type, dst *ir.Value, off int64) {
	end := 0
	for _, m := range t.Fields {
		f.zero(dst, off+int64(end), m.Offset-end)
		end = m.Offset + size(m.Type)
	}
	f.zero(dst, off+int64(end), t.Size-end)
}

// fit changes an integer that is kept extended for type from to one for type to.
func (f *fn) fit(v *ir.Value, from, to *schema.Type) *ir.Value {
	if to.Kind == schema.Bool && from.Kind != schema.Bool {
		return f.b.Binary(ir.OpNe, v, f.b.Const(0))
	}
	n := scalarSize(to)
	if n == 8 || !isScalar(from) {
		return v
	}
	m := scalarSize(from)
	if m < n && (isSigned(to) || !isSigned(from)) || m == n && isSigned(to) == isSigned(from) {
		return v
	}
	return f.wrap(v, to)
}

// wrap cuts the result of an operation to its type.
func (f *fn) wrap(v *ir.Value, t *schema.Type) *ir.Value {
	n := scalarSize(t)
	if n == 8 {
		return v
	}
	if isSigned(t) {
		return f.b.Ext(ir.OpSExt, v, 8*n)
	}
	return f.b.Ext(ir.OpZExt, v, 8*n)
}

func (f *fn) ternary(x *check.Cond) operand {
	yes, no, end := f.newBlock(), f.newBlock(), f.newBlock()
	f.cond(x.C, yes, no)
	if x.T == nil || x.T.Kind == schema.None {
		f.arm(yes, end, func() { f.discard(x.Then) })
		f.arm(no, end, func() { f.discard(x.Else) })
		end.Seal()
		f.b.At(end)
		return operand{}
	}
	if isScalar(x.T) {
		v := &ir.Var{Name: "cond", Type: ir.Scalar}
		f.arm(yes, end, func() { f.b.Write(v, f.fit(f.value(x.Then), x.Then.Type(), x.T)) })
		f.arm(no, end, func() { f.b.Write(v, f.fit(f.value(x.Else), x.Else.Type(), x.T)) })
		end.Seal()
		f.b.At(end)
		return operand{v: f.b.Read(v)}
	}
	slot := f.b.F.NewSlot("cond", (size(x.T)+7)&^7, 8, ir.Auto)
	f.arm(yes, end, func() { f.into(x.Then, x.T, f.b.SlotAddr(slot), 0) })
	f.arm(no, end, func() { f.into(x.Else, x.T, f.b.SlotAddr(slot), 0) })
	end.Seal()
	f.b.At(end)
	return operand{place: place{base: f.b.SlotAddr(slot), padded: true}}
}

func (f *fn) deref(x *check.Deref) operand {
	p := f.pointee(x)
	if isScalar(x.T) {
		return operand{v: f.load(p, x.T)}
	}
	return operand{place: p}
}

// pointee is the place that the pointer of d points to.
func (f *fn) pointee(d *check.Deref) place {
	x := d.X
	if a, ok := x.(*check.AddrOf); ok {
		return f.at(a.X)
	}
	if f.isPerfContext(d.T) {
		return place{base: f.context(), words: true}
	}
	p := place{space: kernel, base: f.value(x)}
	switch {
	case x.Type().Either:
		p.space = either
	case x.Type().User:
		p.space = user
	case p.base.Type == ir.KernelPointer && isKernelStruct(d.T):
		p.space, p.nullable = typed, true
	}
	return p
}

// isPerfContext reports whether t is what programs on perf events are called with. There is no such thing in memory: the verifier
// replaces what reads it.
func (f *fn) isPerfContext(t *schema.Type) bool {
	if t.Kind != schema.Struct || t.Name != "bpf_perf_event_data" {
		return false
	}
	switch f.points[0].Kind {
	case probe.Profile, probe.Interval, probe.Software:
		return true
	}
	return false
}

func (f *fn) member(x *check.Member) operand {
	if t, ok := x.X.(*check.Tuple); ok {
		// An element of a tuple written in place: only its effects are needed of the others.
		for i := range t.Elems {
			if t.T.Fields[i].Offset == x.Field.Offset {
				return f.operand(t.Elems[i])
			}
		}
	}
	p := f.memberBase(x)
	if isScalar(x.Field.Type) {
		return operand{v: f.loadField(p, x.Field)}
	}
	q := p.at(int64(x.Field.Offset))
	q.padded = p.space == memory && x.X.Type().Kind == schema.Tuple && x.Field.Type.Kind == schema.String
	return operand{place: q}
}

// memberBase is the place that a member's offset counts from.
func (f *fn) memberBase(x *check.Member) place {
	if v, ok := x.X.(*check.VarRef); ok {
		if s := f.variable(v.Var); s.pair != nil {
			return s.pair.element(f, x.X.Type(), x.Field)
		}
	}
	return f.at(x.X)
}

func (f *fn) index(x *check.Index) operand {
	elem := int64(size(x.T))
	if e := x.X.Type().Elem; e != nil {
		elem = int64(size(e))
	}
	if a, ok := x.X.(*check.ArgsField); ok {
		c, isConst := x.I.(*check.Const)
		if s, known := f.src.(*knownSource); known && isConst {
			if o, ok := s.element(f, a, int(c.Value)); ok {
				return o
			}
		}
	}
	p := f.at(x.X)
	if c, ok := x.I.(*check.Const); ok {
		p = p.at(c.Value * elem)
	} else {
		i := f.value(x.I)
		if p.space == memory || p.space == typed {
			// An offset that varies is no business of the verifier if the helper reads.
			p.space = kernel
		}
		base := f.b.AddConst(f.plain(p.base), p.off)
		at := func() *ir.Value { return f.b.Binary(ir.OpAdd, base, f.b.Binary(ir.OpMul, i, f.b.Const(elem))) }
		p = place{space: p.space}
		if n := x.X.Type().Len; n > 0 {
			return f.checkedIndex(x, i, n, p, base.Type, at)
		}
		p.base = at()
	}
	if isScalar(x.T) {
		return operand{v: f.load(p, x.T)}
	}
	return operand{place: p}
}

// checkedIndex reads element i of n, or reports that there is none and gives zero.
func (f *fn) checkedIndex(x *check.Index, i *ir.Value, n int, p place, t ir.Type, at func() *ir.Value) operand {
	inside := f.b.Binary(ir.OpULt, i, f.b.Const(int64(n)))
	outside := func() { f.runtimeError(x.Span, "", "Array access out of bounds: 0 is used as the value", nil) }
	if isScalar(x.T) {
		return operand{v: f.pick(inside, ir.Scalar, ir.LikelyThen,
			func() *ir.Value { return f.load(place{space: p.space, base: at()}, x.T) },
			func() *ir.Value { outside(); return f.b.Const(0) })}
	}
	p.base = f.pick(inside, t, ir.LikelyThen, at,
		func() *ir.Value { outside(); return f.b.MapValue(MapStrings, 0) })
	return operand{place: p}
}

func (f *fn) addrOf(x *check.AddrOf) *ir.Value {
	switch v := x.X.(type) {
	case *check.VarRef:
		s := f.variable(v.Var)
		if s.ssa != nil {
			// A copy: nothing can be written through it.
			slot := f.slot(v.Var.Name, 8, 8)
			f.b.Store(slot, 0, 8, f.b.Read(s.ssa))
			return escaped(slot)
		}
	}
	p := f.placeOf(x.X)
	if p.space == memory {
		return f.b.AddConst(escaped(p.base), p.off)
	}
	return f.address(p)
}

// escaped keeps a slot for the whole function, since its address is kept where nobody can follow it.
func escaped(v *ir.Value) *ir.Value {
	if v.Op == ir.OpSlot {
		v.Slot.Whole = true
	}
	return v
}

// placeOf tells where an expression lies, without reading it if it is a scalar in foreign memory.
func (f *fn) placeOf(x check.Expr) place {
	switch x := x.(type) {
	case *check.Deref:
		return f.pointee(x)
	case *check.Member:
		p := f.placeOf(x.X)
		return p.at(int64(x.Field.Offset))
	case *check.Index:
		p := f.placeOf(x.X)
		elem := int64(size(x.T))
		if c, ok := x.I.(*check.Const); ok {
			return p.at(c.Value * elem)
		}
		p.base = f.b.Binary(ir.OpAdd, p.base, f.b.Binary(ir.OpMul, f.value(x.I), f.b.Const(elem)))
		return p
	case *check.ArgsField:
		return f.src.field(f, x).place
	}
	return f.at(x)
}

// cond ends the block: to then if x is true, else to otherwise. Neither must be sealed yet.
func (f *fn) cond(x check.Expr, then, otherwise *ir.Block) {
	switch x := x.(type) {
	case *check.Unary:
		if x.Op == "!" {
			f.cond(x.X, otherwise, then)
			return
		}
	case *check.Binary:
		switch x.Op {
		case "&&", "||":
			mid := f.newBlock()
			if x.Op == "&&" {
				f.cond(x.X, mid, otherwise)
			} else {
				f.cond(x.X, then, mid)
			}
			mid.Seal()
			f.b.At(mid)
			made := f.memo
			f.cond(x.Y, then, otherwise)
			f.memo = made
			return
		}
	case *check.Convert:
		if x.T.Kind == schema.Bool && isScalar(x.X.Type()) {
			f.cond(x.X, then, otherwise)
			return
		}
	case *check.Const:
		if x.Value != 0 {
			f.b.Jump(then)
		} else {
			f.b.Jump(otherwise)
		}
		return
	}
	v := f.value(x)
	f.b.If(v, then, otherwise, ir.LikelyUnknown)
}
