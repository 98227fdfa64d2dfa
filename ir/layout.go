package ir

import (
	"math"
	"slices"
	"sort"

	"github.com/cilium/ebpf/asm"
)

// Order of the blocks and the jumps between them.

// layout drops empty blocks and puts the rest in an order that needs few jumps, and few of them where the program
// usually goes.
func (f *machineFunc) layout() {
	f.threadJumps()
	f.reachable()
	for f.mergeTails() || f.trackValues() || f.hoistMoves() {
		f.threadJumps()
		f.reachable()
	}
	f.dropIdleSpills()
	f.blocks = f.chain()
}

// threadJumps leads edges to blocks that only jump on past them.
func (f *machineFunc) threadJumps() {
	final := func(b *block) *block {
		for range f.blocks { // not for ever: there may be an empty loop
			if len(b.insts) != 1 || b.insts[0].op != mJump || b.succs[0] == b {
				break
			}
			b = b.succs[0]
		}
		return b
	}
	for _, b := range f.blocks {
		for i, s := range b.succs {
			b.succs[i] = final(s)
		}
		if len(b.succs) == 2 && b.succs[0] == b.succs[1] {
			b.insts[len(b.insts)-1] = inst{op: mJump, src2: noReg, span: b.insts[len(b.insts)-1].span}
			b.succs = b.succs[:1]
		}
	}
}

// reachable drops the blocks that nothing leads to, joins those that belong together, and orders the rest so that all
// ways lead down, but for those of loops.
func (f *machineFunc) reachable() {
	f.postorder()
	for _, b := range f.blocks {
		for len(b.succs) == 1 && len(b.succs[0].preds) == 1 && b.succs[0] != b && b.succs[0] != f.blocks[0] {
			s := b.succs[0]
			b.insts = append(b.insts[:len(b.insts)-1:len(b.insts)-1], s.insts...)
			b.succs, b.likely, s.succs, s.insts = s.succs, s.likely, nil, nil
			for _, t := range b.succs {
				for i, p := range t.preds {
					if p == s {
						t.preds[i] = b
					}
				}
			}
		}
	}
	f.postorder()
}

func (f *machineFunc) postorder() {
	f.visit++
	post := make([]*block, 0, len(f.blocks))
	var walk func(b *block)
	walk = func(b *block) {
		b.visited = f.visit
		b.preds = b.preds[:0]
		for i := len(b.succs) - 1; i >= 0; i-- {
			if b.succs[i].visited != f.visit {
				walk(b.succs[i])
			}
		}
		post = append(post, b)
	}
	walk(f.blocks[0])
	slices.Reverse(post)
	f.blocks = post
	for _, b := range f.blocks {
		for _, s := range b.succs {
			s.preds = append(s.preds, b)
		}
	}
}

// chain decides which block follows which, and returns the final order. A block that ends with a jump needs no jump only
// if its successor follows; one that branches is content with either. So the former choose first, the busiest of them
// before the others.
func (f *machineFunc) chain() []*block {
	index := map[*block]int{}
	for i, b := range f.blocks {
		index[b] = i
	}
	n := len(f.blocks)
	next, prev := make([]int, n), make([]int, n)
	for i := range n {
		next[i], prev[i] = -1, -1
	}
	first := func(i int) int {
		for prev[i] >= 0 {
			i = prev[i]
		}
		return i
	}
	follow := func(a, b int) bool {
		if b == 0 || next[a] >= 0 || prev[b] >= 0 || first(a) == b {
			return false
		}
		next[a], prev[b] = b, a
		return true
	}
	busy := f.frequencies(index)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return busy[order[i]] > busy[order[j]] })
	for _, i := range order {
		// A loop is closed by a jump: verifiers (5.10) take no way back from an instruction that is none.
		b := f.blocks[i]
		if len(b.succs) == 1 && index[b.succs[0]] > i {
			follow(i, index[b.succs[0]])
		}
		if len(b.succs) == 2 && inverted(b.insts[len(b.insts)-1].cond) == asm.InvalidJumpOp {
			follow(i, index[b.succs[1]])
		}
	}
	for _, i := range order {
		if b := f.blocks[i]; len(b.succs) == 2 {
			one, two := b.succs[0], b.succs[1]
			if b.likely < 0 {
				one, two = two, one
			}
			if next[i] < 0 && !follow(i, index[one]) {
				follow(i, index[two])
			}
		}
	}
	var out []*block
	for i, b := range f.blocks {
		if prev[i] >= 0 {
			continue
		}
		out = append(out, b)
		for j := next[i]; j >= 0; j = next[j] {
			out = append(out, f.blocks[j])
		}
	}
	return out
}

// frequencies estimates how often each block runs for one run of the function.
func (f *machineFunc) frequencies(index map[*block]int) []float64 {
	busy := make([]float64, len(f.blocks))
	busy[0] = 1
	for i, b := range f.blocks {
		for j, s := range b.succs {
			share := 1.0
			if len(b.succs) == 2 {
				share = 0.5
				if b.likely != 0 {
					share = 0.02
				}
				if b.likely > 0 && j == 0 || b.likely < 0 && j == 1 {
					share = 0.98
				}
			}
			if to := index[s]; to > i {
				busy[to] += busy[i] * share
			}
		}
	}
	for i, b := range f.blocks {
		busy[i] *= math.Pow(8, float64(min(b.loops, 8)))
	}
	return busy
}

// mergeTails lets a block that is the same as the end of another be that end.
func (f *machineFunc) mergeTails() bool {
	changed := false
	for _, e := range f.blocks {
		if len(e.succs) > 1 || len(e.insts) == 1 && !e.freeTail() {
			continue
		}
		for _, b := range f.blocks {
			if b == e || len(b.insts) < len(e.insts) || len(b.succs) != len(e.succs) || len(b.succs) > 0 && b.succs[0] != e.succs[0] {
				continue
			}
			cut := len(b.insts) - len(e.insts)
			if cut == 0 && (b == f.blocks[0] || len(b.insts) == 1) || !sameInsts(b.insts[cut:], e.insts) {
				continue
			}
			b.insts = append(b.insts[:cut:cut], inst{op: mJump, src2: noReg, span: e.insts[0].span})
			b.succs = []*block{e}
			e.preds = append(e.preds, b)
			changed = true
			if len(e.insts) == 1 {
				break
			}
		}
	}
	return changed
}

// freeTail reports whether e is a lone exit that no block falls into: one block may end there instead of with its own.
func (e *block) freeTail() bool {
	if e.insts[0].op != mExit {
		return false
	}
	for _, p := range e.preds {
		if len(p.succs) == 1 {
			return false
		}
	}
	return true
}

func sameInsts(a, b []inst) bool {
	for i := range a {
		x, y := a[i], b[i]
		x.span = y.span
		if x != y {
			return false
		}
	}
	return true
}
