package ir

// shareCommon replaces values by equal ones that have been computed on every path to them: the same operation of the same
// arguments; loads only if nothing between can have written there. On the way it uses what branches have decided: in the
// block behind an `if` its condition is known.
func shareCommon(f *Func) bool {
	c := &sharer{f: f, g: newGraph(f), with: map[*Value]*Value{}, seen: make(map[expr]*Value, 64), known: map[*Value]fact{}}
	c.memory = newMemoryState(f, c.g)
	for i := range c.bits {
		v := f.newValue(OpConst, Scalar)
		v.Aux, v.Block = int64(i), f.Blocks[0]
		c.bits[i] = v
	}
	c.walk(f.Blocks[0])
	f.replaceAll(c.with)
	f.placeConstants()
	return c.changed || len(c.with) > 0
}

// expr identifies what a value computes.
type expr struct {
	op        Op
	typ       Type
	size      int32
	args      int32
	aux, aux2 int64
	sym       string
	slot      *Slot
	a, b, c   int32 // argument IDs + 1
	version   int32 // of the memory read
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
	seen    map[expr]*Value
	known   map[*Value]fact
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
	type undo struct {
		e   expr
		old *Value
	}
	var undos []undo
	var facts []*Value
	var before []fact
	learn := func(v *Value, x fact) {
		facts, before = append(facts, v), append(before, c.known[v])
		c.known[v] = x
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
				if k := c.known[a].is; k != nil && k != a && !(v.Op == OpIf && a.Op == OpConst) {
					a = c.place(k)
					c.changed = true
				}
			}
			v.Args[i] = a
		}
		if v.Op == OpIf {
			c.decide(v)
		}
		e, ok := c.key(v)
		if ok {
			if twin := c.seen[e]; twin != nil {
				c.with[v] = twin
				continue
			}
			undos = append(undos, undo{e, c.seen[e]})
			c.seen[e] = v
			c.implied(v, learn)
		}
		c.memory.write(v)
		if e, x := c.stored(v); x != nil {
			undos = append(undos, undo{e, c.seen[e]})
			c.seen[e] = x
		}
		kept = append(kept, v)
	}
	b.Values = kept
	c.memory.leave(b)
	for _, k := range c.g.kids[b.ID] {
		c.walk(k)
	}
	for i := len(undos) - 1; i >= 0; i-- {
		if undos[i].old == nil {
			delete(c.seen, undos[i].e)
		} else {
			c.seen[undos[i].e] = undos[i].old
		}
	}
	for i := len(facts) - 1; i >= 0; i-- {
		c.known[facts[i]] = before[i]
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
	if a := v.Args[0]; a.Op != OpConst && c.known[a].notZero {
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
		if v.Args[1].isConst(0) && c.known[v.Args[0]].notZero {
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
	if k := c.known[twin].is; k != nil {
		learn(v, fact{notZero: k.Aux == 0, is: c.bits[1-k.Aux]})
	}
}

// find returns the value that computes this already, or nil.
func (c *sharer) find(op Op, x, y *Value) *Value {
	e, _ := c.key(&Value{Op: op, Type: Scalar, Args: []*Value{x, y}})
	return c.seen[e]
}

// near returns the constant x+by, if there is one in the function and x is a constant.
func (c *sharer) near(x *Value, by int64) *Value {
	if x.Op != OpConst || x.Aux == -1 || x.Aux == 0 || x.Aux == mask(63) || x.Aux == ^mask(63) {
		return nil // might wrap around
	}
	e, _ := c.key(&Value{Op: OpConst, Type: Scalar, Aux: x.Aux + by})
	return c.seen[e]
}

// key returns the expression of v, if v may be shared.
func (c *sharer) key(v *Value) (expr, bool) {
	if len(v.Args) > 3 {
		return expr{}, false
	}
	e := expr{op: v.Op, typ: v.Type, size: int32(v.Size), aux: v.Aux, aux2: v.Aux2, sym: v.Sym, slot: v.Slot, args: int32(len(v.Args))}
	switch {
	case v.Op.binary(), v.Op.compare(), v.Op == OpNeg, v.Op == OpZExt, v.Op == OpSExt, v.Op == OpSwap, v.leaf(), v.Op == OpParam:
	case v.Op == OpLoad, v.Op == OpLoadS:
		e.version = int32(c.memory.version(v))
	case v.Op == OpCall && v.Aux2&Pure != 0:
		for _, a := range v.Args {
			if a.Type.pointer() {
				return expr{}, false
			}
		}
	default:
		return expr{}, false
	}
	ids := [3]int32{}
	for i, a := range v.Args {
		ids[i] = int32(a.ID) + 1
	}
	if v.Op.commutative() && ids[0] > ids[1] {
		ids[0], ids[1] = ids[1], ids[0]
	}
	e.a, e.b, e.c = ids[0], ids[1], ids[2]
	return e, true
}

// stored returns the load that would read what the store v has just written, and the value that it would read.
func (c *sharer) stored(v *Value) (expr, *Value) {
	if v.Op != OpStore {
		return expr{}, nil
	}
	x := v.Args[1]
	if x.Type != Scalar || unsignedBits(x) > 8*v.Size {
		return expr{}, nil
	}
	e, _ := c.key(&Value{Op: OpLoad, Type: Scalar, Size: v.Size, Aux: v.Aux, Args: v.Args[:1]})
	return e, x
}
