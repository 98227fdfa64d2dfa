package check

import (
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// mapState is a map while its types are being found.
type mapState struct {
	*Map
	key, value slot
	used       bool // other than by its declaration
	read       bool
	keyed      bool // used with a key
	bare       bool // used without key where that means its value
	keyedAt    diag.Span
	bareAt     diag.Span
	assigned   bool
	neverSet   bool
	inside     *diag.Span // a use for which the program must find an entry
}

func (m *mapState) scalar() bool { return m.bare && !m.keyed }

// related points at the use that decided what the map is.
func (m *mapState) related() []diag.Related {
	switch {
	case m.keyed:
		return []diag.Related{{Span: m.keyedAt, Message: m.Name + " is used with a key here"}}
	case m.bare:
		return []diag.Related{{Span: m.bareAt, Message: m.Name + " is used without key here"}}
	}
	return nil
}

// finish gives the map the types found so far.
func (m *mapState) finish() {
	m.Map.Key = m.key.typ()
	m.Map.Value = m.value.typ()
}

func (c *checker) declareMaps() {
	for _, d := range c.script.MapDecls {
		if old := c.maps[d.Name]; old != nil {
			c.list.Errorf(d.Span, "map %s is declared twice", d.Name).Related = []diag.Related{{Span: old.Span, Message: "the first declaration"}}
			continue
		}
		kinds := []string{"hash", "lruhash", "percpuhash", "percpulruhash"}
		known := false
		for _, k := range kinds {
			known = known || k == d.Kind
		}
		if !known {
			at := d.KindSpan
			e := c.list.Errorf(at, "there is no map kind %q", d.Kind)
			if near := diag.Nearest(d.Kind, kinds); near != "" {
				e.Hint = "did you mean " + near + "?"
			} else {
				e.Hint = "the kinds are " + strings.Join(kinds, ", ")
			}
		}
		if d.Max == 0 || d.Max > 1<<31-1 {
			c.list.Errorf(d.MaxSpan, "a map cannot have room for %d entries", d.Max)
		}
		c.addMap(d.Name, d.Span)
		m := c.maps[d.Name]
		m.Max, m.Declared = int(d.Max&(1<<31-1)), d.Kind
	}
}

func (c *checker) addMap(name string, at diag.Span) *mapState {
	m := &mapState{Map: &Map{Name: name, Span: at, Max: c.config.MaxMapKeys}}
	c.maps[name] = m
	c.order = append(c.order, m)
	return m
}

// mapName follows the parameters of macros to the map that is meant.
func (c *checker) mapRef(r *syntax.MapRef) string {
	f, name := c.frame, r.Name
	for f != nil {
		i := f.param(name)
		if i < 0 {
			break
		}
		arg, ok := f.args[i].(*syntax.MapRef)
		if !ok {
			break
		}
		name, f = arg.Name, f.caller
	}
	return name
}

// findMap returns the state of a map, which begins with its first use.
func (c *checker) findMap(r *syntax.MapRef) *mapState {
	name := c.mapRef(r)
	m := c.maps[name]
	if m == nil {
		m = c.addMap(name, nameSpan(r))
		c.changed = true
	}
	m.used = true
	return m
}

// place checks @m or @m[k] as a place for a value. ok is false if it is an error.
func (c *checker) place(r *syntax.MapRef) (m *mapState, key Expr, ok bool) {
	m = c.findMap(r)
	if r.Keys == nil {
		return m, nil, c.useBare(m, r.Span)
	}
	key, ok = c.mapKey(m, r.Keys, r.Span)
	return m, key, ok
}

// nameSpan is where a map's name stands, without the keys.
func nameSpan(r *syntax.MapRef) diag.Span {
	return diag.Span{Start: r.Span.Start, End: r.Span.Start + diag.Pos(len(r.Name))}
}

func (c *checker) useBare(m *mapState, at diag.Span) bool {
	if m.keyed && !m.bare {
		c.list.Errorf(at, "%s has keys, and is used without one here", m.Name).Related = m.related()
		return false
	}
	if !m.bare {
		m.bare, m.bareAt = true, at
	}
	return true
}

func (c *checker) useKeyed(m *mapState, at diag.Span) bool {
	if m.bare {
		c.list.Errorf(at, "%s has no keys, and is used with one here", m.Name).Related = m.related()
		return false
	}
	if !m.keyed {
		m.keyed, m.keyedAt = true, at
	}
	return true
}

// mapKey checks the keys of a use of m, and converts them to the type of the map's key.
func (c *checker) mapKey(m *mapState, keys []syntax.Expr, at diag.Span) (Expr, bool) {
	var elems []Expr
	good := true
	for _, k := range keys {
		e := c.expr(k)
		if isBad(e) {
			good = false
		} else if !c.storable(e, "a key") {
			good = false
		}
		elems = append(elems, e)
	}
	if !c.useKeyed(m, at) {
		return nil, false
	}
	if !good {
		return nil, false
	}
	key := elems[0]
	if len(elems) > 1 {
		key = c.tuple(at, elems)
	}
	return c.keyOf(m, key, at)
}

func (c *checker) keyOf(m *mapState, key Expr, at diag.Span) (Expr, bool) {
	had := m.key.typ()
	if !c.widen(&m.key, shape(key)) {
		c.list.Errorf(at, "type mismatch for %s: it is used with a key of type %s here", m.Name, TypeName(key.Type())).
			Related = []diag.Related{{Span: m.key.at, Message: "but with a key of type " + TypeName(had) + " here"}}
		return nil, false
	}
	return c.convert(key, m.key.typ()), true
}

// storable reports an error if a value of this kind cannot be put into a map or variable.
func (c *checker) storable(e Expr, what string) bool {
	t := e.Type()
	switch {
	case t == typeBad:
		return false
	case t.Kind == schema.None, isEmptyTuple(t):
		c.list.Errorf(e.Pos(), "this has no value that could be %s", what)
		return false
	case t.Size > maxSize:
		c.list.Errorf(e.Pos(), "a value of %d bytes is too large to be %s", t.Size, what)
		return false
	case t.Kind == schema.Array && t.Len == 0:
		c.list.Errorf(e.Pos(), "an array of unknown length cannot be %s", what)
		return false
	}
	return true
}

// isEmptyTuple reports whether t is the type of (), which is no value.
func isEmptyTuple(t *schema.Type) bool { return t.Kind == schema.Tuple && len(t.Fields) == 0 }

// checkKind compares the kind of map that was declared with what is put into it.
func (c *checker) checkKind(m *mapState) {
	t := m.value.typ()
	if m.Declared == "" || t == nil || !m.used {
		return
	}
	perCPU := strings.HasPrefix(m.Declared, "percpu")
	if perCPU == isAggregate(t.Kind) {
		return
	}
	kind := strings.TrimPrefix(m.Declared, "percpu")
	if !perCPU {
		kind = "percpu" + kind
	}
	d := c.list.Errorf(m.value.at, "%s is declared as %s, which cannot hold values of type %s", m.Name, m.Declared, TypeName(t))
	d.Hint = "declare it as " + kind
	d.Related = []diag.Related{{Span: m.Span, Message: "declared here"}}
}

// widen joins o into s, and notes if that changed what is known.
func (c *checker) widen(s *slot, o *slot) bool {
	had := s.typ()
	ok := s.join(o)
	if now := s.typ(); now != had {
		c.changed = true
	}
	return ok
}

// mapGet reads a map's value.
func (c *checker) mapGet(r *syntax.MapRef) Expr {
	m, key, ok := c.place(r)
	m.read = true
	m.inside = &r.Span
	if !ok {
		return bad(r.Span)
	}
	t := m.value.typ()
	if t == nil {
		c.pending = true
		return bad(r.Span)
	}
	if isAggregate(t.Kind) {
		result := aggregateResult(t)
		if result == nil {
			c.list.Errorf(r.Span, "%s holds %s: such a value can only be printed", m.Name, TypeName(t)).Hint = "print(" + m.Name + ")"
			return bad(r.Span)
		}
		t = result
	}
	return &MapGet{Node{r.Span, t}, m.Map, key}
}

func (c *checker) undefinedMap(at diag.Span, m *mapState) {
	d := c.list.Errorf(at, "undefined map: %s", m.Name)
	if near := diag.Nearest(m.Name, c.assignedMaps()); near != "" {
		d.Hint = "did you mean " + near + "?"
	}
}
