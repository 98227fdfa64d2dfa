package lower

import (
	"encoding/binary"
	"slices"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// constString is where a constant string lies.
func (f *fn) constString(s string) place {
	off := f.data.add(append([]byte(s), 0))
	return place{base: f.b.MapValue(MapStrings, off), padded: true, size: len(s) + 1}
}

// textOf is the text of a number that is shown as one: strerror(x) where a string is wanted.
func (f *fn) textOf(x *check.Convert) place {
	from := x.X.Type()
	texts := schema.Texts(from.Kind, probe.SyscallName)
	if from.Kind == schema.ProbeName {
		texts = f.probeTexts()
	}
	if texts == nil {
		f.fail(x.Span, "a value of type %s is no string", check.TypeName(from))
	}
	table, each := f.data.addTexts(texts)
	last := int64(len(texts) - 1)
	n := &ir.Var{Name: "n", Type: ir.Scalar}
	f.b.Write(n, f.value(x.X))
	if from.Kind == schema.Errno { // the results of system calls are negative errors
		f.ifElse(f.b.Binary(ir.OpSLt, f.b.Read(n), f.b.Const(0)), ir.LikelyUnknown, func() {
			f.b.Write(n, f.b.Add(ir.OpNeg, ir.Scalar, f.b.Read(n)))
		}, nil)
	}
	f.ifElse(f.b.Binary(ir.OpULt, f.b.Read(n), f.b.Const(last)), ir.LikelyThen, nil, func() { f.b.Write(n, f.b.Const(last)) })
	at := f.b.Binary(ir.OpMul, f.b.Bound(f.b.Read(n), last, true), f.b.Const(each))
	return place{base: f.b.Binary(ir.OpAdd, f.b.MapValue(MapStrings, table), at), padded: true, size: int(each)}
}

// probeTexts are the names that a ProbeName of this script can have, and one for all others.
func (u *unit) probeTexts() []string {
	for _, p := range u.tree.Probes {
		for _, pt := range p.Points {
			u.probeName(pt.Name)
			if pt.Function != "" {
				u.probeName(pt.Function)
			}
		}
		walkProbe(p, func(n any) bool {
			if c, ok := n.(*check.Convert); ok && c.T.Kind == schema.ProbeName {
				if s, ok := constOf(c.X); ok {
					u.probeName(s)
				}
			}
			return true
		})
	}
	return append(slices.Clone(u.Script.ProbeNames), "?")
}

// stored is a string that a helper reads from an address: str(p).
type stored struct {
	from  place
	limit int // most bytes including the NUL
	// length, if not nil, limits the bytes including the NUL at run time, within limit.
	length *ir.Value
	// asked is set if the script asked for the limit: a string that is longer is not worth a note then.
	asked bool
}

// most is the number of bytes including the NUL that may be read, plus extra.
func (s stored) most(f *fn, extra int) *ir.Value {
	if s.length == nil {
		return f.b.Const(int64(s.limit + extra))
	}
	return f.b.Bound(s.length, int64(s.limit), true)
}

// readsString reports whether an expression is str() or another function whose result need not be kept in memory.
func readsString(x check.Expr) bool {
	switch x := x.(type) {
	case *check.Call:
		return x.Fn == "str" || x.Fn == "str_concat" || x.Fn == "buf" || x.Fn == "path"
	case *check.Convert:
		return x.T.Kind == schema.String && x.X.Type().Kind == schema.String && size(x.T) >= size(x.X.Type()) && readsString(x.X)
	}
	return false
}

// source of a str() call, if x is one.
func (f *fn) storedString(x check.Expr) (stored, bool) {
	switch x := x.(type) {
	case *check.Convert:
		if readsString(x) {
			return f.storedString(x.X)
		}
	case *check.Call:
		switch x.Fn {
		case "str":
			return f.strSource(x), true
		case "str_concat":
			return f.concat(x), true
		}
	}
	return stored{}, false
}

// strSource evaluates the arguments of str().
func (f *fn) strSource(x *check.Call) stored {
	s := stored{limit: size(x.T), asked: size(x.T) < f.tree.Config.StrSize() || len(x.Args) > 1}
	arg := x.Args[0]
	if t := arg.Type(); isScalar(t) {
		s.from = f.stringAt(arg)
	} else {
		// A string or array: its own memory is read.
		s.from = f.at(arg)
		s.limit = min(s.limit, size(t)+1)
	}
	if len(x.Args) > 1 {
		s.length = f.value(x.Args[1])
	}
	return s
}

// stringAt is the place that a pointer or number points to. Addresses of unknown kind are told apart by the kind of probe.
func (f *fn) stringAt(x check.Expr) place {
	t := x.Type()
	if a, ok := x.(*check.AddrOf); ok {
		if p := f.placeOf(a.X); p.space != memory || p.base.Type != ir.Scalar {
			if p.space == typed {
				p.space = kernel
				p.base = f.plain(p.base)
			}
			return p
		}
	}
	p := place{space: kernel, base: f.plain(f.value(x))}
	switch {
	case t.Either:
		p.space = either
	case t.User:
		p.space = user
	case t.Kind != schema.Pointer:
		p.space = f.numbers()
	}
	return p
}

// readString reads a string with its NUL, at most limit bytes, to own memory and returns its length with the NUL, or a
// negative number.
func (f *fn) readString(dst *ir.Value, limit *ir.Value, from place) *ir.Value {
	helper := from.space.stringReader()
	r := f.b.Call(helper, ir.Scalar, 0, dst, limit, f.address(from))
	f.helperError(r, helperName(helper))
	return r
}

// varRoom is the memory that a variable string or buffer needs in a record.
func varRoom(t *schema.Type, x check.Expr) int {
	if t.Kind == schema.Buffer {
		return roomFor(size(t))
	}
	return roomFor(size(t) + 1)
}

// roomFor rounds up so that lengths can be limited by a mask.
func roomFor(n int) int {
	m := 1
	for m < n+1 {
		m *= 2
	}
	return m
}

// appendVar appends a string or buffer to a record; its length goes to the fixed part.
func (f *fn) appendVar(t *tail, lengthAt int64, typ *schema.Type, x check.Expr) {
	defer f.within(x)()
	if typ.Kind == schema.Buffer {
		f.appendBuffer(t, lengthAt, typ, x)
		return
	}
	s, ok := f.storedString(x)
	if !ok {
		if c, isCall := x.(*check.Call); isCall && c.Fn == "path" {
			f.appendPath(t, lengthAt, c)
			return
		}
		p := f.at(x)
		limit := size(typ)
		if p.size > 0 {
			limit = min(limit, p.size)
		}
		s = stored{from: p, limit: limit + 1}
	}
	if s.asked {
		n := f.readString(t.addr(f), s.most(f, 0), s.from)
		f.finishString(t, lengthAt, n, s.limit+1)
		return
	}
	n := f.readString(t.addr(f), s.most(f, 1), s.from)
	f.finishString(t, lengthAt, n, s.limit)
}

// finishString notes the length of a string that was read with its NUL, limit+1 bytes at most: one more than may be kept, so that it
// can be told whether it was cut.
func (f *fn) finishString(t *tail, lengthAt int64, n *ir.Value, limit int) {
	length := &ir.Var{Name: "length", Type: ir.Scalar}
	word := &ir.Var{Name: "word", Type: ir.Scalar}
	f.ifElse(f.b.Binary(ir.OpSLt, f.b.Const(0), n), ir.LikelyThen, func() {
		f.b.Write(length, f.b.AddConst(n, -1))
		f.b.Write(word, f.b.AddConst(n, -1))
	}, func() {
		f.b.Write(length, f.b.Const(0))
		f.b.Write(word, f.b.Const(0))
	})
	f.ifElse(f.b.Binary(ir.OpULt, f.b.Read(length), f.b.Const(int64(limit))), ir.LikelyThen, nil, func() {
		f.b.Write(length, f.b.Const(int64(limit-1)))
		f.b.Write(word, f.b.Const(int64(int32(uint32(limit-1)|1<<31))))
	})
	f.b.Store(t.rec, lengthAt, 4, f.b.Read(word))
	t.grow(f, f.b.Read(length), int64(roomFor(limit)-1))
}

// stringInto stores a string in n bytes of own memory, padded with zeros.
func (f *fn) stringInto(x check.Expr, n int, dst *ir.Value, off int64) {
	switch c := x.(type) {
	case *check.Str:
		f.constInto(c.Value, n, dst, off)
		return
	case *check.Convert:
		if from := c.X.Type(); from.Kind == schema.String && size(from) <= size(c.T) {
			f.stringInto(c.X, n, dst, off)
			return
		}
	case *check.Call:
		if c.Fn == "comm" && n >= 16 && len(c.Args) == 0 {
			f.commInto(f.b.AddConst(dst, off))
			f.zero(dst, off+16, n-16)
			return
		}
	}
	if s, ok := f.storedString(x); ok {
		f.storedInto(s, n, dst, off)
		return
	}
	p := f.at(x)
	f.stringPlaceInto(p, size(x.Type()), n, dst, off)
}

// constInto stores a constant string, cut or padded to n bytes.
func (f *fn) constInto(s string, n int, dst *ir.Value, off int64) {
	b := make([]byte, n)
	if copy(b, s) == n {
		b[n-1] = 0
	}
	if n > 256 || len(s) > 64 {
		kept := min(n, (len(s)+8)&^7)
		from := f.data.add(b[:kept])
		f.copyOwn(f.b.AddConst(dst, off), f.b.MapValue(MapStrings, from), kept)
		f.zero(dst, off+int64(kept), n-kept)
		return
	}
	i := 0
	for i < n && i <= len(s) {
		w := 8
		for w > n-i || (off+int64(i))%int64(w) != 0 {
			w /= 2
		}
		f.b.Store(dst, off+int64(i), w, f.b.Const(word(b[i:], w)))
		i += w
	}
	f.zero(dst, off+int64(i), n-i)
}

// word is the integer of w bytes as it lies in memory.
func word(b []byte, w int) int64 {
	var a [8]byte
	copy(a[:], b[:min(w, len(b))])
	return int64(binary.NativeEndian.Uint64(a[:]))
}

// storedInto reads a string from foreign memory to n bytes of own memory, padded with zeros.
func (f *fn) storedInto(s stored, n int, dst *ir.Value, off int64) {
	s.limit = min(s.limit, n)
	at := f.b.AddConst(dst, off)
	if n <= 64 {
		f.zero(dst, off, n)
		f.readString(at, s.most(f, 0), s.from)
		return
	}
	// The bytes after the end are cleared by a copy of as many zeros as are needed, in memory twice as large, so that offset and
	// size have bounds of their own that need not be compared.
	wide := f.scratchSlot("string", 2*roomFor(n))
	r := f.readString(wide, s.most(f, 0), s.from)
	length := f.pick(f.b.Binary(ir.OpSLt, f.b.Const(0), r), ir.Scalar, ir.LikelyThen,
		func() *ir.Value { return r }, func() *ir.Value { return f.b.Const(0) })
	mask := int64(roomFor(n) - 1)
	length = f.b.Bound(length, mask, false)
	rest := f.b.Bound(f.b.Binary(ir.OpSub, f.b.Const(int64(n)), length), mask, false)
	f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.Binary(ir.OpAdd, wide, length), rest, f.b.MapValue(MapStrings, 0))
	f.copyOwn(at, wide, n)
}

