package verifier

import (
	"fmt"

	"skep/vm/memory"
)

// A Follower follows a run through the walk: at each instruction, the run must be in a state of a step that the walk made there.
type Follower struct {
	Violation string // what was not so, and where
	Lost      bool   // the run has left what was walked: a legacy load of a packet has ended its function

	walked *Walked
	m      moment
	levels []level
	slot   int // of the instruction that has run
	depth  int
	frames [maxFrames]momentFrame
}

// A level is a function that was walked by itself.
type level struct {
	base  int // its frame
	cands []candidate
}

// A candidate is a step that the run may be at, and what nothing is said of there.
type candidate struct {
	node int
	free *freeSet
}

// Step is told of each instruction, before it runs.
func (f *Follower) Step(slot, depth int, r *[11]uint64) {
	if f.Violation != "" || f.Lost {
		return
	}
	f.frames[depth] = momentFrame{r10: r[10], regs: *r, stack: memory.At(r[10]-512, 512)}
	if f.levels == nil {
		f.levels = []level{{cands: []candidate{{node: f.walked.graph.roots[slot]}}}}
	} else {
		f.advance(slot, depth, r)
	}
	if !f.Lost && f.Violation == "" {
		f.settle(slot, depth)
	}
	f.slot, f.depth = slot, depth
}

// At is the last instruction.
func (f *Follower) At() int { return f.slot }

// advance finds the steps that follow on those of the instruction that has run.
func (f *Follower) advance(slot, depth int, r *[11]uint64) {
	in := f.walked.prog.insns[f.slot]
	lv := &f.levels[len(f.levels)-1]
	switch {
	case in.isSubcall() && f.walked.global[slot]:
		f.give(r[1:6]...)
		f.levels = append(f.levels, level{depth, []candidate{{node: f.walked.graph.roots[slot]}}})
		return
	case in.isExit() && f.depth == lv.base && len(f.levels) > 1:
		f.levels = f.levels[:len(f.levels)-1]
		lv = &f.levels[len(f.levels)-1]
		in = f.walked.prog.insns[f.walked.graph.nodes[lv.cands[0].node].at] // the call
	case in.class() == classLD && in.Op != loadImm64 && slot != f.slot+1:
		f.Lost = true
		return
	case in.isHelper() && depth > f.depth, in.isExit() && depth == f.depth:
		f.give(r[1:6]...) // a callback begins
	case in.isHelper():
		f.give(r[0])
	}
	var next []candidate
	for _, c := range lv.cands {
		if why := f.undecided(c, in, lv.base); why != "" {
			f.Violation = fmt.Sprintf("instruction %d: %s", f.slot, why)
			return
		}
		next = f.reach(next, c.node, f.transfer(c, in, lv.base, depth), slot, depth-lv.base, in.isExit())
	}
	lv.cands = next
}

// undecided tells of a number that was added to a pointer though a covering state says nothing of it: it should have been precise. Of kernels before
// 6.8, which follow numbers through the stack in part, that is not asked.
func (f *Follower) undecided(c candidate, in insn, base int) string {
	at := f.depth - base
	if c.free == nil || !f.walked.rules.stackPrecision || in.class() != classALU64 || !in.fromReg() || in.op() != opADD && in.op() != opSUB || at < 0 {
		return ""
	}
	regs := &f.walked.graph.nodes[c.node].state.frames[at].regs
	for _, p := range [2][2]uint8{{in.Dst(), in.Src()}, {in.Src(), in.Dst()}} {
		if regs[p[0]].isPointer() && regs[p[1]].kind == scalar && c.free.regs[at]>>p[1]&1 != 0 && c.free.regs[at]>>p[0]&1 == 0 {
			return fmt.Sprintf("r%d is added to a pointer, and was passed over when states were compared: %s", p[1], regs[p[1]].debug())
		}
	}
	return ""
}

func (f *Follower) give(addrs ...uint64) {
	for _, a := range addrs {
		if a != 0 && len(f.m.born) < 64 {
			f.m.born[a] = true
		}
	}
	f.m.many = f.m.many || len(f.m.born) >= 64
}

