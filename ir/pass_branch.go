package ir

// straighten simplifies the graph: branches that always go one way, blocks that only jump on, blocks that belong together.
func straighten(f *Func) bool {
	any := false
	for changed := true; changed; {
		changed = false
		for _, b := range f.Blocks {
			changed = decideBranch(b) || changed
		}
		changed = dropUnreachable(f) || changed
		for _, b := range f.Blocks {
			changed = threadBranch(b) || changed
		}
		changed = dropUnreachable(f) || changed
		for _, b := range f.Blocks {
			changed = truthPhi(b) || changed
		}
		f.placeConstants()
		for _, b := range f.Blocks {
			changed = skipEmpty(b) || changed
		}
		changed = dropUnreachable(f) || changed
		for _, b := range f.Blocks {
			changed = joinNext(b) || changed
		}
		changed = dropUnreachable(f) || changed
		any = any || changed
	}
	return any
}

// decideBranch turns a branch on a constant, or one whose ways are the same, into a jump.
func decideBranch(b *Block) bool {
	end := b.end()
	if end.Op != OpIf {
		return false
	}
	lost := -1
	switch c := end.Args[0]; {
	case c.Op == OpConst && c.Aux != 0:
		lost = 1
	case c.Op == OpConst:
		lost = 0
	case b.Succs[0] == b.Succs[1] && !b.Succs[0].phisDiffer(b):
		lost = 1
	case c.Op == OpSlot || c.Op == OpMapValue:
		lost = 1
	default:
		return false
	}
	b.unlink(lost)
	end.Op, end.Args, end.Aux = OpJump, nil, 0
	return true
}

// phisDiffer reports whether b's phis distinguish between several edges from p.
func (b *Block) phisDiffer(p *Block) bool {
	first := b.predIndex(p)
	for _, v := range b.Values {
		if v.Op != OpPhi {
			continue
		}
		for i, q := range b.Preds {
			if q == p && v.Args[i] != v.Args[first] {
				return true
			}
		}
	}
	return false
}

// skipEmpty leads the predecessors of a block that only jumps straight to its target.
func skipEmpty(b *Block) bool {
	if len(b.Values) != 1 || b.end().Op != OpJump || b.Succs[0] == b || b == b.Func.Blocks[0] {
		return false
	}
	to := b.Succs[0]
	at := to.predIndex(b)
	changed := false
	for i := len(b.Preds) - 1; i >= 0; i-- {
		p := b.Preds[i]
		if to.hasPhis() && to.predIndex(p) >= 0 {
			continue // two edges with values of their own need two blocks
		}
		for j, s := range p.Succs {
			if s == b {
				p.Succs[j] = to
				break
			}
		}
		b.dropPred(i)
		to.Preds = append(to.Preds, p)
		for _, v := range to.Values {
			if v.Op == OpPhi {
				v.Args = append(v.Args, v.Args[at])
			}
		}
		changed = true
	}
	return changed
}

// joinNext appends the only successor to b if b is its only predecessor.
func joinNext(b *Block) bool {
	changed := false
	for len(b.Succs) == 1 {
		s := b.Succs[0]
		if len(s.Preds) != 1 || s == b || s == b.Func.Blocks[0] || s.hasPhis() {
			break
		}
		b.Values = append(b.Values[:len(b.Values)-1], s.Values...)
		for _, v := range s.Values {
			v.Block = b
		}
		b.Succs = s.Succs
		for _, t := range b.Succs {
			for i, p := range t.Preds {
				if p == s {
					t.Preds[i] = b
				}
			}
		}
		// Nothing leads to s any more; it keeps a terminator so that it is a block until it is dropped.
		s.Values, s.Succs, s.Preds = []*Value{{ID: b.Func.nextValue, Op: OpReturn, Block: s}}, nil, nil
		b.Func.nextValue++
		changed = true
	}
	return changed
}

// threadBranch leads a predecessor past a block that only branches on phis, if for that predecessor they are constant.
// That is what && and || become.
func threadBranch(b *Block) bool {
	end := b.end()
	if end.Op != OpIf || b == b.Func.Blocks[0] {
		return false
	}
	// Only phis, and at most one comparison of a phi with a constant.
	var test *Value
	for _, v := range b.Values[:len(b.Values)-1] {
		switch {
		case v.Op == OpPhi:
		case v.Op.compare() && test == nil && end.Args[0] == v:
			test = v
		default:
			return false
		}
	}
	if !b.hasPhis() {
		return false
	}
	changed := false
	asked, may := [2]bool{}, [2]bool{}
	for i := len(b.Preds) - 1; i >= 0; i-- {
		way, ok := b.wayFrom(i, test)
		if !ok {
			continue
		}
		if !asked[way] {
			asked[way], may[way] = true, phisStay(b, test, way)
		}
		if !may[way] {
			continue
		}
		p, to := b.Preds[i], b.Succs[way]
		if to == b || to.hasPhis() && to.predIndex(p) >= 0 {
			continue
		}
		at := to.predIndex(b)
		for _, v := range to.Values {
			if v.Op != OpPhi {
				continue
			}
			a := v.Args[at]
			if a.Op == OpPhi && a.Block == b {
				a = a.Args[i]
			}
			v.Args = append(v.Args, a)
		}
		for j, s := range p.Succs {
			if s == b {
				p.Succs[j] = to
				break
			}
		}
		to.Preds = append(to.Preds, p)
		b.dropPred(i)
		changed = true
	}
	return changed
}

