package ir

// reuse lets instructions that make the same value out of nothing (addresses of map values, constants) share a register
// where no call lies between them: a call would need one of the few registers that it keeps.
func (f *machineFunc) reuse() {
	defs := make([]int, f.next)
	for _, b := range f.blocks {
		for j := range b.insts {
			b.insts[j].operands(func(r *reg, how role) {
				if how&def != 0 {
					defs[*r]++
				}
			})
		}
	}
	type key struct {
		op  machineOp
		imm int64
		sym string
	}
	with := map[reg]reg{}
	ends := map[*block]map[key]reg{}
	for _, b := range f.blocks {
		have := map[key]reg{}
		if len(b.preds) == 1 {
			for k, r := range ends[b.preds[0]] {
				have[k] = r
			}
		}
		kept := b.insts[:0]
		for _, i := range b.insts {
			i.operands(func(r *reg, how role) {
				if n, ok := with[*r]; ok && how&def == 0 {
					*r = n
				}
			})
			if i.call() {
				clear(have)
			}
			if i.remat() && i.op != mFrame {
				k := key{i.op, i.imm, i.sym}
				r, ok := have[k]
				single := i.dst >= firstVirtual && defs[i.dst] == 1
				switch {
				case ok && single:
					with[i.dst] = r
					continue
				case ok && (i.op != mMovImm || !fits32(i.imm)): // two raw instructions against one move
					i = inst{op: mMov, dst: i.dst, src: r, src2: noReg, span: i.span}
				case single:
					have[k] = i.dst
				}
			}
			kept = append(kept, i)
		}
		b.insts = kept
		ends[b] = have
	}
}

// hoistMoves moves what a branch's way does to registers in front of the branch, if the other way does not mind and the
// way has nothing else to do: then there is no jump back from it.
func (f *machineFunc) hoistMoves() bool {
	changed := false
	in := f.liveIn()
	for _, a := range f.blocks {
		if len(a.succs) != 2 {
			continue
		}
		for n, e := range a.succs {
			if len(e.preds) != 1 || len(e.insts) < 2 || len(e.insts) > 3 || e.insts[len(e.insts)-1].op != mJump || e.succs[0] == e {
				continue
			}
			other := a.succs[1-n]
			branch := a.insts[len(a.insts)-1]
			ok := other != e
			for _, i := range e.insts[:len(e.insts)-1] {
				if i.op != mMov && !(i.op == mMovImm && fits32(i.imm)) || in[other].has(i.dst) || i.dst == branch.src || i.dst == branch.src2 {
					ok = false
				}
			}
			if !ok {
				continue
			}
			last := len(a.insts) - 1
			moves := e.insts[:len(e.insts)-1]
			a.insts = append(append(append([]inst(nil), a.insts[:last]...), moves...), branch)
			e.insts = e.insts[len(e.insts)-1:]
			in[e] = in[e.succs[0]] // all that changes: a reads the same as before, and only a leads to e
			changed = true
			break
		}
	}
	return changed
}

// liveIn returns the registers that are live at the start of each block, when all are those of the machine.
func (f *machineFunc) liveIn() map[*block]bitset {
	l := f.live(int(firstVirtual))
	in := map[*block]bitset{}
	for _, b := range f.blocks {
		live := append(bitset(nil), l.out[b.index]...)
		for j := len(b.insts) - 1; j >= 0; j-- {
			b.insts[j].step(live)
		}
		in[b] = live
	}
	return in
}
