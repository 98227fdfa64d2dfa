package lower

import (
	"golang.org/x/sys/unix"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// strCall is str() or str_concat() where its value must be kept.
func strCall(f *fn, x *check.Call) operand {
	n := (size(x.T) + 7) &^ 7
	slot := f.slot("str", n, 8)
	s, _ := f.storedString(x)
	f.storedInto(s, n, slot, 0)
	return operand{place: place{base: slot, padded: true, size: n}}
}

// concat puts two strings one behind the other.
func (f *fn) concat(x *check.Call) stored {
	a, b := f.anyString(x.Args[0]), f.anyString(x.Args[1])
	room := int64(roomFor(a.limit))
	slot := f.scratchSlot("concat", int(room)+roomFor(b.limit))
	n := f.readString(slot, a.most(f, 0), a.from)
	length := f.pick(f.b.Binary(ir.OpSLt, f.b.Const(0), n), ir.Scalar, ir.LikelyThen,
		func() *ir.Value { return f.b.AddConst(n, -1) },
		func() *ir.Value { return f.b.Const(0) })
	f.readString(f.b.Binary(ir.OpAdd, slot, f.b.Bound(length, room-1, false)), b.most(f, 0), b.from)
	return stored{from: place{base: slot}, limit: size(x.T)}
}

// anyString is a string as a helper reads it, wherever it lies.
func (f *fn) anyString(x check.Expr) stored {
	if s, ok := f.storedString(x); ok {
		return s
	}
	s := stored{from: f.at(x), limit: size(x.Type()) + 1}
	if s.from.size > 0 {
		s.limit = s.from.size + 1
	}
	return s
}

// bufferSource is what buf() reads: bytes at a place, as many as length says, at most limit.
func (f *fn) bufferSource(x *check.Call) (from place, length *ir.Value, limit int) {
	arg := x.Args[0]
	limit = size(x.T) - 4
	if t := arg.Type(); !isScalar(t) {
		from = f.at(arg)
		limit = min(limit, size(t))
		length = f.b.Const(int64(limit))
	} else {
		from = f.stringAt(arg)
		length = f.b.Const(int64(limit))
	}
	if len(x.Args) > 1 {
		length = f.value(x.Args[1])
		if c, ok := x.Args[1].(*check.Const); ok {
			length = f.b.Const(min(c.Value, int64(limit)))
		}
	}
	return from, length, limit
}

// readBytes reads n bytes to own memory.
func (f *fn) readBytes(dst, n *ir.Value, from place) {
	helper := from.space.reader()
	r := f.b.Call(helper, ir.Scalar, 0, dst, n, f.address(from))
	f.helperError(r, helperName(helper))
}

// bufCall is buf() where its value must be kept: u32 length, then the bytes.
func bufCall(f *fn, x *check.Call) operand {
	from, length, limit := f.bufferSource(x)
	slot := f.scratchSlot("buf", roomFor(size(x.T)))
	f.zeroLong(slot, size(x.T))
	n := f.b.Bound(length, int64(limit), true)
	f.b.Store(slot, 0, 4, n)
	f.readBytes(f.b.AddConst(slot, 4), n, from)
	return operand{place: place{base: slot}}
}

// zeroLong clears n bytes of scratch memory.
func (f *fn) zeroLong(dst *ir.Value, n int) {
	if n <= 128 {
		f.zero(dst, 0, n)
		return
	}
	for off := 0; off < n; off += f.zeroSize {
		f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(dst, int64(off)), f.b.Const(int64(min(f.zeroSize, n-off))), f.b.MapValue(MapStrings, 0))
	}
}

// appendBuffer appends the bytes of buf() to a record.
func (f *fn) appendBuffer(t *tail, lengthAt int64, typ *schema.Type, x check.Expr) {
	var from place
	var length *ir.Value
	limit := size(typ) - 4
	if c, ok := x.(*check.Call); ok && c.Fn == "argv" {
		f.appendArgv(t, lengthAt, limit, c)
		return
	}
	if c, ok := x.(*check.Call); ok && c.Fn == "buf" {
		from, length, limit = f.bufferSource(c)
	} else {
		p := f.at(x)
		length = f.loadInt(p, 4, false)
		from = p.at(4)
	}
	n := f.b.Bound(length, int64(limit), true)
	f.b.Store(t.rec, lengthAt, 4, n)
	f.readBytes(t.addr(f), n, from)
	t.grow(f, n, int64(roomFor(limit)-1))
}

// strncmpCall is 0 if the first n bytes are equal, or the strings end before.
func strncmpCall(f *fn, x *check.Call) operand {
	n := int64(size(x.Args[0].Type()))
	if c, ok := x.Args[2].(*check.Const); ok {
		n = c.Value
	}
	a, b := x.Args[0], x.Args[1]
	if _, ok := constOf(a); ok {
		a, b = b, a
	}
	if s, ok := constOf(b); ok {
		want := []byte(s)
		if int64(len(want)) >= n {
			want = want[:n]
		} else {
			want = append(want, 0)
		}
		p, have := f.ownString(a)
		equal := f.bytesEqualPrefix(p, have, want)
		return operand{v: f.b.Binary(ir.OpEq, equal, f.b.Const(0))}
	}
	p, i := f.ownString(a)
	q, j := f.ownString(b)
	m := min(int(n), i, j)
	var equal *ir.Value
	if m <= 64 {
		equal = f.sameBytes(p, q, m)
	} else {
		equal = f.sameLong(p, q, m)
	}
	return operand{v: f.b.Binary(ir.OpEq, equal, f.b.Const(0))}
}

