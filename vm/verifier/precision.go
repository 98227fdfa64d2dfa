package verifier

import "slices"

// Which numbers matter: a number must be known precisely, for another state to be covered, only where something was decided by it. When
// that happens the path is walked backwards to all that the number was computed from.

// tracker is what is still looked for on the way back: registers and slots of frames.
type tracker struct {
	top   int
	regs  [maxFrames]uint16
	slots [maxFrames]uint64
}

func (t *tracker) empty() bool {
	for i := 0; i <= t.top; i++ {
		if t.regs[i] != 0 || t.slots[i] != 0 {
			return false
		}
	}
	return true
}

func (t *tracker) reset(top int) {
	t.top = top
	t.regs, t.slots = [maxFrames]uint16{}, [maxFrames]uint64{}
}

func (t *tracker) hasReg(r uint8) bool { return t.regs[t.top]>>r&1 != 0 }
func (t *tracker) setReg(r uint8)      { t.regs[t.top] |= 1 << r }
func (t *tracker) clearReg(r uint8)    { t.regs[t.top] &^= 1 << r }

// markPrecise says that something is decided by a register's number.
func (v *verifier) markPrecise(r int) {
	t := &v.tracking
	t.reset(v.cur.top)
	if v.regs()[r].kind != scalar {
		v.rejectReg(r, "precision", "r%d must be a number here, and is %s", r, v.regs()[r].describe())
	}
	t.setReg(uint8(r))
	if !v.rules.lazyPrecision {
		v.cur.frame().regs[r].precise = true
	}
	v.trackBack(v.cur, nil)
}

// markSlotPrecise says so of a spilled number.
func (v *verifier) markSlotPrecise(frame, spi int) {
	t := &v.tracking
	t.reset(v.cur.top)
	t.slots[frame] |= 1 << spi
	v.trackBack(v.cur, nil)
}

// propagatePrecision asks of cur's numbers what was asked of old's.
func (v *verifier) propagatePrecision(old, cur *state, changed *bool) {
	t := &v.tracking
	t.reset(old.top)
	for fr := old.top; fr >= 0; fr-- {
		f := old.frames[fr]
		for i := range f.regs[:10] {
			if r := &f.regs[i]; r.kind == scalar && r.precise && v.wasRead(r) {
				t.regs[fr] |= 1 << i
			}
		}
		for i := range f.stack {
			if s := &f.stack[i]; s.spilledScalar() && s.reg.precise && v.wasRead(&s.reg) {
				t.slots[fr] |= 1 << i
			}
		}
	}
	v.trackBack(cur, changed)
}

// trackBack walks the path backwards from s, until all that is looked for has been found or was precise already.
func (v *verifier) trackBack(s *state, changed *bool) {
	t := &v.tracking
	if t.empty() {
		return
	}
	start := s
	first, last, next := s.first, s.insn, -1
	skip := true
	for {
		history := len(s.history)
		if v.rules.preciseIDs && !v.rules.deltaLinks {
			v.trackIDs(s)
		}
		if last < 0 {
			v.trackToEntry(s)
			return
		}
		for i := last; ; {
			if skip {
				skip = false
			} else if !v.trackInsn(i, next, stepAt(s, history, i)) {
				v.markAllPrecise(start)
				return
			}
			if t.empty() {
				return
			}
			next = i
			i = previous(s, i, &history)
			if i < 0 {
				break
			}
		}
		s = s.parent
		if s == nil {
			break
		}
		v.trackInto(s, changed)
		if t.empty() {
			return
		}
		next = first
		last, first = s.last, s.first
	}
	v.markAllPrecise(start)
}

