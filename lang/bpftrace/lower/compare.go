package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// compareMemory is == or != of values that lie in memory.
func (f *fn) compareMemory(x *check.Binary) *ir.Value {
	var equal *ir.Value
	if x.X.Type().Kind == schema.String && x.Y.Type().Kind == schema.String {
		equal = f.compareStrings(x.X, x.Y)
	} else {
		n := min(size(x.X.Type()), size(x.Y.Type()))
		if x.X.Type().Kind == schema.UStack {
			n = 12 // whichever thread of the process it was
		}
		equal = f.sameBytes(f.own(x.X), f.own(x.Y), n)
	}
	if x.Op == "!=" {
		return f.b.Binary(ir.OpEq, equal, f.b.Const(0))
	}
	return equal
}

// own gives a value in own memory.
func (f *fn) own(x check.Expr) place {
	p := f.at(x)
	if p.space == memory {
		return p
	}
	n := size(x.Type())
	slot := f.slot("own", (n+7)&^7, 8)
	f.copyTo(slot, 0, p, n)
	return place{base: slot}
}

func (f *fn) compareStrings(x, y check.Expr) *ir.Value {
	if c, ok := constOf(x); ok {
		return f.equalsConst(y, c)
	}
	if c, ok := constOf(y); ok {
		return f.equalsConst(x, c)
	}
	p, n := f.ownString(x)
	q, m := f.ownString(y)
	return f.sameBytes(p, q, min(n, m))
}

func constOf(x check.Expr) (string, bool) {
	switch x := x.(type) {
	case *check.Str:
		return x.Value, true
	case *check.Convert:
		if x.T.Kind == schema.String {
			return constOf(x.X)
		}
	}
	return "", false
}

// equalsConst compares a string with a constant one, as far as the constant's NUL.
func (f *fn) equalsConst(x check.Expr, c string) *ir.Value {
	want := append([]byte(c), 0)
	// No more of the string is read than decides: one byte more than the constant has, so that a longer one differs.
	n := (len(want) + 8) &^ 7
	read := func(limit *ir.Value, from place) place {
		slot := f.slot("string", n, 8)
		f.zero(slot, 0, n)
		f.readString(slot, limit, from)
		return place{base: slot, padded: true}
	}
	if s, ok := f.storedString(x); ok {
		if len(want) > s.limit {
			return f.b.Const(0)
		}
		s.limit = min(s.limit, len(want)+1)
		return f.bytesEqualConst(read(s.most(f, 0), s.from), n, want)
	}
	p, have := f.at(x), size(x.Type())
	if p.size > 0 {
		have = min(have, p.size)
	}
	if p.space != memory {
		p, have = read(f.b.Const(int64(min(have, len(want))+1)), p), n
	}
	return f.bytesEqualConst(p, have, want)
}

// bytesEqualConst compares own memory with constant bytes, the last of which is NUL.
func (f *fn) bytesEqualConst(p place, have int, want []byte) *ir.Value {
	if have < len(want) {
		if have != len(want)-1 || p.padded {
			return f.b.Const(0) // the string is shorter than the constant
		}
		want = want[:have] // an array without NUL that is full
	}
	result := &ir.Var{Name: "equal", Type: ir.Scalar}
	differs, end := f.newBlock(), f.newBlock()
	for i := 0; i < len(want); {
		w := 8
		for w > 1 && (i+w > have || (p.off+int64(i))%int64(w) != 0 || !p.padded && i+w > len(want)) {
			w /= 2
		}
		// Bytes after the NUL are zero in padded memory, as they are in the wanted word.
		x := f.b.Load(p.base, p.off+int64(i), w, w == 4)
		k := word(want[i:], w)
		if w == 4 {
			k = int64(int32(k))
		}
		next := f.newBlock()
		f.b.If(f.b.Binary(ir.OpEq, x, f.b.Const(k)), next, differs, ir.LikelyUnknown)
		next.Seal()
		f.b.At(next)
		i += w
	}
	f.b.Write(result, f.b.Const(1))
	f.b.Jump(end)
	f.arm(differs, end, func() { f.b.Write(result, f.b.Const(0)) })
	end.Seal()
	f.b.At(end)
	return f.b.Read(result)
}

