package ir

import (
	"fmt"
	"slices"
	"sort"
)

// Register allocation by colouring the graph of registers that are live at the same time, with moves joined first. Programs
// are small, so the graph costs little, and what matters is that arguments and results are made where they are wanted: a
// graph shows all moves at once, where a linear scan decides each when it comes to it.

// spillCost of a register that must not be spilled again, and of one that had better not be (see machineFunc.bound).
const (
	neverSpill = 1e30
	boundSpill = 1e12
)

type coloring struct {
	f     *machineFunc
	n     int
	adj   []bitset // by representative
	alias []reg    // joined registers: towards the representative
	cost  []float64
	moves []move
	color []reg
	temps map[reg]bool // made by spilling
}

type move struct {
	a, b   reg
	weight float64
}

// allocate gives every register a place: one of R0 to R9, or the stack if there are too many.
func (f *machineFunc) allocate() error {
	temps := map[reg]bool{}
	for range 30 {
		f.dropDead()
		for _, careful := range []bool{false, true} {
			c := &coloring{f: f, n: int(f.next), temps: temps}
			c.build()
			c.join(careful)
			spilled := c.assign()
			if len(spilled) == 0 {
				c.rewrite()
				return nil
			}
			if careful {
				c.spill(spilled)
			}
		}
	}
	return fmt.Errorf("ir: function %s needs more registers than there are", f.name)
}

func (c *coloring) find(r reg) reg {
	for c.alias[r] != r {
		c.alias[r] = c.alias[c.alias[r]]
		r = c.alias[r]
	}
	return r
}

func (c *coloring) edge(a, b reg) {
	if a != b && a != frameReg && b != frameReg {
		c.adj[a].set(b)
		c.adj[b].set(a)
	}
}

func (c *coloring) build() {
	c.adj = make([]bitset, c.n)
	c.alias = make([]reg, c.n)
	c.cost = make([]float64, c.n)
	for i := range c.adj {
		c.adj[i] = newBitset(c.n)
		c.alias[i] = reg(i)
	}
	for a := reg(0); a < colors; a++ {
		for b := a + 1; b < colors; b++ {
			c.edge(a, b)
		}
	}
	l := c.f.live(c.n)
	for _, b := range c.f.blocks {
		weight := 1.0
		for range min(b.loops, 6) {
			weight *= 10
		}
		live := l.out[b.index]
		for j := len(b.insts) - 1; j >= 0; j-- {
			i := &b.insts[j]
			if i.op == mMov && i.src != frameReg {
				c.moves = append(c.moves, move{i.dst, i.src, weight})
			}
			i.defs(func(d reg) {
				live.each(func(x reg) {
					if i.op != mMov || x != i.src {
						c.edge(d, x)
					}
				})
			})
			// A call destroys registers together, and mSet writes its result before it reads.
			if i.op == mSet {
				i.uses(func(u reg) { c.edge(i.dst, u) })
			}
			i.operands(func(r *reg, how role) { c.cost[*r] += weight })
			i.step(live)
		}
	}
	for r := range c.f.bound {
		c.cost[r] += boundSpill
	}
	for r := range c.temps {
		c.cost[r] = neverSpill
	}
}

// join gives both sides of moves one register where that is possible; careful: where it cannot lead to spilling.
func (c *coloring) join(careful bool) {
	sort.SliceStable(c.moves, func(i, j int) bool { return c.moves[i].weight > c.moves[j].weight })
	for changed := true; changed; {
		changed = false
		for _, m := range c.moves {
			a, b := c.find(m.a), c.find(m.b)
			if a == b || c.adj[a].has(b) || a < firstVirtual && b < firstVirtual {
				continue
			}
			if b < firstVirtual {
				a, b = b, a
			}
			if careful && !c.safe(a, b) {
				continue
			}
			c.alias[b] = a
			c.cost[a] += c.cost[b]
			c.adj[b].each(func(x reg) {
				c.adj[x].clear(b)
				c.edge(a, x)
			})
			changed = true
		}
	}
}

