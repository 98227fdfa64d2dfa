package verifier

// call walks a call. A path may end with it: of a tail call in a function.
func (v *verifier) call(in insn) (end bool) {
	if in.Off != 0 || in.Dst() != 0 || in.Src() > pseudoKfunc {
		v.reject("opcode", "the call uses reserved fields")
	}
	if in.isKfunc() && (!v.cur.lock.held || v.worksLocked(v.prog.kfuncs[v.insn])) {
		return v.callKfunc()
	}
	if v.cur.lock.held && !(in.isHelper() && in.Imm == helperSpinUnlock) && !(in.isSubcall() && v.rules.kernel >= linux(6, 9)) {
		v.reject("lock", "nothing may be called while a lock is held, except bpf_spin_unlock")
	}
	if in.isSubcall() {
		v.callSubprogram(in)
		return false
	}
	return v.callHelper(in)
}

func (v *verifier) callSubprogram(in insn) {
	at := v.insn
	sub := v.subprogramAt(at + 1 + int(in.Imm))
	s := v.subs[sub]
	caller := v.cur.frame()
	if s.global {
		if v.cur.lock.held {
			v.reject("lock", "global functions may not be called while a lock is held")
		}
		v.globalInRegion()
		v.checkGlobalArgs(s)
		s.called = true
		if s.throws && v.rules.globalThrows {
			v.throwsGlobally(s)
		}
		if s.changesData && v.rules.globalPackets {
			v.forgetPackets()
		}
		v.clearCallerSaved(caller)
		if !s.void() {
			caller.regs[0].setUnknown()
		}
		v.insn = at + 1
		return
	}
	callee := v.enterFrame(v.cur, sub, at)
	for r := 1; r <= 5; r++ {
		callee.regs[r] = caller.regs[r]
	}
	v.clearCallerSaved(caller)
	v.insn = s.start
}

// globalInRegion asks whether global functions may be called where the program has entered something that it must leave.
func (v *verifier) globalInRegion() {
	g := &v.cur.regions
	switch {
	case g.rcu == 0 && g.preempt == 0 && len(g.irqs) == 0:
	case v.sleeps(), v.rules.kernel < Linux6_12:
		v.unmodelled("global functions in sections of RCU, or where preemption is disabled")
	case v.rules.kernel < linux(6, 15) && g.preempt > 0:
		v.reject("preemption", "global functions may not be called while preemption is disabled")
	}
}

// enterFrame puts the frame of a function on a state.
func (v *verifier) enterFrame(s *state, sub, callsite int) *frame {
	if s.top+1 >= maxFrames {
		v.reject("call depth", "the calls are %d deep, at most %d are allowed", s.top+2, maxFrames)
	}
	f := v.newFrame(sub, callsite, s.top+1)
	s.top++
	s.frames[s.top] = f
	return f
}

func (v *verifier) clearCallerSaved(f *frame) {
	for r := 0; r <= 5; r++ {
		f.regs[r].setNotInit()
		f.regs[r].life.marks |= liveWritten
	}
}

// exit walks the end of a function.
func (v *verifier) exit(in insn) (end bool) {
	if in.Src() != 0 || in.Dst() != 0 || in.Imm != 0 {
		v.reject("opcode", "the exit uses reserved fields")
	}
	top := v.cur.top
	if v.cur.lock.held && (top == 0 || v.rules.kernel < linux(6, 9) && !v.inTreeCallback()) {
		v.reject("lock", "the program ends while a lock is held")
	}
	if top == 0 {
		if len(v.cur.refs) > 0 {
			v.rejectLeak()
		}
		v.leftRegions("the program's end")
		v.checkReturn()
		return true
	}
	v.leave()
	return false
}

func (v *verifier) rejectLeak() {
	r := v.cur.refs[0]
	v.reject("reference", "what was acquired at instruction %d is not released", r.insn)
}

// leave returns from a function to its caller.
func (v *verifier) leave() {
	s := v.cur
	callee, caller := s.frame(), s.frames[s.top-1]
	r0 := &callee.regs[0]
	if callee.callback {
		for _, r := range s.refs {
			if r.frame == callee.number {
				v.rejectLeak()
			}
		}
	}
	if r0.kind == ptrStack {
		v.rejectReg(0, "stack", "a function cannot return a pointer to its stack")
	}
	next := callee.callsite + 1
	if callee.callback {
		if r0.kind != scalar {
			v.rejectReg(0, "return value", "a callback must return a number")
		}
		v.markRegRead(r0)
		v.markPrecise(0)
		v.returnWithin(0, r0, int64(callee.retLo), int64(callee.retHi), "a callback")
		if v.rules.callbackLoops {
			next = callee.callsite
		} else {
			next = callee.callsite + 1
		}
	} else {
		life := caller.regs[0].life
		caller.regs[0] = *r0
		if v.rules.staticRegs {
			caller.regs[0].life = life
		}
	}
	s.frames[s.top] = nil
	s.top--
	if callee.callback && v.rules.callbackLoops {
		if old := v.previousEntry(s, next); old != nil {
			v.widen(old, s)
		}
	}
	v.insn = next
}

// previousEntry is the state of the round before, of a loop that the path is in.
func (v *verifier) previousEntry(cur *state, at int) *state {
	for _, s := range v.explored[v.key(at)] {
		if s.insn == at && s.branches > 0 && s.callsAlike(cur) && s.dfs < cur.dfs {
			return s.state
		}
	}
	return nil
}

// widen forgets numbers that change from round to round and that nothing depends on, so that the rounds become equal.
func (v *verifier) widen(old, cur *state) {
	m := &idMap{next: v.ids}
	one := func(a, b *reg) {
		if a.kind != scalar || b.kind != scalar || a.precise || b.precise {
			return
		}
		if a.exact() == b.exact() && m.match(a.id, b.id) && m.match(a.ref, b.ref) {
			return
		}
		life := b.life
		b.setUnknown()
		b.life = life
	}
	for fr := old.top; fr >= 0; fr-- {
		a, b := old.frames[fr], cur.frames[fr]
		for i := range a.regs[:10] {
			one(&a.regs[i], &b.regs[i])
		}
		for i := range a.stack {
			if i < len(b.stack) && a.stack[i].spilled() && b.stack[i].spilled() {
				one(&a.stack[i].reg, &b.stack[i].reg)
			}
		}
	}
}

// mayGoto walks the jump that the kernel takes when a loop has had enough rounds.
func (v *verifier) mayGoto(in insn) {
	if in.Src() != 0 || in.Dst() != 0 || in.Imm != 0 {
		v.reject("opcode", "the jump uses reserved fields")
	}
	at := v.insn
	var old *state
	if v.cur.parent != nil {
		old = v.previousEntry(v.cur.parent, at)
	}
	next := v.push(at+1, at)
	next.goes++
	if old != nil {
		v.widen(old, next)
	}
	v.insn = at + 1 + int(in.Off)
}

// forgetPackets makes pointers into the packet unusable: a helper may have moved it.
func (v *verifier) forgetPackets() {
	v.cur.each(func(r *reg) {
		if r.isPacketAny() || r.flags&packetSlice != 0 {
			life := r.life
			r.setUnknown()
			r.life = life
		}
	})
}
