package verifier

// A walkGraph is the walk as a graph of steps, so that a run can be followed through it: the oracle of soundness.
type walkGraph struct {
	nodes []*walkNode // the first one stands for no step
	roots map[int]int // the first step of each function that is walked by itself
	most  int         // steps; a longer walk is not followed
	full  bool
}

// A walkNode is one step: what was known before the instruction, and where the walk went on.
type walkNode struct {
	at    int
	state *state
	next  []int
	// cover is the step whose walk covers this one, 0 for none, without regard to what is free.
	cover int
	free  *freeSet
}

// A freeSet is what a covering state says nothing of: registers and bytes of the stack by frames. Byte i of slot n is at r10-8*(n+1)+i.
type freeSet struct {
	regs  [maxFrames]uint16
	stack [maxFrames][64]uint8
	ids   bool // which numbers are equal: kernels before 6.5 do not compare that
}

func newWalkGraph(most int) *walkGraph {
	return &walkGraph{nodes: []*walkNode{{at: -1}}, roots: map[int]int{}, most: most}
}

func (g *walkGraph) enter(v *verifier) {
	if g.full = g.full || len(g.nodes) >= g.most; g.full {
		return
	}
	n := &walkNode{at: v.insn, state: v.cur.clone()}
	id := len(g.nodes)
	g.nodes = append(g.nodes, n)
	if from := v.cur.seen; from > 0 {
		g.nodes[from].next = append(g.nodes[from].next, id)
	} else {
		g.roots[v.insn] = id
	}
	v.cur.seen = id
}

func (g *walkGraph) covered(v *verifier, old *state, how sameness) {
	if g.full {
		return
	}
	n := g.nodes[v.cur.seen]
	n.cover = old.seen
	n.free = v.uncompared(old, v.cur, how)
}

// uncompared is what statesEqual passes over.
func (v *verifier) uncompared(old, cur *state, how sameness) *freeSet {
	f := &freeSet{ids: !v.rules.scalarIDCheck}
	for i := 0; i <= old.top; i++ {
		o := old.frames[i]
		at := old.insnOf(i)
		for j := range o.regs[:10] {
			r := &o.regs[j]
			switch {
			case v.rules.staticRegs && v.liveRegs[at]>>j&1 == 0, r.kind == notInit,
				!v.rules.staticRegs && how == covers && !v.wasRead(r), r.kind == scalar && how == covers && !r.precise:
				f.regs[i] |= 1 << j
			}
		}
		for spi := range f.stack[i] {
			f.stack[i][spi] = 0xff
			if spi < len(o.stack) {
				f.stack[i][spi] = v.uncomparedSlot(&o.stack[spi], how)
			}
		}
	}
	return f
}

func (v *verifier) uncomparedSlot(o *slot, how sameness) (free uint8) {
	if !v.rules.staticStack && how == covers && !v.wasRead(&o.reg) || o.spilledScalar() && how == covers && !o.reg.precise {
		return 0xff
	}
	for i, fl := range o.fill {
		if fl == fillInvalid {
			free |= 1 << (7 - i)
		}
	}
	return free
}
