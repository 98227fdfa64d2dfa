package ir

import "sort"

// spill moves the registers to the stack: each use loads into a register of its own, each definition stores. Registers
// that hold something that can be made again are made again instead.
func (c *coloring) spill(nodes []reg) {
	home := map[reg]int64{} // representative → offset from R10
	again := map[reg]*inst{}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i] < nodes[j] })
	remake := c.remakeable()
	slots := []int64{}
	used := map[int64][]reg{}
	for _, n := range nodes {
		if i := remake[n]; i != nil {
			again[n] = i
			continue
		}
		at, found := int64(0), false
		for _, s := range slots {
			free := true
			for _, o := range used[s] {
				free = free && !c.adj[n].has(o)
			}
			if free {
				at, found = s, true
				break
			}
		}
		if !found {
			c.f.stack = (c.f.stack + 7) &^ 7
			c.f.stack += 8
			at = -int64(c.f.stack)
			slots = append(slots, at)
		}
		used[at] = append(used[at], n)
		home[n] = at
	}
	for _, b := range c.f.blocks {
		var out []inst
		for _, i := range b.insts {
			out = c.spillInst(out, i, home, again)
		}
		b.insts = out
	}
}

// remakeable finds the representatives all of whose definitions are the same remat instruction.
func (c *coloring) remakeable() map[reg]*inst {
	made := map[reg]*inst{}
	other := map[reg]bool{}
	for _, b := range c.f.blocks {
		for j := range b.insts {
			i := &b.insts[j]
			i.operands(func(r *reg, how role) {
				if how&def == 0 {
					return
				}
				n := c.find(*r)
				if i.op == mMov && c.find(i.src) == n {
					return
				}
				if !i.remat() || made[n] != nil && !sameRemat(made[n], i) {
					other[n] = true
					return
				}
				made[n] = i
			})
		}
	}
	for n := range other {
		delete(made, n)
	}
	return made
}

func sameRemat(a, b *inst) bool {
	return a.op == b.op && a.imm == b.imm && a.sym == b.sym
}

func (c *coloring) spillInst(out []inst, i inst, home map[reg]int64, again map[reg]*inst) []inst {
	place := func(r reg) (at int64, ok bool) {
		if r < firstVirtual {
			return 0, false
		}
		at, ok = home[c.find(r)]
		return at, ok
	}
	if i.op == mMov {
		from, fromSpilled := place(i.src)
		to, toSpilled := place(i.dst)
		remake := i.src >= firstVirtual && again[c.find(i.src)] != nil
		switch {
		case i.dst >= firstVirtual && again[c.find(i.dst)] != nil:
			return out
		case fromSpilled && toSpilled && from == to:
			return out
		case toSpilled && !fromSpilled && !remake:
			return append(out, inst{op: mStore, dst: frameReg, off: to, src: i.src, src2: noReg, size: 8, span: i.span})
		case fromSpilled && !toSpilled:
			if _, bound := c.f.bound[i.src]; !bound {
				return append(out, inst{op: mLoad, dst: i.dst, src: frameReg, off: from, src2: noReg, size: 8, span: i.span})
			}
		case remake && !toSpilled:
			made := *again[c.find(i.src)]
			made.dst, made.span = i.dst, i.span
			return append(out, made)
		}
	}
	if i.remat() && i.dst >= firstVirtual && again[c.find(i.dst)] != nil {
		return out
	}
	var after []inst
	temps := map[reg]reg{}
	i.operands(func(r *reg, how role) {
		if *r < firstVirtual {
			return
		}
		n, was := c.find(*r), *r
		at, spilled := home[n]
		made := again[n]
		if !spilled && made == nil {
			return
		}
		t, shared := temps[n]
		if !shared {
			t = c.f.newReg()
			c.temps[t] = true
			temps[n] = t
		}
		*r = t
		if how&use != 0 && !shared {
			if made != nil {
				m := *made
				m.dst, m.span = t, i.span
				out = append(out, m)
			} else {
				out = append(out, inst{op: mLoad, dst: t, src: frameReg, src2: noReg, off: at, size: 8, span: i.span})
				if prove, ok := c.f.bound[was]; ok && how&def == 0 {
					prove.dst, prove.span = t, i.span
					out = append(out, prove)
				}
			}
		}
		if how&def != 0 && spilled {
			after = append(after, inst{op: mStore, dst: frameReg, off: at, src: t, src2: noReg, size: 8, span: i.span})
		}
	})
	out = append(out, i)
	return append(out, after...)
}
