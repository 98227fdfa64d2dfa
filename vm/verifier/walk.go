package verifier

// walkAll walks the program, and then the global functions that it calls, each by itself.
func (v *verifier) walkAll() {
	v.explored = make([][]*stored, len(v.prog.insns))
	v.walkFunction(0)
	walked := map[int]bool{}
	for i := 1; i < len(v.subs); i++ {
		if s := v.subs[i]; s.global && s.called && !walked[i] {
			walked[i] = true
			v.walkFunction(i)
			i = 0
		}
	}
}

// walkFunction walks all paths from the start of a function.
func (v *verifier) walkFunction(sub int) {
	s := &state{branches: 1, first: v.subs[sub].start, last: -1, size: 2000}
	s.frames[0] = v.newFrame(sub, -1, 0)
	v.cur, v.waiting = s, nil
	v.insn, v.prev = v.subs[sub].start, -1
	v.visits = map[callchain]*visit{}
	for i := range v.explored {
		v.explored[i] = nil
	}
	v.live, v.memory = 0, 0
	v.enterArgs(sub, s.frames[0])
	for {
		v.walkPath()
		v.endPath()
		if len(v.waiting) == 0 {
			return
		}
		n := len(v.waiting) - 1
		p := v.waiting[n]
		v.waiting[n] = pending{}
		v.waiting = v.waiting[:n]
		v.cur, v.insn, v.prev = p.state, p.insn, p.prev
		v.memory -= p.size
	}
}

// enterArgs gives the first function its context. Global functions that are walked by themselves have theirs from their prototype.
func (v *verifier) enterArgs(sub int, f *frame) {
	if sub != 0 {
		v.enterGlobal(v.subs[sub], f)
		return
	}
	f.regs[1].setPointer(ptrCtx, 0)
}

func (v *verifier) newFrame(sub, callsite, number int) *frame {
	f := &frame{sub: sub, callsite: callsite, number: number}
	for i := range f.regs {
		f.regs[i].setNotInit()
	}
	f.regs[10].setPointer(ptrStack, 0)
	f.regs[10].frame = uint8(number)
	return f
}

// walkPath follows one path to its end: the program's exit, or a state that is covered by one walked before.
func (v *verifier) walkPath() {
	for {
		v.here = nil
		if v.insn < 0 || v.insn >= len(v.prog.insns) {
			v.reject("jump", "instruction %d is outside of the program", v.insn)
		}
		v.cost.Insns++
		v.counts[v.insn]++
		if v.cost.Insns > v.opt.Steps {
			v.rejectComplex("the program is too complex: the walk has more than %d instructions", v.opt.Steps)
		}
		v.cur.last = v.prev
		v.cur.insn = v.insn
		if v.opt.watch != nil {
			v.opt.watch.enter(v)
		}
		if v.marks[v.insn]&prunePoint != 0 && v.visited() {
			return
		}
		if v.marks[v.insn]&jumpPoint != 0 {
			v.remember(step{}, nil)
		}
		if v.opt.trace != nil {
			v.opt.trace(v)
		}
		v.liveness.begin()
		at, key := v.insn, v.liveness.key(v.cur, v.cur.top)
		end := v.step(v.prog.insns[v.insn])
		v.liveness.commit(at, key)
		v.prev = at
		if end {
			return
		}
	}
}

// endPath counts a path as walked. A state is safe when all paths from it are.
func (v *verifier) endPath() {
	for s := v.cur; s != nil; s = s.parent {
		s.branches--
		if s.branches > 0 {
			return
		}
		v.exitLoop(s)
	}
}

// push leaves a branch for later.
func (v *verifier) push(to, from int) *state {
	s := v.cur.clone()
	v.memory += s.size
	v.limitMemory()
	v.waiting = append(v.waiting, pending{s, to, from})
	if len(v.waiting) > 8192 {
		v.rejectComplex("the sequence of %d jumps is too complex", len(v.waiting))
	}
	if s.parent != nil {
		s.parent.branches++
	}
	return s
}

func (v *verifier) limitMemory() {
	if v.memory > v.opt.Memory {
		v.unmodelled("states of more than " + megabytes(v.opt.Memory))
	}
}

func (v *verifier) rejectComplex(format string, args ...any) {
	v.reject("complexity", format, args...)
}

// remember adds to the history of the state. An instruction has one entry.
func (v *verifier) remember(s step, linked *links) {
	if h := v.here; h != nil {
		h.access = h.access || s.access
		h.srcStack, h.dstStack = h.srcStack || s.srcStack, h.dstStack || s.dstStack
		if s.access {
			h.frame, h.spi = s.frame, s.spi
		}
		h.linked = linked
		return
	}
	s.insn, s.prev, s.linked = int32(v.insn), int32(v.prev), linked
	v.cur.history = append(v.cur.history, s)
	v.here = &v.cur.history[len(v.cur.history)-1]
}

// step walks one instruction, and reports whether the path ends with it. v.insn becomes the next instruction.
func (v *verifier) step(in insn) (end bool) {
	switch in.class() {
	case classALU, classALU64:
		v.alu(in)
	case classLDX:
		v.load(in)
	case classSTX:
		if in.mode() == modeATOMIC {
			v.atomic(in)
		} else {
			v.store(in)
		}
	case classST:
		v.storeImm(in)
	case classJMP, classJMP32:
		v.jumps++
		switch in.op() {
		case jCALL:
			return v.call(in)
		case jA:
			if in.Src() != 0 || in.Dst() != 0 || in.Op == classJMP|jA && in.Imm != 0 || in.Op == classJMP32|jA && in.Off != 0 {
				v.reject("opcode", "the jump uses reserved fields")
			}
			v.insn = in.target(v.insn)
			return false
		case jEXIT:
			return v.exit(in)
		}
		v.branch(in)
		return false
	case classLD:
		if in.Op == loadImm64 {
			v.loadImm64(in)
			v.insn += 2
			return false
		}
		v.loadPacket(in)
	}
	v.insn++
	return false
}
