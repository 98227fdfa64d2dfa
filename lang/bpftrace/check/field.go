package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// field checks x.name and x->name. Pointers are followed on either.
func (c *checker) field(f *syntax.Field) Expr {
	if c.isArgs(f.X) {
		return c.argsField(f)
	}
	x := c.expr(f.X)
	if isBad(x) {
		return bad(f.Span)
	}
	return c.member(x, f)
}

// member gives the field of a struct, or of what a pointer leads to.
func (c *checker) member(x Expr, f *syntax.Field) Expr {
	t := x.Type()
	if t.Kind == schema.Pointer && t.Elem != nil {
		elem := c.types.complete(t.Elem, f.X.Pos())
		if elem == nil {
			return bad(f.Span)
		}
		if elem.Kind == schema.Pointer && elem.Elem != nil && elem.Elem.Kind == schema.Struct {
			c.list.Errorf(f.Span, "%s is a pointer to a pointer: it has no field %q", TypeName(t), f.Name).Hint = "follow it once with *"
			return bad(f.Span)
		}
		if elem.Kind == schema.Struct {
			x = &Deref{Node{x.Pos(), elem}, x}
			t = elem
		}
	}
	if t.Kind != schema.Struct {
		d := c.list.Errorf(f.Span, "a value of type %s has no field %q", TypeName(t), f.Name)
		switch {
		case t.Kind == schema.Int:
			d.Hint = "if it is an address, cast it: ((struct name *)x)." + f.Name
		case t.Kind == schema.Pointer && t.Elem == nil:
			d.Hint = "cast it to a pointer that says what it leads to: ((struct name *)x)." + f.Name
		}
		return bad(f.Span)
	}
	full := c.types.complete(t, f.X.Pos())
	if full == nil {
		return bad(f.Span)
	}
	m, ok := full.Def.Field(f.Name)
	if !ok {
		c.noField(f, TypeName(full), full.Def.Fields())
		return bad(f.Span)
	}
	mt := m.Type
	if mt.Kind == schema.Struct {
		if mt = c.types.complete(mt, f.NameSpan); mt == nil {
			return bad(f.Span)
		}
	}
	mt = spaced(mt, c.foundIn(x))
	m.Type = mt
	return &Member{Node{f.Span, mt}, x, m}
}

func (c *checker) noField(f *syntax.Field, what string, fields []schema.Field) {
	d := c.list.Errorf(f.NameSpan, "%s has no field %q", what, f.Name)
	names := make([]string, 0, len(fields))
	for _, o := range fields {
		if o.Name != "" {
			names = append(names, o.Name)
		}
	}
	if near := diag.Nearest(f.Name, names); near != "" {
		d.Hint = "did you mean " + near + "?"
	} else if len(names) > 0 && len(names) <= 12 {
		d.Hint = "its fields are " + join(names)
	}
}

func join(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

func (c *checker) tupleField(f *syntax.TupleField) Expr {
	if _, ok := f.X.(*syntax.IntLit); ok {
		c.list.Errorf(f.Span, "there are no fractions: numbers are integers").Hint = "count in a smaller unit: 1500 milliseconds are 1.5 seconds"
		return bad(f.Span)
	}
	x := c.expr(f.X)
	if isBad(x) {
		return bad(f.Span)
	}
	return c.element(f.Span, x, int64(f.Index))
}

// element gives element i of a tuple.
func (c *checker) element(at diag.Span, x Expr, i int64) Expr {
	t := x.Type()
	if t.Kind != schema.Tuple {
		c.list.Errorf(at, "a value of type %s is no tuple", TypeName(t))
		return bad(at)
	}
	if i < 0 || i >= int64(len(t.Fields)) {
		c.list.Errorf(at, "invalid tuple index %d: the tuple has %d elements", i, len(t.Fields)).Hint = "the first one is .0"
		return bad(at)
	}
	if tup, ok := x.(*Tuple); ok {
		if k, ok := tup.Elems[i].(*Const); ok {
			return k
		}
	}
	f := t.Fields[i]
	return &Member{Node{at, f.Type}, x, f}
}

func (c *checker) index(s *syntax.Index) Expr {
	x, i := c.expr(s.X), c.expr(s.I)
	if isBad(x) || isBad(i) {
		return bad(s.Span)
	}
	t := x.Type()
	k, isConst := i.(*Const)
	if t.Kind == schema.Tuple {
		if !isConst || k.T.Kind != schema.Int {
			c.list.Errorf(s.I.Pos(), "the index of a tuple must be a constant")
			return bad(s.Span)
		}
		return c.element(s.Span, x, k.Value)
	}
	if !isNumber(i.Type()) {
		c.list.Errorf(s.I.Pos(), "an index must be an integer, not %s", TypeName(i.Type()))
		return bad(s.Span)
	}
	switch t.Kind {
	case schema.Pointer:
		p := c.pointerOp(s.Span, "+", x, i)
		if isBad(p) {
			return p
		}
		return c.deref(s.Span, p)
	case schema.Array:
		if isConst && t.Len > 0 && (k.Value < 0 || k.Value >= int64(t.Len)) {
			c.list.Errorf(s.Span, "the index %d is out of bounds for an array of %d elements", k.Value, t.Len)
			return bad(s.Span)
		}
		elem := c.types.complete(t.Elem, s.Span)
		if elem == nil {
			return bad(s.Span)
		}
		return &Index{Node{s.Span, spaced(elem, c.foundIn(x))}, x, c.convert(i, typeI64)}
	}
	if t.Kind == schema.String {
		return c.byteOf(s, x, i)
	}
	c.list.Errorf(s.Span, "[ ] works on arrays, strings, pointers and tuples, not on a value of type %s", TypeName(t))
	return bad(s.Span)
}

// byteOf gives a byte of a string.
func (c *checker) byteOf(s *syntax.Index, x, i Expr) Expr {
	n := x.Type().Size
	k, isConst := i.(*Const)
	if !isConst {
		bytes := &schema.Type{Kind: schema.Array, Size: n, Elem: typeI8, Len: n}
		return &Index{Node{s.Span, typeI8}, &Convert{Node{x.Pos(), bytes}, x}, c.convert(i, typeI64)}
	}
	if k.Value < 0 || k.Value >= int64(n) {
		c.list.Errorf(s.Span, "the index %d is out of bounds for a string of %d bytes", k.Value, n)
		return bad(s.Span)
	}
	if str, ok := x.(*Str); ok {
		b := append([]byte(str.Value), 0)[k.Value]
		return &Const{Node{s.Span, typeI8}, int64(int8(b))}
	}
	return &Index{Node{s.Span, typeI8}, x, c.convert(i, typeI64)}
}