// reach adds the steps at the slot. A callback that has ended goes back to its call, which the run does not show.
func (f *Follower) reach(to []candidate, node int, free *freeSet, slot, top int, ended bool) []candidate {
	for _, id := range f.walked.graph.nodes[node].next {
		n := f.walked.graph.nodes[id]
		again := n.at == f.walked.graph.nodes[node].at && f.walked.prog.insns[n.at].isALU() // the other sign of a number, walked by itself
		switch {
		case again, ended && f.walked.prog.insns[n.at].isHelper() && n.at != slot:
			to = f.reach(to, id, free, slot, top, false)
			if n.cover != 0 {
				to = f.reach(to, n.cover, free.with(n.free), slot, top, false)
			}
		case n.at == slot && n.state.top == top:
			to = append(to, candidate{id, free})
		}
	}
	return to
}

// settle keeps the candidates that the run is in, and goes on where they are covered.
func (f *Follower) settle(slot, depth int) {
	lv := &f.levels[len(f.levels)-1]
	f.m.frames = f.frames[lv.base : depth+1]
	why := "the walk never came here"
	var all []string
	var kept []candidate
	for _, c := range lv.cands {
		for {
			n := f.walked.graph.nodes[c.node]
			f.m.free = c.free
			if out := f.m.outside(n.state); out != "" {
				why = out
				all = append(all, fmt.Sprint(c.node, ": ", out, " free ", c.free != nil, "; "))
				break
			}
			if n.cover == 0 {
				kept = append(kept, c)
				break
			}
			c = candidate{n.cover, c.free.with(n.free)}
		}
	}
	n := lv.cands
	_ = n
	if lv.cands = kept; len(kept) == 0 {
		f.Violation = fmt.Sprintf("before instruction %d at depth %d: %s", slot, depth, why+fmt.Sprint(len(lv.cands), all))
	}
}

// with is the union. A free set does not change once it is made; nil is the empty one.
func (s *freeSet) with(o *freeSet) *freeSet {
	if s == nil {
		return o
	}
	u := *s
	for i := range u.regs {
		u.regs[i] |= o.regs[i]
		for j := range u.stack[i] {
			u.stack[i][j] |= o.stack[i][j]
		}
	}
	return &u
}

// transfer is what is free after the instruction, with the frames of the level's base on. What is computed from what is free is free.
func (f *Follower) transfer(c candidate, in insn, base, depth int) *freeSet {
	if c.free == nil {
		return nil
	}
	u := *c.free
	at := f.depth - base
	if at < 0 {
		at = 0
	}
	regs := &u.regs[at]
	has := func(r uint8) bool { return *regs>>r&1 != 0 }
	set := func(r uint8, yes bool) {
		*regs &^= 1 << r
		if yes {
			*regs |= 1 << r
		}
	}
	dst, src := in.Dst(), in.Src()
	switch in.class() {
	case classALU, classALU64:
		switch reg := in.fromReg() && in.op() != opEND && in.op() != opNEG; {
		case in.op() == opMOV && reg:
			set(dst, has(src))
		case in.op() == opMOV:
			set(dst, false)
		case reg:
			set(dst, has(dst) || has(src))
		}
	case classLD:
		if in.Op == loadImm64 {
			set(dst, false)
		} else {
			*regs &^= 0x3f
		}
	case classLDX:
		set(dst, f.stackFree(&u, src, in, base, nil) && f.remembered(f.walked.graph.nodes[c.node].state, src, in, base))
	case classST:
		no := false
		f.stackFree(&u, dst, in, base, &no)
	case classSTX:
		yes := has(src)
		if in.isAtomic() {
			yes = f.stackFree(&u, dst, in, base, nil) || yes
			set(src, yes)
			set(0, yes || has(0))
		}
		f.stackFree(&u, dst, in, base, &yes)
	case classJMP, classJMP32:
		switch {
		case in.isHelper() && depth > f.depth:
			u.enter(at+1, *regs)
		case in.isSubcall() && depth > f.depth:
			u.enter(at+1, *regs)
			*regs &^= 0x3f
		case in.isCall():
			*regs &^= 0x3f
		case in.isExit() && at > 0:
			r0 := *regs & 1
			u.regs[at], u.stack[at] = 0, [64]uint8{}
			u.regs[at-1] = u.regs[at-1]&^0x3f | r0
			if depth == f.depth {
				u.enter(at, 0x3f)
			}
		case !in.isExit() && in.op() != jA && !in.isMayGoto() && (has(dst) || in.fromReg() && has(src)):
			// What is learned by the comparison is learned from what is free.
			node, after := f.walked.graph.nodes[c.node], (*state)(nil)
			if len(node.next) > 0 {
				after = f.walked.graph.nodes[node.next[0]].state
			}
			u.freeEqual(node.state, after, at, int(dst))
			if in.fromReg() {
				u.freeEqual(node.state, after, at, int(src))
			}
		}
	}
	return &u
}

