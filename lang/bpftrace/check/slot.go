package check

import (
	"math"

	"skep/internal/diag"
	"skep/schema"
)

// slot collects the types of all that is put in one place (a variable, a map's key or value), and gives the type that holds
// them all. Types only ever widen, so that checking a script again and again comes to an end.
type slot struct {
	at     diag.Span    // the first use
	t      *schema.Type // of all but literals; nil if there is nothing else
	lit    bool         // there are integer literals, in the range of lo and hi
	lo     int64
	hi     uint64
	text   bool    // all strings are literals, which can stand beside names of probes
	elems  []*slot // of a tuple
	result *schema.Type
}

// shape makes a slot that holds only x.
func shape(x Expr) *slot {
	s := &slot{at: x.Pos()}
	switch x := x.(type) {
	case *Const:
		if isLiteralType(x.T) {
			s.lit = true
			s.lo, s.hi = min(x.Value, 0), uint64(max(x.Value, 0))
			if x.T == literalU64 {
				s.lo, s.hi = 0, uint64(x.Value)
			}
			return s
		}
	case *Str:
		s.text = true
	case *Tuple:
		s.elems = make([]*slot, len(x.Elems))
		for i, e := range x.Elems {
			s.elems[i] = shape(e)
		}
		return s
	}
	s.setType(x.Type())
	return s
}

// shapeOf makes a slot that holds a value of type t.
func shapeOf(t *schema.Type, at diag.Span) *slot {
	s := &slot{at: at}
	s.setType(t)
	return s
}

func (s *slot) setType(t *schema.Type) {
	if t.Kind != schema.Tuple {
		s.t = t
		return
	}
	s.elems = make([]*slot, len(t.Fields))
	for i, f := range t.Fields {
		s.elems[i] = shapeOf(f.Type, s.at)
	}
}

func (s *slot) empty() bool { return s.t == nil && !s.lit && s.elems == nil }

// join widens s so that it holds o, too. It reports false if no type holds both.
func (s *slot) join(o *slot) bool {
	switch {
	case o.empty():
		return true
	case s.empty():
		s.at, s.t, s.lit, s.lo, s.hi, s.text, s.elems = o.at, o.t, o.lit, o.lo, o.hi, o.text, o.elems
		return true
	case (s.elems != nil) != (o.elems != nil), len(s.elems) != len(o.elems):
		return false
	case s.elems != nil:
		for i := range s.elems {
			if !s.elems[i].join(o.elems[i]) {
				return false
			}
		}
		return true
	}
	if o.lit {
		if s.t != nil && s.t.Kind == schema.Enum {
			s.t = asInt(s.t)
		}
		if s.t != nil && s.t.Kind != schema.Int {
			return false
		}
		if s.lit {
			s.lo, s.hi = min(s.lo, o.lo), max(s.hi, o.hi)
		} else {
			s.lit, s.lo, s.hi = true, o.lo, o.hi
		}
	}
	if o.t == nil {
		return true
	}
	if s.t == nil {
		if o.t.Kind != schema.Int && o.t.Kind != schema.Enum {
			return false
		}
		s.t = asInt(o.t)
		return true
	}
	switch {
	case s.t.Kind == schema.ProbeName && o.t.Kind == schema.String && o.text:
		return true
	case s.t.Kind == schema.String && s.text && o.t.Kind == schema.ProbeName:
		s.t = o.t
		return true
	case s.t.Kind == schema.String && textSize(o.t) > 0:
		s.t, s.text = unify(s.t, stringType(textSize(o.t))), false
		return true
	case textSize(s.t) > 0 && o.t.Kind == schema.String:
		s.t, s.text = unify(stringType(textSize(s.t)), o.t), false
		return true
	case textSize(s.t) > 0 && textSize(o.t) > 0 && s.t.Kind != o.t.Kind:
		s.t, s.text = stringType(max(textSize(s.t), textSize(o.t))), false
		return true
	}
	t := unify(s.t, o.t)
	if t == nil {
		return false
	}
	s.t, s.text = t, s.text && o.text
	return true
}

// typ is the type that holds all that was joined, or nil if there is nothing yet.
func (s *slot) typ() *schema.Type {
	t := s.compute()
	if t != nil && (s.result == nil || !same(s.result, t)) {
		s.result = t
	}
	if t == nil {
		return nil
	}
	return s.result
}

