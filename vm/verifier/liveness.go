package verifier

// Which registers and slots were read after a state was stored. Kernels before 6.15 (registers) and 6.18 (stack) note it along the path:
// each register knows its place in the parent state, and a read goes up until the register was written.

// liveness says what happened to a register since the state was stored.
type liveness uint8

const (
	liveRead liveness = 1 << iota
	liveWritten
)

// life is the marks of a register, and the register that it was in the parent state.
type life struct {
	marks  liveness
	parent *reg
}

// pathwise reports whether marks along the path are needed.
func (k *rules) pathwise() bool { return !k.staticStack || !k.staticRegs }

func (v *verifier) markRegRead(r *reg) {
	if !v.rules.staticRegs {
		markRead(r)
	}
}

func (v *verifier) markSlotRead(frame, spi int, r *reg) {
	v.liveness.read(frame, 1<<spi)
	if !v.rules.staticStack {
		markRead(r)
	}
}

func markRead(r *reg) {
	for p := r.life.parent; p != nil; r, p = p, p.life.parent {
		if r.life.marks&liveWritten != 0 || p.life.marks&liveRead != 0 {
			return
		}
		p.life.marks |= liveRead
	}
}

// wasRead reports whether the register of a stored state has been read since.
func (v *verifier) wasRead(r *reg) bool {
	return v.rules.staticStack || r.life.marks&liveRead != 0
}

// linkLives makes the registers of the running state children of those stored.
func (v *verifier) linkLives(cur, s *state) {
	if !v.rules.pathwise() {
		return
	}
	for i := 0; i <= cur.top; i++ {
		a, b := cur.frames[i], s.frames[i]
		for j := range a.regs {
			a.regs[j].life = life{parent: &b.regs[j]}
		}
		for j := range a.stack {
			a.stack[j].reg.life = life{parent: &b.stack[j].reg}
		}
	}
	for i := 0; i <= s.top; i++ {
		f := s.frames[i]
		for j := range f.regs {
			f.regs[j].life.marks &^= liveRead
		}
		for j := range f.stack {
			f.stack[j].reg.life.marks &^= liveRead
		}
	}
}

// propagateLiveness makes what was read after old was stored read of cur: the walk from there is the same.
func (v *verifier) propagateLiveness(old, cur *state) {
	if !v.rules.pathwise() {
		return
	}
	for i := 0; i <= old.top; i++ {
		a, b := old.frames[i], cur.frames[i]
		first := 6
		if i == old.top {
			first = 0
		}
		for j := first; j < 10; j++ {
			if a.regs[j].life.marks&liveRead != 0 {
				markRead(&b.regs[j])
			}
		}
		for j := range a.stack {
			if j < len(b.stack) && a.stack[j].reg.life.marks&liveRead != 0 {
				markRead(&b.stack[j].reg)
			}
		}
	}
}

// cleanStates forgets in stored states, once all paths from them are walked, what nothing has read.
func (v *verifier) cleanStates(key, at int) {
	for _, s := range v.explored[key] {
		if s.branches > 0 || s.insn != at || s.cleaned || !s.callsAlike(v.cur) || v.rules.staticStack && v.incomplete(s.state) {
			continue
		}
		v.clean(s.state)
	}
}

func (v *verifier) clean(s *state) {
	s.cleaned = true
	if v.rules.staticStack {
		v.liveness.prepare(s)
	}
	for i := 0; i <= s.top; i++ {
		f := s.frames[i]
		live := uint16(0)
		if v.rules.staticRegs {
			live = v.liveRegs[s.insnOf(i)]
		} else {
			for j := range f.regs {
				if f.regs[j].life.marks&liveRead != 0 {
					live |= 1 << j
				}
			}
		}
		for j := range f.regs[:10] {
			if live>>j&1 == 0 {
				f.regs[j].setNotInit()
			}
		}
		for j := range f.stack {
			alive := f.stack[j].reg.life.marks&liveRead != 0
			if v.rules.staticStack {
				alive = v.liveness.alive(s, i, j)
			}
			if !alive {
				f.stack[j].fill = [8]fill{}
				f.stack[j].reg.setNotInit()
			}
		}
	}
}
