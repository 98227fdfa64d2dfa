package ir

// graph is what is known about the shape of a function. It is made anew whenever the blocks have changed.
type graph struct {
	f     *Func
	order []*Block // reachable blocks in reverse postorder
	pos   []int    // index in order by block ID, -1 if unreachable
	idom  []*Block // immediate dominator by block ID
	loops []int    // number of loops around the block, by block ID
	kids  [][]*Block
	enter []int // preorder numbers in the dominator tree, for dominates
	leave []int
}

func newGraph(f *Func) *graph {
	g := &graph{f: f, pos: make([]int, f.nextBlock), idom: make([]*Block, f.nextBlock), loops: make([]int, f.nextBlock)}
	g.order = f.reversePostorder()
	for i := range g.pos {
		g.pos[i] = -1
	}
	for i, b := range g.order {
		g.pos[b.ID] = i
	}
	g.dominators()
	g.findLoops()
	return g
}

// reversePostorder visits the second successor first, so that the first one follows its block where it can.
func (f *Func) reversePostorder() []*Block {
	seen := make([]bool, f.nextBlock)
	type frame struct {
		b    *Block
		next int
	}
	post := make([]*Block, 0, len(f.Blocks))
	stack := append(make([]frame, 0, 64), frame{f.Blocks[0], len(f.Blocks[0].Succs) - 1})
	seen[f.Blocks[0].ID] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next < 0 {
			post = append(post, top.b)
			stack = stack[:len(stack)-1]
			continue
		}
		s := top.b.Succs[top.next]
		top.next--
		if !seen[s.ID] {
			seen[s.ID] = true
			stack = append(stack, frame{s, len(s.Succs) - 1})
		}
	}
	for i, j := 0, len(post)-1; i < j; i, j = i+1, j-1 {
		post[i], post[j] = post[j], post[i]
	}
	return post
}

// dominators is the algorithm of Cooper, Harvey and Kennedy.
func (g *graph) dominators() {
	entry := g.order[0]
	g.idom[entry.ID] = entry
	for changed := true; changed; {
		changed = false
		for _, b := range g.order[1:] {
			var d *Block
			for _, p := range b.Preds {
				if g.pos[p.ID] < 0 || g.idom[p.ID] == nil {
					continue
				}
				if d == nil {
					d = p
				} else {
					d = g.common(d, p)
				}
			}
			if g.idom[b.ID] != d {
				g.idom[b.ID] = d
				changed = true
			}
		}
	}
	g.kids = make([][]*Block, len(g.idom))
	for _, b := range g.order[1:] {
		p := g.idom[b.ID]
		g.kids[p.ID] = append(g.kids[p.ID], b)
	}
	g.enter, g.leave = make([]int, len(g.idom)), make([]int, len(g.idom))
	n := 0
	var walk func(b *Block)
	walk = func(b *Block) {
		n++
		g.enter[b.ID] = n
		for _, k := range g.kids[b.ID] {
			walk(k)
		}
		g.leave[b.ID] = n
	}
	walk(entry)
}

// common returns the nearest block that dominates both.
func (g *graph) common(a, b *Block) *Block {
	for a != b {
		for g.pos[a.ID] > g.pos[b.ID] {
			a = g.idom[a.ID]
		}
		for g.pos[b.ID] > g.pos[a.ID] {
			b = g.idom[b.ID]
		}
	}
	return a
}

// dominates reports whether each path to b leads through a.
func (g *graph) dominates(a, b *Block) bool {
	return g.pos[a.ID] >= 0 && g.enter[a.ID] <= g.enter[b.ID] && g.enter[b.ID] <= g.leave[a.ID]
}

