package verifier

// States inside of a loop are not yet known to be safe when the loop comes back to them. The ends of rounds that were found equal to
// such a state are kept, and when the loop has been walked as a whole, what became precise in its states is asked of these ends too.

// callchain is a loop as it is entered: its number, and the calls that lead into its function.
type callchain struct {
	loop  int
	calls [maxFrames]int
}

// A visit is one way through a loop, from the state that entered it.
type visit struct {
	entry     *state
	backedges []*state
}

// callchainOf is the outermost loop that the state is in.
func (v *verifier) callchainOf(s *state) (c callchain, ok bool) {
	for i := 0; i <= s.top; i++ {
		at := s.insnOf(i)
		if l := v.loop[at]; l != 0 {
			c.loop = l
			return c, true
		}
		if i == s.top {
			return c, false
		}
		c.calls[i] = at + 1
	}
	return c, false
}

func (v *verifier) enterLoop(s *state) {
	c, ok := v.callchainOf(s)
	if !ok {
		return
	}
	w := v.visits[c]
	if w == nil {
		w = &visit{}
		v.visits[c] = w
	}
	if w.entry == nil {
		w.entry = s
	}
}

// exitLoop is called when all paths from a state have been walked.
func (v *verifier) exitLoop(s *state) {
	c, ok := v.callchainOf(s)
	if !ok {
		return
	}
	w := v.visits[c]
	if w == nil && v.rules.loopVisits {
		v.reject("exception", "the program ends in a loop of which no state has been stored, and the kernel knows no loop that could be left")
	}
	if w == nil || w.entry != s {
		return
	}
	for round, changed := 0, true; changed && len(w.backedges) > 0; round++ {
		changed = false
		for _, b := range w.backedges {
			if round == 64 {
				v.markAllPrecise(b)
				continue
			}
			v.propagatePrecision(b.equalState, b, &changed)
		}
		if round == 64 {
			break
		}
	}
	for _, b := range w.backedges {
		v.memory -= b.size
	}
	w.backedges, w.entry = nil, nil
}

// incomplete reports whether what was asked of the state's numbers may not be all.
func (v *verifier) incomplete(s *state) bool {
	c, ok := v.callchainOf(s)
	if !ok {
		return false
	}
	w := v.visits[c]
	return w != nil && len(w.backedges) > 0
}

func (v *verifier) addLoopBack(old *state, at int) {
	c, ok := v.callchainOf(old)
	if !ok {
		return
	}
	w := v.visits[c]
	if w == nil {
		return
	}
	b := v.cur.clone()
	b.equalState, b.insn = old, at
	v.memory += b.size
	v.limitMemory()
	w.backedges = append([]*state{b}, w.backedges...)
}