// enter makes the arguments of a function free as they were.
func (s *freeSet) enter(top int, args uint16) {
	s.regs[top], s.stack[top] = args&0x3e, [64]uint8{}
	if args>>3&1 != 0 {
		s.regs[top] |= 1<<2 | 1<<4 // what bpf_loop and its like give on
	}
}

// freeEqual makes a register free, and all that learns from it: of many numbers of an id, some lose it after a comparison, and learn nothing.
func (s *freeSet) freeEqual(st, after *state, frame, r int) {
	if at := &st.frames[frame].regs[r]; at.kind != scalar {
		return
	}
	s.regs[frame] |= 1 << r
	id := st.frames[frame].regs[r].id &^ idDelta
	if id == 0 {
		return
	}
	for i := 0; i <= st.top; i++ {
		f, then := st.frames[i], st.frames[i]
		if after != nil {
			then = after.frames[i]
		}
		for j := range f.regs {
			if o := &f.regs[j]; o.kind == scalar && o.id&^idDelta == id && then.regs[j].id != 0 {
				s.regs[i] |= 1 << j
			}
		}
		for j := range f.stack {
			if o := &f.stack[j]; o.spilledScalar() && o.reg.id&^idDelta == id && (j >= len(then.stack) || then.stack[j].reg.id != 0) {
				s.stack[i][j] = 0xff
			}
		}
	}
}

// remembered reports whether a state knows something of what a load reads of the stack: of other bytes it knows nothing, whatever they are.
func (f *Follower) remembered(st *state, r uint8, in insn, base int) bool {
	addr := f.frames[f.depth].regs[r] + uint64(int64(in.Off))
	for i := base; i <= f.depth; i++ {
		at := int(int64(addr - (f.frames[i].r10 - 512)))
		if at < 0 || at >= 512 || i-base > st.top {
			continue
		}
		spi := 63 - at/8
		if spi >= len(st.frames[i-base].stack) {
			return false
		}
		s := &st.frames[i-base].stack[spi]
		if spill := s.spillSize(); spill > 0 && !f.walked.rules.narrowSpills && (in.size() != spill || at%8 != 0) {
			return false // only whole
		}
		for b := range in.size() {
			if fl := s.fill[max(7-at%8-b, 0)]; fl != fillSpill && fl != fillZero {
				return false // all that is read is forgotten with it
			}
		}
		return true
	}
	return true
}

// spillSize is how many bytes of a stored number the slot has.
func (s *slot) spillSize() (n int) {
	for n < 8 && s.fill[7-n] == fillSpill {
		n++
	}
	return n
}

// stackFree reports whether any byte that an access touches is free, if it is of the stack, and sets them.
func (f *Follower) stackFree(s *freeSet, r uint8, in insn, base int, set *bool) (any bool) {
	addr := f.frames[f.depth].regs[r] + uint64(int64(in.Off))
	for i := base; i <= f.depth; i++ {
		top := f.frames[i].r10
		if addr < top-512 || addr >= top {
			continue
		}
		for b := range in.size() {
			at := int(addr-(top-512)) + b
			spi, bit := 63-at/8, uint8(1)<<(at%8)
			if spi < 0 {
				break
			}
			word := &s.stack[i-base][spi]
			any = any || *word&bit != 0
			if set != nil {
				*word &^= bit
				if *set {
					*word |= bit
				}
			}
		}
	}
	return any
}