func (c *coloring) degree(r reg) int {
	n := 0
	for _, w := range c.adj[r] {
		n += popcount(w)
	}
	return n
}

// safe is George's test for a machine register a, and Briggs's for others.
func (c *coloring) safe(a, b reg) bool {
	ok, high := true, 0
	both := append(bitset(nil), c.adj[b]...)
	if a >= firstVirtual {
		both.or(c.adj[a])
	}
	both.each(func(x reg) {
		if x < firstVirtual {
			high++
			if a < firstVirtual && !c.adj[a].has(x) && x != a {
				ok = false
			}
			return
		}
		if c.degree(x) >= colors {
			high++
			if a < firstVirtual && !c.adj[a].has(x) {
				ok = false
			}
		}
	})
	if a < firstVirtual {
		return ok
	}
	return high < colors
}

// assign colours the graph and returns the representatives that found no colour.
func (c *coloring) assign() []reg {
	c.color = make([]reg, c.n)
	degree := make([]int, c.n)
	var nodes []reg
	for r := reg(0); int(r) < c.n; r++ {
		c.color[r] = noReg
		switch {
		case r < firstVirtual:
			c.color[r] = r
		case c.find(r) == r:
			nodes = append(nodes, r)
			degree[r] = c.degree(r)
		}
	}
	stack := c.order(nodes, degree)
	partners := map[reg][]reg{}
	for _, m := range c.moves {
		if a, b := c.find(m.a), c.find(m.b); a != b {
			partners[a], partners[b] = append(partners[a], b), append(partners[b], a)
		}
	}
	var spilled []reg
	for i := len(stack) - 1; i >= 0; i-- {
		r := stack[i]
		var taken uint
		c.adj[r].each(func(x reg) {
			if k := c.color[x]; k != noReg {
				taken |= 1 << k
			}
		})
		c.color[r] = c.choose(taken, partners[r])
		if c.color[r] == noReg {
			spilled = append(spilled, r)
		}
	}
	return spilled
}

// order is that in which the nodes are taken out of the graph: the first of those that find a colour whatever their
// neighbours have, or else the one that costs least to spill.
func (c *coloring) order(nodes []reg, degree []int) []reg {
	easy, removed := newBitset(c.n), newBitset(c.n)
	hard := nodes
	left := len(nodes)
	from := 0 // words of easy before it are empty
	for _, r := range nodes {
		if degree[r] < colors {
			easy.set(r)
		}
	}
	var stack []reg
	for len(stack) < left {
		for from < len(easy) && easy[from] == 0 {
			from++
		}
		pick := noReg
		if from < len(easy) {
			pick = reg(from<<6 + trailing(easy[from]))
			easy.clear(pick)
		} else {
			best := 0.0
			hard = slices.DeleteFunc(hard, removed.has)
			for _, r := range hard {
				if x := c.cost[r] / float64(degree[r]); pick == noReg || x < best {
					pick, best = r, x
				}
			}
		}
		removed.set(pick)
		stack = append(stack, pick)
		c.adj[pick].each(func(x reg) {
			degree[x]--
			if degree[x] == colors-1 && x >= firstVirtual && !removed.has(x) {
				easy.set(x)
				from = min(from, int(x>>6))
			}
		})
	}
	return stack
}

// choose prefers the register of a move's other side, then those that calls destroy, so that few are saved.
func (c *coloring) choose(taken uint, partners []reg) reg {
	for _, p := range partners {
		if k := c.color[p]; k != noReg && k < colors && taken&(1<<k) == 0 {
			return k
		}
	}
	for k := reg(0); k < colors; k++ {
		if taken&(1<<k) == 0 {
			return k
		}
	}
	return noReg
}

// rewrite puts the colours in place and drops the moves that have become idle.
func (c *coloring) rewrite() {
	for _, b := range c.f.blocks {
		kept := b.insts[:0]
		for _, i := range b.insts {
			i.operands(func(r *reg, _ role) { *r = c.color[c.find(*r)] })
			if i.op == mMov && i.dst == i.src {
				continue
			}
			kept = append(kept, i)
		}
		b.insts = kept
	}
}