// phisStay reports whether nobody misses the values of b on a way around b to successor way: they are used by b itself, by
// the phis of its successors, and where only the other successor leads.
func phisStay(b *Block, test *Value, way int) bool {
	var beyond map[*Block]bool // blocks that can be reached without the other successor
	behind := func(o *Block) bool {
		other := b.Succs[1-way]
		if len(other.Preds) != 1 {
			return false
		}
		if beyond == nil {
			beyond = b.Func.reachedWithout(other)
		}
		return !beyond[o]
	}
	for _, o := range b.Func.Blocks {
		for _, v := range o.Values {
			for i, a := range v.Args {
				if a.Block != b || a.Op != OpPhi && a != test {
					continue
				}
				switch {
				case o == b && v.Op != OpPhi:
				case v.Op == OpPhi && o.Preds[i] == b && o != b && a != test:
				case v.Op == OpPhi && behind(o.Preds[i]):
				case v.Op != OpPhi && behind(o):
				default:
					return false
				}
			}
		}
	}
	return true
}

// reachedWithout returns the blocks that a path from the entry reaches without passing b.
func (f *Func) reachedWithout(b *Block) map[*Block]bool {
	seen := map[*Block]bool{f.Blocks[0]: true}
	work := []*Block{f.Blocks[0]}
	for len(work) > 0 {
		x := work[len(work)-1]
		work = work[:len(work)-1]
		for _, s := range x.Succs {
			if s != b && !seen[s] {
				seen[s] = true
				work = append(work, s)
			}
		}
	}
	return seen
}

// truthPhi replaces a phi that is 1 on one way of a branch and 0 on the other by the condition.
func truthPhi(b *Block) bool {
	if len(b.Preds) != 2 || len(b.Values) == 0 || b.Values[0].Op != OpPhi || len(b.Values) > 1 && b.Values[1].Op == OpPhi {
		return false
	}
	phi := b.Values[0]
	x, y := phi.Args[0], phi.Args[1]
	if x.Op != OpConst || y.Op != OpConst || x.Aux+y.Aux != 1 || x.Aux*y.Aux != 0 {
		return false
	}
	from, side, ok := branchSide(b.Preds[0], b)
	from2, side2, ok2 := branchSide(b.Preds[1], b)
	if !ok || !ok2 || from != from2 || side == side2 {
		return false
	}
	op := OpNe // the phi is 1 where the condition is not 0
	if (side == 0) != (x.Aux == 1) {
		op = OpEq
	}
	cond := from.end().Args[0]
	if cond.leaf() {
		return false
	}
	phi.Op, phi.Type, phi.Args = op, Scalar, []*Value{cond, b.Func.constant(0)}
	return true
}

// branchSide returns the block whose branch alone leads over p to b, and which of its ways that is.
func branchSide(p, b *Block) (from *Block, side int, ok bool) {
	edge := b
	if len(p.Values) == 1 && p.end().Op == OpJump && len(p.Preds) == 1 {
		p, edge = p.Preds[0], p
	}
	if p.end().Op != OpIf || p.Succs[0] == p.Succs[1] {
		return nil, 0, false
	}
	if p.Succs[1] == edge {
		side = 1
	}
	return p, side, true
}

// wayFrom returns the successor that b goes to when it is entered by predecessor i, if that can be known.
func (b *Block) wayFrom(i int, test *Value) (int, bool) {
	known := func(v *Value) (int64, bool) {
		if v.Op == OpPhi && v.Block == b {
			v = v.Args[i]
		}
		return v.Aux, v.Op == OpConst
	}
	cond := b.end().Args[0]
	n, ok := known(cond)
	if test != nil && cond == test {
		x, okX := known(test.Args[0])
		y, okY := known(test.Args[1])
		n, ok = 0, okX && okY
		if ok {
			n, _ = constant(test.Op, x, y)
		}
	}
	if !ok {
		return 0, false
	}
	if n != 0 {
		return 0, true
	}
	return 1, true
}
