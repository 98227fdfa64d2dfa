package ir

import "math/bits"

func trailing(x uint64) int { return bits.TrailingZeros64(x) }

func popcount(x uint64) int { return bits.OnesCount64(x) }

// liveness holds the registers that are live at the end of each block, by its index.
type liveness struct {
	out []bitset
}

// step takes live from after the instruction to before it.
func (i *inst) step(live bitset) {
	i.defs(func(r reg) { live.clear(r) })
	i.uses(func(r reg) { live.set(r) })
}

// defs visits each register that the instruction changes, those that a call destroys included.
func (i *inst) defs(visit func(reg)) {
	switch i.op {
	case mCall, mCallFunc:
		for r := reg(0); r <= 5; r++ {
			visit(r)
		}
	case mCmpXchg:
		visit(0)
	}
	i.operands(func(r *reg, how role) {
		if how&def != 0 {
			visit(*r)
		}
	})
}

// uses visits each register that the instruction reads, except the frame pointer.
func (i *inst) uses(visit func(reg)) {
	switch i.op {
	case mCall, mCallFunc:
		for r := reg(1); r <= reg(i.nargs); r++ {
			visit(r)
		}
	case mCmpXchg, mExit:
		visit(0)
	}
	i.operands(func(r *reg, how role) {
		if how&use != 0 && *r != frameReg {
			visit(*r)
		}
	})
}

// live looks at registers below n: the fewer there are, the less it costs.
func (f *machineFunc) live(n int) *liveness {
	f.lives++
	words := (n + 63) / 64
	all := make(bitset, (2*len(f.blocks)+1)*words)
	set := func(i int) bitset { return all[i*words : (i+1)*words : (i+1)*words] }
	l := &liveness{out: make([]bitset, len(f.blocks))}
	in := make([]bitset, len(f.blocks))
	for i, b := range f.blocks {
		b.index = i
		l.out[i], in[i] = set(2*i), set(2*i+1)
	}
	live := set(2 * len(f.blocks))
	for first, changed := true, true; changed; first = false {
		changed = false
		for i := len(f.blocks) - 1; i >= 0; i-- {
			b := f.blocks[i]
			grown := first
			for _, s := range b.succs {
				grown = l.out[i].or(in[s.index]) || grown
			}
			if !grown {
				continue
			}
			copy(live, l.out[i])
			for j := len(b.insts) - 1; j >= 0; j-- {
				b.insts[j].step(live)
			}
			changed = in[i].or(live) || changed
		}
	}
	return l
}

// dropDead removes instructions whose result nobody reads.
func (f *machineFunc) dropDead() {
	for changed := true; changed; {
		changed = false
		l := f.live(int(f.next))
		for _, b := range f.blocks {
			live := l.out[b.index]
			kept := len(b.insts)
			for j := len(b.insts) - 1; j >= 0; j-- {
				i := &b.insts[j]
				if !i.effects() && !live.has(i.dst) {
					changed = true
					continue
				}
				i.step(live)
				kept--
				b.insts[kept] = *i
			}
			b.insts = b.insts[kept:]
		}
	}
}