// sameBytes compares n bytes of own memory.
func (f *fn) sameBytes(p, q place, n int) *ir.Value {
	if n > 64 {
		return f.sameLong(p, q, n)
	}
	result := &ir.Var{Name: "equal", Type: ir.Scalar}
	differs, end := f.newBlock(), f.newBlock()
	for i := 0; i < n; {
		w := 8
		for w > 1 && (i+w > n || (p.off+int64(i))%int64(w) != 0 || (q.off+int64(i))%int64(w) != 0) {
			w /= 2
		}
		a, b := f.b.Load(p.base, p.off+int64(i), w, false), f.b.Load(q.base, q.off+int64(i), w, false)
		next := f.newBlock()
		f.b.If(f.b.Binary(ir.OpEq, a, b), next, differs, ir.LikelyUnknown)
		next.Seal()
		f.b.At(next)
		i += w
	}
	f.b.Write(result, f.b.Const(1))
	f.b.Jump(end)
	if len(differs.Preds) == 0 {
		// n is 0
		differs.Seal()
		f.b.At(differs)
		f.b.Jump(end)
	} else {
		f.arm(differs, end, func() { f.b.Write(result, f.b.Const(0)) })
	}
	end.Seal()
	f.b.At(end)
	return f.b.Read(result)
}

// order is the difference of the first two bytes of own memory that differ, of n, or zero.
func (f *fn) order(p, q place, n int) *ir.Value {
	result := &ir.Var{Name: "order", Type: ir.Scalar}
	i := &ir.Var{Name: "i", Type: ir.Scalar}
	f.b.Write(i, f.b.Const(0))
	f.b.Write(result, f.b.Const(0))
	head, body, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(i), f.b.Const(int64(n))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	at := func(p place) *ir.Value {
		base := f.b.AddConst(p.base, p.off)
		return f.b.Load(f.b.Binary(ir.OpAdd, base, f.b.Bound(f.b.Read(i), int64(n-1), true)), 0, 1, false)
	}
	a, b := at(p), at(q)
	f.b.Write(result, f.b.Binary(ir.OpSub, a, b))
	f.b.If(f.b.Binary(ir.OpEq, a, b), next, end, ir.LikelyThen)
	next.Seal()
	f.b.At(next)
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 1))
	f.b.Jump(head)
	head.Seal()
	end.Seal()
	f.b.At(end)
	return f.b.Read(result)
}

// sameLong compares strings of any size eight bytes at a time, until one ends.
func (f *fn) sameLong(p, q place, n int) *ir.Value {
	result := &ir.Var{Name: "equal", Type: ir.Scalar}
	i := &ir.Var{Name: "i", Type: ir.Scalar}
	f.b.Write(i, f.b.Const(0))
	head, body, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.Write(result, f.b.Const(1))
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(i), f.b.Const(int64(n/8*8))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	at := func(p place) *ir.Value {
		base := f.b.AddConst(p.base, p.off)
		return f.b.Load(f.b.Binary(ir.OpAdd, base, f.b.Bound(f.b.Read(i), int64(n-8), true)), 0, 8, false)
	}
	a, b := at(p), at(q)
	f.b.Write(result, f.b.Const(0))
	f.b.If(f.b.Binary(ir.OpEq, a, b), next, end, ir.LikelyThen)
	next.Seal()
	f.b.At(next)
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 8))
	// A word whose last byte is NUL is the last: what follows is padding.
	f.b.Write(result, f.b.Const(1))
	f.b.If(f.b.Binary(ir.OpShr, a, f.b.Const(56)), head, end, ir.LikelyThen)
	head.Seal()
	end.Seal()
	f.b.At(end)
	return f.b.Read(result)
}