// trackInto marks in a stored state what is looked for, and stops looking for what was marked already.
func (v *verifier) trackInto(s *state, changed *bool) {
	t := &v.tracking
	for fr := t.top; fr >= 0; fr-- {
		f := s.frames[fr]
		for i := range f.regs {
			if t.regs[fr]>>i&1 == 0 {
				continue
			}
			r := &f.regs[i]
			if r.kind != scalar || r.precise {
				t.regs[fr] &^= 1 << i
				continue
			}
			r.precise = true
			if changed != nil {
				*changed = true
			}
		}
		for i := range 64 {
			if t.slots[fr]>>i&1 == 0 {
				continue
			}
			if i >= len(f.stack) || !f.stack[i].spilledScalar() || f.stack[i].reg.precise {
				t.slots[fr] &^= 1 << i
				continue
			}
			f.stack[i].reg.precise = true
			if changed != nil {
				*changed = true
			}
		}
	}
}

// trackToEntry ends the way at the start of a global function: its arguments are what is looked for.
func (v *verifier) trackToEntry(s *state) {
	for i := 1; i <= 5; i++ {
		if r := &s.frames[0].regs[i]; v.tracking.regs[0]>>i&1 != 0 && r.kind == scalar {
			r.precise = true
		}
	}
}

// trackIDs makes all numbers of an id precise together, as kernels from 6.5 to 6.10 do.
func (v *verifier) trackIDs(s *state) {
	t := &v.tracking
	var ids []uint32
	for fr := t.top; fr >= 0; fr-- {
		f := s.frames[fr]
		for i := range f.regs {
			if r := &f.regs[i]; t.regs[fr]>>i&1 != 0 && r.kind == scalar && r.id != 0 {
				ids = append(ids, r.id)
			}
		}
		for i := range f.stack {
			if t.slots[fr]>>i&1 != 0 && f.stack[i].spilledScalar() && f.stack[i].reg.id != 0 {
				ids = append(ids, f.stack[i].reg.id)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	for fr := s.top; fr >= 0; fr-- {
		f := s.frames[fr]
		for i := range f.regs[:10] {
			if r := &f.regs[i]; r.kind == scalar && slices.Contains(ids, r.id) {
				t.regs[fr] |= 1 << i
			}
		}
		for i := range f.stack {
			if f.stack[i].spilledScalar() && slices.Contains(ids, f.stack[i].reg.id) {
				t.slots[fr] |= 1 << i
			}
		}
	}
}

func (v *verifier) markAllPrecise(s *state) {
	for st := s.parent; st != nil; st = st.parent {
		st.each(func(r *reg) {
			if r.kind == scalar {
				r.precise = true
			}
		})
	}
	if !v.rules.lazyPrecision {
		s.each(func(r *reg) {
			if r.kind == scalar {
				r.precise = true
			}
		})
	}
	v.tracking.reset(0)
}

func stepAt(s *state, history, i int) *step {
	if history > 0 && int(s.history[history-1].insn) == i {
		return &s.history[history-1]
	}
	return nil
}

// previous is the instruction before i on the path of the state, -1 at its beginning.
func previous(s *state, i int, history *int) int {
	n := *history
	if i == s.first && (n == 0 || n == 1 && int(s.history[0].insn) == i) {
		return -1
	}
	if n > 0 && int(s.history[n-1].insn) == i {
		*history--
		return int(s.history[n-1].prev)
	}
	return i - 1
}

func (t *tracker) enter() bool {
	if t.top == maxFrames-1 {
		return false
	}
	t.top++
	return true
}

func (t *tracker) leave() bool {
	if t.top == 0 {
		return false
	}
	t.top--
	return true
}

func (t *tracker) syncLinked(h *step) {
	if h == nil || h.linked == nil {
		return
	}
	some := false
	for _, l := range h.linked.of {
		if l.isReg && t.regs[l.frame]>>l.at&1 != 0 || !l.isReg && t.slots[l.frame]>>l.at&1 != 0 {
			some = true
		}
	}
	if !some {
		return
	}
	for _, l := range h.linked.of {
		if l.isReg {
			t.regs[l.frame] |= 1 << l.at
		} else {
			t.slots[l.frame] |= 1 << l.at
		}
	}
}
