package check

import (
	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// mapFunctions work on maps. Those with an aggregate stand on the right of an assignment to a map.
func mapFunctions() []function {
	return []function{
		{name: "count", usage: "count()", aggregate: schema.Count},
		{name: "sum", usage: "sum(n)", min: 1, max: 1, aggregate: schema.Sum},
		{name: "avg", usage: "avg(n)", min: 1, max: 1, aggregate: schema.Avg},
		{name: "min", usage: "min(n)", min: 1, max: 1, aggregate: schema.Min},
		{name: "max", usage: "max(n)", min: 1, max: 1, aggregate: schema.Max},
		{name: "stats", usage: "stats(n)", min: 1, max: 1, aggregate: schema.Stats},
		{name: "hist", usage: "hist(n [, bits])", min: 1, max: 2, aggregate: schema.Hist},
		{name: "lhist", usage: "lhist(n, min, max, step)", min: 4, max: 4, aggregate: schema.LHist},
		{name: "tseries", usage: `tseries(n, interval, buckets [, "avg"|"max"|"min"|"sum"])`, min: 3, max: 4, aggregate: schema.TSeries},
		{name: "delete", usage: "delete(@map, key) or delete(@map)", min: 1, max: 256, form: effect, check: checkDelete},
		{name: "has_key", usage: "has_key(@map, key)", min: 2, max: 2, check: checkHasKey},
		{name: "find", usage: "find(@map, key, $value)", min: 3, max: 3, form: effect, check: checkFind},
		{name: "len", usage: "len(@map) or len(kstack)", min: 1, max: 1, check: checkLen},
	}
}

// aggregate checks @m[k] = f(x).
func (c *checker) aggregate(s *syntax.AssignStmt, left *syntax.MapRef, x *syntax.Call, f *function) Stmt {
	k := &call{at: x.Span, f: f, args: x.Args}
	var value Expr
	t := &schema.Type{Kind: f.aggregate, Size: 16}
	good := c.countArgs(k)
	if good && len(k.args) > 0 {
		value = c.intArg(k, 0)
		if isBad(value) {
			good = false
		} else {
			t.Signed = value.Type().Signed
			value = c.convert(value, intType(8, t.Signed))
		}
	}
	m, key, ok := c.place(left)
	if !good || !ok {
		return nil
	}
	switch f.aggregate {
	case schema.Count:
		t = typeCount
	case schema.Sum:
		t.Size = 8
	case schema.Hist:
		good = c.histType(k, t)
	case schema.LHist:
		good = c.lhistType(k, t)
	case schema.TSeries:
		good = c.tseriesType(k, t)
	}
	if !good {
		return nil
	}
	had := m.value.typ()
	if had != nil && had.Kind == t.Kind && unify(had, t) == nil {
		c.list.Errorf(x.Span, "%s() has other bounds here than before, but one map can only have the same", f.name).
			Related = []diag.Related{{Span: m.value.at, Message: "used with other bounds here"}}
		return nil
	}
	if !c.putMap(x.Span, m, shapeOf(t, x.Span), TypeName(t)) {
		return nil
	}
	switch f.aggregate {
	case schema.Sum, schema.Min, schema.Max, schema.Avg, schema.Stats:
		// The signedness of the map's values is decided by all of its uses.
		value = c.convert(value, intType(8, m.value.typ().Signed))
	}
	return &Aggregate{Span: s.Span, Map: m.Map, Key: key, X: value}
}

func (c *checker) histType(k *call, t *schema.Type) bool {
	t.Signed = false
	if len(k.args) > 1 {
		n, ok := c.constArg(k, 1)
		if !ok {
			return false
		}
		if n < 0 || n > 5 {
			c.list.Errorf(k.args[1].Pos(), "the bits of hist() are 0 to 5, not %d", n)
			return false
		}
		t.Bits = int(n)
	}
	t.Size = 8 * schema.HistBuckets(t.Bits)
	return true
}

func (c *checker) lhistType(k *call, t *schema.Type) bool {
	t.Signed = false
	var n [3]int64
	for i := range n {
		v, ok := c.constArg(k, i+1)
		if !ok {
			return false
		}
		n[i] = v
	}
	t.Min, t.Max, t.Step = n[0], n[1], n[2]
	switch {
	case t.Step < 1:
		c.list.Errorf(k.args[3].Pos(), "the step of lhist() must be at least 1, not %d", t.Step)
		return false
	case t.Min < 0:
		c.list.Errorf(k.args[1].Pos(), "the minimum of lhist() cannot be negative")
		return false
	case t.Min >= t.Max:
		c.list.Errorf(k.args[1].Pos().To(k.args[2].Pos()), "the minimum of lhist(), %d, must be less than its maximum, %d", t.Min, t.Max)
		return false
	case t.Max-t.Min < t.Step:
		c.list.Errorf(k.args[3].Pos(), "the step of lhist(), %d, is larger than its range", t.Step)
		return false
	case (t.Max-t.Min)/t.Step > 1000:
		c.list.Errorf(k.at, "lhist() has at most 1000 buckets, not %d", (t.Max-t.Min)/t.Step).Hint = "a larger step makes fewer"
		return false
	}
	t.Size = 8 * schema.LHistBuckets(t.Min, t.Max, t.Step)
	return true
}

func (c *checker) tseriesType(k *call, t *schema.Type) bool {
	interval, ok := c.constArg(k, 1)
	buckets, ok2 := c.constArg(k, 2)
	if !ok || !ok2 {
		return false
	}
	if interval <= 0 {
		c.list.Errorf(k.args[1].Pos(), "the interval of tseries() must be positive").Hint = "such as 1s"
		return false
	}
	if buckets < 1 || buckets > 1000000 {
		c.list.Errorf(k.args[2].Pos(), "tseries() has 1 to 1000000 buckets, not %d", buckets)
		return false
	}
	t.Interval, t.Buckets = uint64(interval), int(buckets)
	if len(k.args) == 4 {
		n, ok := c.choice(k, 3, "avg", "max", "min", "sum")
		if !ok {
			return false
		}
		t.Agg = [...]string{"avg", "max", "min", "sum"}[n]
	}
	t.Size = 24 * t.Buckets
	if t.Size > maxSize {
		c.list.Errorf(k.args[2].Pos(), "tseries() with %d buckets does not fit into a map's value", buckets).Hint = "at most 2730 do"
		return false
	}
	return true
}

// keyArg checks a key that is given as an argument.
func (c *checker) keyArg(k *call, m *mapState, keys []syntax.Expr) (Expr, bool) {
	if m.scalar() {
		c.list.Errorf(k.at, "%s() with a key needs a map with keys, and %s has none", k.f.name, m.Name).Related = m.related()
		return nil, false
	}
	if len(keys) == 1 {
		if x, ok := c.resolveParam(keys[0]).(*syntax.Tuple); ok && len(x.Elems) > 0 {
			keys = x.Elems
			if len(keys) == 1 {
				keys = []syntax.Expr{x}
			}
		}
	}
	return c.mapKey(m, keys, k.at)
}

func checkDelete(c *checker, k *call) Expr {
	if ref, ok := c.resolveParam(k.args[0]).(*syntax.MapRef); ok && ref.Keys != nil {
		// The old form delete(@m[k], …).
		if len(k.args) == 1 {
			m := c.findMap(ref)
			m.inside = &ref.Span
			key, ok := c.mapKey(m, ref.Keys, ref.Span)
			if !ok || !c.known(m, ref) {
				return bad(k.at)
			}
			return k.result(typeBool, c.wholeArg(m, ref), key)
		}
		c.list.Errorf(k.at, "delete() takes one map and one key").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	m, arg := c.mapArg(k, 0)
	if m == nil {
		return bad(k.at)
	}
	ref := c.resolveParam(k.args[0]).(*syntax.MapRef)
	if len(k.args) == 1 {
		if m.keyed {
			c.list.Errorf(k.at, "%s has keys: delete() needs to know which one", m.Name).Hint = "delete(" + m.Name + ", key), or clear(" + m.Name + ") for all"
			return bad(k.at)
		}
		c.useBare(m, ref.Span)
		return k.result(typeBool, arg)
	}
	key, ok := c.keyArg(k, m, k.args[1:])
	if !ok {
		return bad(k.at)
	}
	return k.result(typeBool, arg, key)
}

// known reports an error if nothing is ever put into m.
func (c *checker) known(m *mapState, ref *syntax.MapRef) bool {
	if m.value.typ() == nil {
		c.pending = true
		if c.final {
			c.undefinedMap(ref.Span, m)
			return false
		}
	}
	return true
}

func (c *checker) wholeArg(m *mapState, ref *syntax.MapRef) Expr {
	t := typeNone
	if v := m.value.typ(); v != nil {
		t = v
	}
	return &MapArg{Node{diag.Span{Start: ref.Span.Start, End: ref.Span.Start + diag.Pos(len(ref.Name))}, t}, m.Map}
}

func checkHasKey(c *checker, k *call) Expr {
	m, arg := c.mapArg(k, 0)
	if m == nil {
		return bad(k.at)
	}
	key, ok := c.keyArg(k, m, k.args[1:])
	if !ok {
		return bad(k.at)
	}
	return k.result(typeBool, arg, key)
}

func checkFind(c *checker, k *call) Expr {
	m, arg := c.mapArg(k, 0)
	if m == nil {
		return bad(k.at)
	}
	key, ok := c.keyArg(k, m, k.args[1:2])
	target, isVar := k.args[2].(*syntax.Var)
	if !isVar {
		c.list.Errorf(k.args[2].Pos(), "argument 3 of find() must be a variable, which gets the value").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	v := c.lookup(target)
	if v == nil {
		v = c.newVar(target, false)
	}
	v.assigned = true
	t := m.value.typ()
	if !ok || t == nil {
		return bad(k.at)
	}
	if isAggregate(t.Kind) {
		c.list.Errorf(k.at, "find() does not work on %s, whose values are of type %s", m.Name, TypeName(t)).Hint = "$x = (int64)" + m.Name + "[key]"
		return bad(k.at)
	}
	if had := v.slot.typ(); !c.widen(&v.slot, shapeOf(t, target.Span)) {
		c.list.Errorf(target.Span, "type mismatch for %s: it gets a value of type %s here", v.Name, TypeName(t)).
			Related = []diag.Related{{Span: v.slot.at, Message: "but it has type " + TypeName(had) + " since here"}}
		return bad(k.at)
	}
	v.Var.Type = v.slot.typ()
	return k.result(typeBool, arg, key, &VarRef{Node{target.Span, v.Var.Type}, v.Var})
}

func checkLen(c *checker, k *call) Expr {
	if _, isMap := c.resolveParam(k.args[0]).(*syntax.MapRef); !isMap {
		x := c.expr(k.args[0])
		if stack, ok := x.(*Call); ok && (stack.Fn == "kstack" || stack.Fn == "ustack") {
			return k.result(typeU64, stack)
		}
		if t := x.Type(); t.Kind == schema.UStack && t.Unwound {
			c.list.Errorf(x.Pos(), "len() cannot count the frames of dw_ustack, which are found after the program has ended").Hint = "len(ustack) counts those that frame pointers lead to"
			return bad(k.at)
		}
		if isBad(x) {
			return x
		}
		return c.argError(k, 0, "a map or a stack", x)
	}
	m, arg := c.mapArg(k, 0)
	if m == nil {
		return bad(k.at)
	}
	if m.scalar() {
		c.list.Errorf(k.at, "len() needs a map with keys, and %s has none", m.Name).Related = m.related()
		return bad(k.at)
	}
	if !c.needs(k, ir.ForEachMapElem, "len()") {
		return bad(k.at)
	}
	return k.result(typeI64, arg)
}
