package ir

import "slices"

// shareCommon replaces values by equal ones that have been computed on every path to them: the same operation of the same
// arguments; loads only if nothing between can have written there. On the way it uses what branches have decided: in the
// block behind an `if` its condition is known.
func shareCommon(f *Func) bool {
	c := &sharer{f: f, g: newGraph(f), with: map[*Value]*Value{}}
	c.memory = newMemoryState(f, c.g)
	for i := range c.bits {
		v := f.newValue(OpConst, Scalar)
		v.Aux, v.Block = int64(i), f.Blocks[0]
		c.bits[i] = v
	}
	c.known = make([]fact, f.nextValue)
	c.seen = newExprs(f.nextValue)
	c.walk(f.Blocks[0])
	f.replaceAll(c.with)
	f.placeConstants()
	return c.changed || len(c.with) > 0
}

// exprs finds the values that compute something, by what that is. What was entered last is taken out first.
type exprs struct {
	entries []exprEntry
	heads   []int32 // by hash, the number of the entry that came last, less 1
}

// exprEntry says that value is what like computes.
type exprEntry struct {
	like    *Value
	value   *Value
	version int32 // of the memory that is read
	next    int32 // the entry before with the same hash, as in heads
}

func newExprs(values int) *exprs {
	size := 64
	for size < values {
		size *= 2
	}
	return &exprs{heads: make([]int32, size)}
}

// hash is of what a value computes. The order of two operands does not matter.
func (x *exprs) hash(v *Value, version int32) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := (uint64(v.Op)<<8 | uint64(v.Size)) * prime
	h = (h ^ uint64(v.Aux)) * prime
	h ^= uint64(v.Aux2) + uint64(version)<<32
	for _, a := range v.Args {
		h += uint64(a.ID+1) * prime
	}
	h *= prime
	return (h ^ h>>32) & uint64(len(x.heads)-1)
}

func (x *exprs) find(v *Value, version int32) *Value {
	for n := x.heads[x.hash(v, version)]; n != 0; n = x.entries[n-1].next {
		if e := &x.entries[n-1]; e.version == version && sameExpr(e.like, v) {
			return e.value
		}
	}
	return nil
}

func (x *exprs) enter(like *Value, version int32, value *Value) {
	h := x.hash(like, version)
	x.entries = append(x.entries, exprEntry{like, value, version, x.heads[h]})
	x.heads[h] = int32(len(x.entries))
}

// leave takes out all but the first n entries.
func (x *exprs) leave(n int) {
	for i := len(x.entries) - 1; i >= n; i-- {
		e := x.entries[i]
		x.heads[x.hash(e.like, e.version)] = e.next
	}
	x.entries = x.entries[:n]
}

// sameExpr reports whether two values compute the same, of the same memory.
func sameExpr(v, w *Value) bool {
	if v.Op != w.Op || v.Type != w.Type || v.Size != w.Size || v.Aux != w.Aux || v.Aux2 != w.Aux2 || v.Slot != w.Slot || v.Sym != w.Sym {
		return false
	}
	return slices.Equal(v.Args, w.Args) || v.Op.commutative() && len(v.Args) == 2 && len(w.Args) == 2 && v.Args[0] == w.Args[1] && v.Args[1] == w.Args[0]
}

// fact is what is known of a value behind a branch.
type fact struct {
	notZero bool
	is      *Value // this constant, if not nil
}

type sharer struct {
	f       *Func
	g       *graph
	memory  *memoryState
	with    map[*Value]*Value
	seen    *exprs
	known   []fact    // by ID
	bits    [2]*Value // the constants 0 and 1
	placed  [2]bool   // whether they are part of the function: that they are unused would be a change each time
	changed bool
}

func (c *sharer) now(v *Value) *Value {
	for c.with[v] != nil {
		v = c.with[v]
	}
	return v
}

func (c *sharer) walk(b *Block) {
	entered := len(c.seen.entries)
	var facts []*Value
	var before []fact
	learn := func(v *Value, x fact) {
		facts, before = append(facts, v), append(before, c.known[v.ID])
		c.known[v.ID] = x
	}
	if len(b.Preds) == 1 {
		c.learnFrom(b.Preds[0], b, learn)
	}
	c.memory.enter(b)
	kept := make([]*Value, 0, len(b.Values))
	for _, v := range b.Values {
		for i, a := range v.Args {
			a = c.now(a)
			if v.Op != OpPhi {
				if k := c.known[a.ID].is; k != nil && k != a && !(v.Op == OpIf && a.Op == OpConst) {
					a = c.place(k)
					c.changed = true
				}
			}
			v.Args[i] = a
		}
		if v.Op == OpIf {
			c.decide(v)
		}
		if version, ok := c.shareable(v); ok {
			if twin := c.seen.find(v, version); twin != nil {
				c.with[v] = twin
				continue
			}
			c.seen.enter(v, version, v)
			c.implied(v, learn)
		}
		c.memory.write(v)
		if load := loadOf(v); load != nil {
			version, _ := c.shareable(load)
			c.seen.enter(load, version, v.Args[1])
		}
		kept = append(kept, v)
	}
	b.Values = kept
	c.memory.leave(b)
	for _, k := range c.g.kids[b.ID] {
		c.walk(k)
	}
	c.seen.leave(entered)
	for i := len(facts) - 1; i >= 0; i-- {
		c.known[facts[i].ID] = before[i]
	}
}