func (s *slot) compute() *schema.Type {
	switch {
	case s.elems != nil:
		elems := make([]*schema.Type, len(s.elems))
		for i, e := range s.elems {
			if elems[i] = e.typ(); elems[i] == nil {
				return nil
			}
		}
		return tupleOf(elems)
	case !s.lit:
		return s.t
	case s.t == nil:
		if s.hi > math.MaxInt64 {
			return intType(8, s.lo < 0)
		}
		return intType(max(literal(s.lo).Size, literal(int64(s.hi)).Size), true)
	case s.t.Signed:
		size := max(s.t.Size, literal(s.lo).Size)
		if s.hi > math.MaxInt64 {
			return typeI64
		}
		return widest(s.t, max(size, literal(int64(s.hi)).Size))
	case s.lo < 0:
		signed := intType(min(8, 2*s.t.Size), true)
		if s.hi > math.MaxInt64 {
			return typeI64
		}
		return widest(signed, max(literal(s.lo).Size, literal(int64(s.hi)).Size))
	}
	size := 8
	for _, n := range []int{4, 2, 1} {
		if s.hi>>(8*n) == 0 {
			size = n
		}
	}
	return widest(s.t, size)
}

// widest is the integer type t, or the one of that size and the same sign if that is larger.
func widest(t *schema.Type, size int) *schema.Type {
	if size <= t.Size {
		return t
	}
	return intType(size, t.Signed)
}

// unify returns the type that holds values of both types, or nil.
func unify(a, b *schema.Type) *schema.Type {
	if a == typeBad || b == typeBad {
		return a
	}
	if a.Kind == schema.Enum && b.Kind == schema.Int || b.Kind == schema.Enum && a.Kind == schema.Int ||
		a.Kind == schema.Enum && b.Kind == schema.Enum && a.Enum != b.Enum && a.Name != b.Name {
		return unify(asInt(a), asInt(b))
	}
	if a.Kind != b.Kind {
		return nil
	}
	switch a.Kind {
	case schema.Int:
		switch {
		case a.Signed == b.Signed && b.Size > a.Size:
			return b
		case a.Signed == b.Signed:
			return a
		case a.Signed:
			return signedFor(a, b)
		}
		return signedFor(b, a)
	case schema.String, schema.Buffer:
		if b.Size > a.Size {
			return b
		}
		return a
	case schema.Pointer:
		return a
	case schema.Struct, schema.Enum:
		if a.Name == b.Name && a.Size == b.Size {
			return a
		}
		return nil
	case schema.Tuple:
		s := shapeOf(a, diag.Span{})
		if !s.join(shapeOf(b, diag.Span{})) {
			return nil
		}
		return s.typ()
	case schema.Sum, schema.Min, schema.Max, schema.Avg, schema.Stats:
		if a.Signed {
			return a
		}
		return b
	}
	if same(a, b) {
		return a
	}
	return nil
}

// signedFor is the signed type for values of a signed and an unsigned type.
func signedFor(signed, unsigned *schema.Type) *schema.Type {
	if unsigned.Size < signed.Size {
		return signed
	}
	return intType(min(8, 2*unsigned.Size), true)
}

// same is schema.Equal, and more: pointers lead to the same type in the same memory, and stacks, timestamps and the like are
// of the same form.
func same(a, b *schema.Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a == typeBad || b == typeBad || !schema.Equal(a, b) || spaceOf(a) != spaceOf(b) {
		return false
	}
	if a.Kind == schema.Pointer {
		if a.Elem == nil || b.Elem == nil {
			return a.Elem == b.Elem
		}
		if a.Elem.Kind == schema.Struct || b.Elem.Kind == schema.Struct {
			return a.Elem.Kind == b.Elem.Kind && a.Elem.Name == b.Elem.Name
		}
		return same(a.Elem, b.Elem)
	}
	if a.Kind == schema.Tuple {
		for i := range a.Fields {
			if !same(a.Fields[i].Type, b.Fields[i].Type) {
				return false
			}
		}
	}
	return a.Format == b.Format && a.Clock == b.Clock && a.Interval == b.Interval && a.Buckets == b.Buckets && a.Agg == b.Agg
}