// bytesEqualPrefix compares the first bytes of own memory with constant ones.
func (f *fn) bytesEqualPrefix(p place, have int, want []byte) *ir.Value {
	if len(want) > have {
		want = want[:have]
	}
	p.padded = false
	return f.bytesEqualConst(p, max(have, len(want)), want)
}

// strlenCall is the length of a string without its NUL.
func strlenCall(f *fn, x *check.Call) operand {
	if c, ok := constOf(x.Args[0]); ok {
		return operand{v: f.b.Const(int64(len(c)))}
	}
	s := f.anyString(x.Args[0])
	room := f.scratchSlot("strlen", roomFor(s.limit))
	n := f.readString(room, s.most(f, 0), s.from)
	return operand{v: f.pick(f.b.Binary(ir.OpSLt, f.b.Const(0), n), ir.Scalar, ir.LikelyThen,
		func() *ir.Value { return f.b.AddConst(n, -1) },
		func() *ir.Value { return f.b.Const(0) })}
}

func memcmpCall(f *fn, x *check.Call) operand {
	n := 8
	if c, ok := x.Args[2].(*check.Const); ok {
		n = int(c.Value)
	}
	read := func(a check.Expr) place {
		var p place
		if a.Type().Kind == schema.Pointer {
			p = f.stringAt(a)
		} else {
			p = f.at(a)
			if p.space == memory {
				return p
			}
		}
		slot := f.slot("memcmp", (n+7)&^7, 8)
		f.copyTo(slot, 0, p, n)
		return place{base: slot}
	}
	return operand{v: f.order(read(x.Args[0]), read(x.Args[1]), n)}
}

// strstrCall looks for a string in another: strcontains is true if it is there, strstr gives its place or -ENOENT, as the kernel does.
func strstrCall(f *fn, x *check.Call) operand {
	needle, isConst := constOf(x.Args[1])
	var q place
	m := len(needle)
	if !isConst {
		q, m = f.scratchString(x.Args[1], 0)
	}
	hay, n := f.scratchString(x.Args[0], roomFor(m))
	if isConst && m == 0 {
		if x.Fn == "strcontains" {
			return operand{v: f.b.Const(1)}
		}
		return operand{v: f.b.Const(0)}
	}
	result := &ir.Var{Name: "found", Type: ir.Scalar}
	i := &ir.Var{Name: "i", Type: ir.Scalar}
	f.b.Write(i, f.b.Const(0))
	f.b.Write(result, f.b.Const(-int64(unix.ENOENT)))
	head, body, next, hit, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(i), f.b.Const(int64(n))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	at := f.b.Binary(ir.OpAdd, f.b.AddConst(hay.base, hay.off), f.b.Bound(f.b.Read(i), int64(roomFor(n)-1), false))
	if isConst {
		// The string is followed by room for the longest constant.
		for k := 0; k < m; k++ {
			same := f.b.Binary(ir.OpEq, f.b.Load(at, int64(k), 1, false), f.b.Const(int64(needle[k])))
			f.branch(same, nil, next, ir.LikelyElse)
		}
		f.b.Jump(hit)
	} else {
		f.compareAt(at, q, m, hit, next)
	}
	hit.Seal()
	f.b.At(hit)
	f.b.Write(result, f.b.Read(i))
	f.b.Jump(end)
	next.Seal()
	f.b.At(next)
	last := f.b.Load(at, 0, 1, false)
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 1))
	f.b.If(last, head, end, ir.LikelyThen)
	head.Seal()
	end.Seal()
	f.b.At(end)
	if x.Fn == "strcontains" {
		return operand{v: f.b.Binary(ir.OpSLe, f.b.Const(0), f.b.Read(result))}
	}
	return operand{v: f.b.Read(result)}
}

// compareAt goes to hit if the string q of m bytes stands at own memory at, else to miss.
func (f *fn) compareAt(at *ir.Value, q place, m int, hit, miss *ir.Block) {
	j := &ir.Var{Name: "j", Type: ir.Scalar}
	f.b.Write(j, f.b.Const(0))
	head, body := f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(j), f.b.Const(int64(m))), body, hit, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	k := f.b.Bound(f.b.Read(j), int64(roomFor(m)-1), false)
	want := f.b.Load(f.b.Binary(ir.OpAdd, f.b.AddConst(q.base, q.off), k), 0, 1, false)
	f.branch(want, nil, hit, ir.LikelyThen)
	have := f.b.Load(f.b.Binary(ir.OpAdd, at, f.b.Bound(f.b.Read(j), int64(roomFor(m)-1), false)), 0, 1, false)
	f.branch(f.b.Binary(ir.OpEq, have, want), nil, miss, ir.LikelyThen)
	f.b.Write(j, f.b.AddConst(f.b.Read(j), 1))
	f.b.Jump(head)
	head.Seal()
}

// scratchString copies a string to scratch memory with so much room behind it that it can be read at any offset, and more bytes there.
func (f *fn) scratchString(x check.Expr, more int) (place, int) {
	n := size(x.Type())
	slot := f.scratchSlot("string", 4*roomFor(n)+more)
	f.zeroLong(slot, min(n+8, f.zeroSize))
	if s, ok := f.storedString(x); ok {
		s.limit = min(s.limit, n)
		f.readString(slot, s.most(f, 0), s.from)
		return place{base: slot}, n
	}
	p := f.at(x)
	if p.size > 0 {
		n = min(n, p.size)
	}
	f.readString(slot, f.b.Const(int64(n+1)), p)
	return place{base: slot}, n
}
