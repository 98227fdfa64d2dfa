package lower

import (
	"fmt"
	"strings"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// memo remembers the keys and look-ups that were made on every way to the place that is being built, so that @x[tid] in a
// predicate and in the body costs one look-up.
type memo struct {
	keys    []madeKey
	lookups []madeLookup
}

type madeKey struct {
	text string // what it is made of
	slot *ir.Value
}

type madeLookup struct {
	m     *mapInfo
	text  string
	epoch int
	found *ir.Value
}

// stable describes an expression that has the same value wherever it stands in a program, or says false.
func (f *fn) stable(x check.Expr) (string, bool) {
	switch x := x.(type) {
	case *check.Const:
		return fmt.Sprintf("%d:%d", x.Value, size(x.T)), true
	case *check.Str:
		return fmt.Sprintf("%q", x.Value), true
	case *check.VarRef:
		if s := f.variable(x.Var); s.ssa != nil {
			return fmt.Sprintf("v%d", f.b.Read(s.ssa).ID), true
		}
	case *check.ArgsField:
		return fmt.Sprintf("args.%s@%d", x.Field.Name, x.Field.Offset), isScalar(x.Field.Type)
	case *check.Convert:
		t, ok := f.stable(x.X)
		return fmt.Sprintf("%s as %d,%d,%v", t, x.T.Kind, size(x.T), isSigned(x.T)), ok
	case *check.Call:
		switch x.Fn {
		case "pid", "tid", "uid", "gid", "comm", "cpu", "cgroup", "probe", "func", "arg", "retval":
			return fmt.Sprintf("%s%d", x.Fn, x.Index), len(x.Args) == 0
		}
	case *check.Binary:
		a, ok1 := f.stable(x.X)
		b, ok2 := f.stable(x.Y)
		return "(" + a + x.Op + b + ")", ok1 && ok2 && isScalar(x.X.Type()) && x.Op != "/" && x.Op != "%"
	case *check.Tuple:
		var parts []string
		for _, e := range x.Elems {
			t, ok := f.stable(e)
			if !ok {
				return "", false
			}
			parts = append(parts, t)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// keyText describes the key x of a type, "" if it must be made anew each time.
func (f *fn) keyText(t *schema.Type, x check.Expr) string {
	text, ok := f.stable(x)
	if !ok {
		return ""
	}
	var layout strings.Builder
	describeLayout(&layout, t)
	return layout.String() + text
}

func describeLayout(b *strings.Builder, t *schema.Type) {
	fmt.Fprintf(b, "%d,%d;", t.Kind, size(t))
	for _, m := range t.Fields {
		describeLayout(b, m.Type)
	}
}

// changed forgets what was found in a map, since its entries are about to change.
func (f *fn) changed(m *mapInfo) { m.epoch++ }

// enterLoop forgets all look-ups: those before a loop do not hold in its second round.
func (f *fn) enterLoop() {
	for _, m := range f.maps {
		m.epoch++
	}
}