// stringPlaceInto copies a string of m bytes of memory to n bytes, padded with zeros.
func (f *fn) stringPlaceInto(p place, m, n int, dst *ir.Value, off int64) {
	if p.size > 0 {
		m = min(m, p.size)
	}
	if p.space == memory && p.padded {
		k := min(m, n)
		f.copyOwn(f.b.AddConst(dst, off), f.b.AddConst(p.base, p.off), k)
		if m > n {
			f.b.Store(dst, off+int64(n-1), 1, f.b.Const(0))
		}
		f.zero(dst, off+int64(k), n-k)
		return
	}
	if m == n && n <= 64 {
		// An array may be full, without NUL: the helper, which always writes one, gets room for it.
		slot := f.slot("full", (n+8)&^7, 8)
		f.zero(slot, 0, (n+8)&^7)
		f.readString(slot, f.b.Const(int64(n+1)), p)
		f.copyOwn(f.b.AddConst(dst, off), slot, n)
		return
	}
	f.storedInto(stored{from: p, limit: min(m+1, n)}, n, dst, off)
}

// ownString gives a padded string in own memory and the size of that memory.
func (f *fn) ownString(x check.Expr) (place, int) {
	n := size(x.Type())
	if !readsString(x) {
		p := f.at(x)
		if p.size > 0 {
			n = min(n, p.size)
		}
		if p.space == memory && p.padded {
			return p, n
		}
		slot := f.slot("string", (n+7)&^7, 8)
		f.stringPlaceInto(p, n, n, slot, 0)
		f.zero(slot, int64(n), (n+7)&^7-n)
		return place{base: slot, padded: true}, (n + 7) &^ 7
	}
	n = (n + 7) &^ 7
	slot := f.slot("string", n, 8)
	f.stringInto(x, n, slot, 0)
	return place{base: slot, padded: true}, n
}

// commInto stores the current task's name, 16 bytes padded with zeros.
func (f *fn) commInto(dst *ir.Value) {
	if k := f.target.Kernel; k >= 5<<16|16<<8 && k < 6<<16|2<<8 {
		f.zero(dst, 0, 16) // the helper of these kernels leaves what follows the NUL as it was
	}
	r := f.b.Call(fnGetComm, ir.Scalar, 0, dst, f.b.Const(16))
	f.helperError(r, "get_current_comm")
}