// learnFrom takes what the branch at the end of p says for its successor b.
func (c *sharer) learnFrom(p, b *Block, learn func(*Value, fact)) {
	end := p.end()
	if end.Op != OpIf || p.Succs[0] == p.Succs[1] {
		return
	}
	cond := c.now(end.Args[0])
	if cond.leaf() || cond.Op == OpParam {
		return
	}
	if p.Succs[0] == b {
		x := fact{notZero: true}
		if cond.Op.compare() {
			x.is = c.bits[1]
		}
		learn(cond, x)
		if y := cond; y.Op == OpEq && y.Args[1].Op == OpConst && y.Args[0].Type == Scalar && !y.Args[0].leaf() {
			learn(y.Args[0], fact{notZero: y.Args[1].Aux != 0, is: y.Args[1]})
		}
		return
	}
	x := fact{}
	if cond.Type == Scalar {
		x.is = c.bits[0]
	}
	learn(cond, x)
	if y := cond; y.Op == OpNe && y.Args[1].Op == OpConst && y.Args[0].Type == Scalar && !y.Args[0].leaf() {
		learn(y.Args[0], fact{notZero: y.Args[1].Aux != 0, is: y.Args[1]})
	}
}

// decide replaces a condition that is known not to be zero.
func (c *sharer) decide(v *Value) {
	if a := v.Args[0]; a.Op != OpConst && c.known[a.ID].notZero {
		v.Args[0] = c.place(c.bits[1])
		c.changed = true
	}
}

// place makes a constant part of the function.
func (c *sharer) place(k *Value) *Value {
	for i, v := range c.bits {
		if v == k && !c.placed[i] {
			c.placed[i] = true
			c.f.constants = append(c.f.constants, k)
		}
	}
	return k
}

// implied learns the result of a comparison whose inverse is known, or that compares with zero what is known.
func (c *sharer) implied(v *Value, learn func(*Value, fact)) {
	if !v.Op.compare() {
		return
	}
	if v.Op == OpEq || v.Op == OpNe {
		if v.Args[1].isConst(0) && c.known[v.Args[0].ID].notZero {
			learn(v, fact{notZero: v.Op == OpNe, is: c.bits[bit(v.Op == OpNe)]})
			return
		}
	}
	op, x, y := inverse(v.Op, v.Args[0], v.Args[1])
	twin := c.find(op, x, y)
	if twin == nil && (op == OpULe || op == OpSLe) { // folding has made a strict comparison of it
		if n := c.near(x, -1); n != nil {
			twin = c.find(op-1, n, y)
		} else if n := c.near(y, 1); n != nil {
			twin = c.find(op-1, x, n)
		}
	}
	if twin == nil {
		return
	}
	if k := c.known[twin.ID].is; k != nil {
		learn(v, fact{notZero: k.Aux == 0, is: c.bits[1-k.Aux]})
	}
}

// find returns the value that computes this already, or nil.
func (c *sharer) find(op Op, x, y *Value) *Value {
	return c.seen.find(&Value{Op: op, Type: Scalar, Args: []*Value{x, y}}, 0)
}

// near returns the constant x+by, if there is one in the function and x is a constant.
func (c *sharer) near(x *Value, by int64) *Value {
	if x.Op != OpConst || x.Aux == -1 || x.Aux == 0 || x.Aux == mask(63) || x.Aux == ^mask(63) {
		return nil // might wrap around
	}
	return c.seen.find(&Value{Op: OpConst, Type: Scalar, Aux: x.Aux + by}, 0)
}

// shareable reports whether v may be shared, and which version of memory it depends on.
func (c *sharer) shareable(v *Value) (version int32, ok bool) {
	switch {
	case len(v.Args) > 3:
	case v.Op.binary(), v.Op.compare(), v.Op == OpNeg, v.Op == OpZExt, v.Op == OpSExt, v.Op == OpSwap, v.leaf(), v.Op == OpParam:
		return 0, true
	case v.Op == OpLoad, v.Op == OpLoadS:
		return int32(c.memory.version(v)), true
	case v.Op == OpCall && v.Aux2&Pure != 0:
		return 0, !slices.ContainsFunc(v.Args, func(a *Value) bool { return a.Type.pointer() })
	}
	return 0, false
}

// loadOf returns the load that would read what the store v has just written, unless it would read something else.
func loadOf(v *Value) *Value {
	if v.Op != OpStore {
		return nil
	}
	if x := v.Args[1]; x.Type != Scalar || unsignedBits(x) > 8*v.Size {
		return nil
	}
	return &Value{Op: OpLoad, Type: Scalar, Size: v.Size, Aux: v.Aux, Args: v.Args[:1:1]}
}