func (g *graph) findLoops() {
	for _, head := range g.order {
		inside := map[*Block]bool{}
		var work []*Block
		for _, p := range head.Preds {
			if g.pos[p.ID] >= 0 && g.dominates(head, p) && !inside[p] {
				inside[p] = true
				work = append(work, p)
			}
		}
		if len(work) == 0 {
			continue
		}
		inside[head] = true
		for len(work) > 0 {
			b := work[len(work)-1]
			work = work[:len(work)-1]
			if b == head {
				continue
			}
			for _, p := range b.Preds {
				if g.pos[p.ID] >= 0 && !inside[p] {
					inside[p] = true
					work = append(work, p)
				}
			}
		}
		for b := range inside {
			g.loops[b.ID]++
		}
	}
}

// edges

// predIndex returns the place of p among b's predecessors. A block that has two edges from p has p twice.
func (b *Block) predIndex(p *Block) int {
	for i, q := range b.Preds {
		if q == p {
			return i
		}
	}
	return -1
}

// dropPred removes predecessor i and the phis' arguments for it.
func (b *Block) dropPred(i int) {
	b.Preds = append(b.Preds[:i:i], b.Preds[i+1:]...)
	for _, v := range b.Values {
		if v.Op != OpPhi {
			continue
		}
		v.Args = append(v.Args[:i:i], v.Args[i+1:]...)
	}
}

// unlink removes the edge from b to its successor i.
func (b *Block) unlink(i int) {
	s := b.Succs[i]
	s.dropPred(s.predIndex(b))
	b.Succs = append(b.Succs[:i:i], b.Succs[i+1:]...)
}

// end returns the terminator.
func (b *Block) end() *Value { return b.Values[len(b.Values)-1] }

// insert puts v before index i of b.
func (b *Block) insert(i int, v *Value) {
	v.Block = b
	b.Values = append(b.Values, nil)
	copy(b.Values[i+1:], b.Values[i:])
	b.Values[i] = v
}

// constant returns a constant that is available everywhere, once placeConstants has been called.
func (f *Func) constant(n int64) *Value {
	v := f.newValue(OpConst, Scalar)
	v.Aux, v.Block = n, f.Blocks[0]
	f.constants = append(f.constants, v)
	return v
}

// placeConstants puts the new constants into the entry. A pass calls it when it no longer walks blocks.
func (f *Func) placeConstants() {
	f.Blocks[0].Values = append(f.constants, f.Blocks[0].Values...)
	f.constants = nil
}

// isConst reports whether v is the constant n.
func (v *Value) isConst(n int64) bool { return v.Op == OpConst && v.Aux == n }

// leaf reports whether v is an operation without arguments that costs as little to do again as to remember.
func (v *Value) leaf() bool {
	switch v.Op {
	case OpConst, OpSlot, OpMap, OpMapValue, OpFuncAddr:
		return true
	}
	return false
}

// replaceAll lets all users of a key use its value instead; chains are followed.
func (f *Func) replaceAll(with map[*Value]*Value) {
	if len(with) == 0 {
		return
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				for with[a] != nil {
					a = with[a]
				}
				v.Args[i] = a
			}
		}
	}
}

// useCounts counts the uses of each value by its ID.
func (f *Func) useCounts() []int {
	n := make([]int, f.nextValue)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for _, a := range v.Args {
				n[a.ID]++
			}
		}
	}
	return n
}

// hoistParams leaves one value for each parameter, at the start of the entry, wherever the front end asked for it.
func (f *Func) hoistParams() {
	first := make([]*Value, len(f.Params))
	with := map[*Value]*Value{}
	for _, b := range f.Blocks {
		kept := b.Values[:0]
		for _, v := range b.Values {
			if v.Op != OpParam || v.Aux < 0 || int(v.Aux) >= len(first) {
				kept = append(kept, v)
			} else if first[v.Aux] == nil {
				first[v.Aux] = v
			} else {
				with[v] = first[v.Aux]
			}
		}
		b.Values = kept
	}
	f.replaceAll(with)
	for i := len(first) - 1; i >= 0; i-- {
		if first[i] != nil {
			f.Blocks[0].insert(0, first[i])
		}
	}
}
