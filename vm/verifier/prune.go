package verifier

// sameness is how alike two states must be.
type sameness uint8

const (
	covers    sameness = iota // the old state allows all that the new one can do
	within                    // the same, without relying on marks of precision
	identical                 // nothing has changed: an endless loop
)

// visited compares the current state with those stored for this instruction and reports whether one covers it. If none does, the
// state may be stored.
func (v *verifier) visited() bool {
	cur, at := v.cur, v.insn
	m := v.marks[at]
	force := m&forcePoint != 0 || v.rules.longHistory && len(cur.history) > 40
	add := force || v.jumps-v.lastJumps >= 2 && v.cost.Insns-v.lastInsns >= 8
	key := v.key(at)
	v.cleanStates(key, at)
	list := v.explored[key]
	for i := 0; i < len(list); i++ {
		s := list[i]
		if s.insn != at {
			continue
		}
		hit, loop, mode := false, false, within
		if s.branches > 0 {
			hit, loop = v.compareOpen(s, m, &add, force)
		} else {
			if loop = v.incomplete(s.state); !loop {
				mode = covers
			}
			hit = v.statesEqual(s.state, cur, mode)
		}
		if hit {
			s.hits++
			if v.opt.watch != nil {
				v.opt.watch.covered(v, s.state, mode)
			}
			v.propagateLiveness(s.state, cur)
			if m&jumpPoint != 0 {
				v.remember(step{}, nil)
			}
			v.propagatePrecision(s.state, cur, nil)
			if loop {
				v.addLoopBack(s.state, at)
			}
			return true
		}
		if v.costly() {
			v.blame(s.state)
		}
		if add {
			s.misses++
		}
		n := 3
		if m&forcePoint != 0 && s.branches > 0 && v.rules.kernel >= linux(6, 8) {
			n = 64
		}
		if s.misses > s.hits*n+n {
			list = append(list[:i], list[i+1:]...)
			v.explored[key] = list
			i--
			v.live--
			v.memory -= s.size
		}
	}
	if add {
		v.keep(at, key)
	}
	return false
}

// compareOpen compares with a state from which not all paths have been walked yet: being equal to it means a loop.
func (v *verifier) compareOpen(s *stored, m mark, add *bool, force bool) (hit, loop bool) {
	cur := v.cur
	of, cf := s.frames[s.top], cur.frame()
	check := true
	switch {
	case of.async && (!cf.async || of.asyncEntry != cf.asyncEntry):
		check = false
	case v.prog.insns[v.insn].isMayGoto():
		if s.goes != cur.goes && v.statesEqual(s.state, cur, within) {
			return true, true
		}
	case v.iterates(v.insn):
		if v.statesEqual(s.state, cur, within) && v.activeIterator() {
			return true, true
		}
		check = false
	case m&callsBack != 0 && v.rules.callbackLoops:
		if v.statesEqual(s.state, cur, within) {
			return true, false
		}
		check = false
	}
	if check && v.maybeLooping(s.state) && v.statesEqual(s.state, cur, identical) && sameRounds(s.state, cur) && s.goes == cur.goes && s.unrolled == cur.unrolled {
		v.reject("infinite loop", "the loop does not end: after a round, nothing has changed")
	}
	if !force && v.jumps-v.lastJumps < 20 && v.cost.Insns-v.lastInsns < 100 {
		*add = false
	}
	return false, false
}

func (v *verifier) maybeLooping(old *state) bool {
	cur := v.cur
	if old.top != cur.top {
		return false
	}
	a, b := old.frame(), cur.frame()
	for i := range a.regs {
		x, y := a.regs[i], b.regs[i]
		x.frame, x.precise, x.life = 0, false, life{}
		y.frame, y.precise, y.life = 0, false, life{}
		if x != y {
			return false
		}
	}
	return true
}

// key is where the states of an instruction are kept: the kernel's own hash, so that states evict each other as they do there.
func (v *verifier) key(at int) int {
	return int((uint32(at) ^ uint32(v.cur.frame().callsite)) % uint32(len(v.explored)))
}

// keep adds the current state to those walked.
func (v *verifier) keep(at, key int) {
	cur := v.cur
	v.cost.States++
	v.live++
	v.cost.PeakStates = max(v.cost.PeakStates, v.live)
	v.lastJumps, v.lastInsns = v.jumps, v.cost.Insns
	if v.rules.lazyPrecision {
		cur.each(func(r *reg) {
			if r.kind == scalar {
				r.precise = false
			}
		})
	}
	// The stored state keeps the jumps that led to it; the path goes on with none.
	s := cur.clone()
	s.insn = at
	v.memory += s.size + 32*len(s.history)
	v.limitMemory()
	v.enterLoop(s)
	cur.parent = s
	cur.first = at
	cur.dfs = s.dfs + 1
	cur.history = nil
	v.linkLives(cur, s)
	v.explored[key] = append([]*stored{{state: s}}, v.explored[key]...)
}

// statesEqual reports whether the walk from old covers that from cur.
func (v *verifier) statesEqual(old, cur *state, how sameness) bool {
	if !old.callsAlike(cur) {
		return false
	}
	m := &idMap{next: v.ids}
	if !sameReferences(old, cur, m) {
		return false
	}
	for i := 0; i <= old.top; i++ {
		if !v.framesEqual(old.frames[i], cur.frames[i], old.insnOf(i), m, how) {
			return false
		}
	}
	return true
}

func (v *verifier) framesEqual(old, cur *frame, at int, m *idMap, how sameness) bool {
	if old.depth > cur.depth && v.rules.callbackLoops {
		return false
	}
	for i := range old.regs {
		if v.rules.staticRegs && v.liveRegs[at]>>i&1 == 0 {
			continue
		}
		if !v.covers(&old.regs[i], &cur.regs[i], m, how) {
			return false
		}
	}
	return v.stackCovers(old, cur, m, how)
}

// covers reports whether the walk with the register old is safe with cur.
func (v *verifier) covers(old, cur *reg, m *idMap, how sameness) bool {
	if how == identical {
		return old.exact() == cur.exact() && m.match(old.id, cur.id) && m.match(old.ref, cur.ref)
	}
	if !v.rules.staticRegs && how == covers && !v.wasRead(old) {
		return true
	}
	if old.kind == notInit {
		return how == covers || v.rules.staticRegs || cur.kind == notInit
	}
	if old.kind != cur.kind || old.flags != cur.flags {
		return false
	}
	if v.rules.exactPointers && old.kind != scalar {
		return old.coversExactly(cur, m)
	}
	switch old.kind {
	case scalar:
		if !old.precise && how == covers {
			return true
		}
		if old.id == 0 && v.rules.freeIDs {
			return old.within(cur) && old.bits.has(cur.bits)
		}
		if old.id&idDelta != cur.id&idDelta || old.id&idDelta != 0 && old.off != cur.off {
			return false
		}
		if !old.within(cur) || !old.bits.has(cur.bits) {
			return false
		}
		return !v.rules.scalarIDCheck || m.matchScalar(old.id, cur.id) && (old.id&idDelta == 0 || m.match(old.id&^idDelta, cur.id&^idDelta))
	case ptrMapKey, ptrMapValue, ptrMem:
		return old.off == cur.off && old.size == cur.size && old.mp == cur.mp && old.uid == cur.uid && old.dyn == cur.dyn && old.typ == cur.typ &&
			old.within(cur) && old.bits.has(cur.bits) && m.match(old.id, cur.id) && m.match(old.ref, cur.ref)
	case ptrPacket, ptrPacketMeta:
		return old.size <= cur.size && old.off == cur.off && m.match(old.id, cur.id) && old.within(cur) && old.bits.has(cur.bits)
	case ptrArena:
		return true
	case ptrStack:
		if old.frame != cur.frame {
			return false
		}
	}
	return old.exact() == cur.exact() && m.match(old.id, cur.id) && m.match(old.ref, cur.ref)
}

// coversExactly compares pointers as kernels before 6.3 do.
func (old *reg) coversExactly(cur *reg, m *idMap) bool {
	same := old.exact() == cur.exact() && old.id == cur.id && old.ref == cur.ref
	switch old.kind {
	case ptrStack:
		return same && old.frame == cur.frame
	case ptrMapValue, ptrMapKey:
		if same {
			return true
		}
		if old.off != cur.off || old.mp != cur.mp || old.uid != cur.uid {
			return false
		}
		if old.nullable() {
			return old.ref == cur.ref && m.matchOld(old.id, cur.id)
		}
		return old.within(cur) && old.bits.has(cur.bits)
	case ptrPacket, ptrPacketMeta:
		return same || old.size <= cur.size && old.off == cur.off && (old.id == 0 || m.matchOld(old.id, cur.id)) && old.within(cur) && old.bits.has(cur.bits)
	}
	return same
}

// matchOld is match for kernels that let two ids mean one of the other state.
func (m *idMap) matchOld(old, cur uint32) bool {
	for _, p := range m.pairs {
		if p[0] == old {
			return p[1] == cur
		}
	}
	m.pairs = append(m.pairs, [2]uint32{old, cur})
	return true
}

var unknownReg = func() reg {
	var r reg
	r.setUnknown()
	return r
}()

// asScalar is what the slot is when read as a whole, if it is a number.
func (v *verifier) asScalar(s *slot) *reg {
	if s.spilledScalar64() {
		return &s.reg
	}
	if !v.rules.miscIsScalar {
		return nil
	}
	for _, f := range s.fill {
		if f != fillMisc && !(f == fillInvalid && v.rules.uninitStack) {
			return nil
		}
	}
	return &unknownReg
}

func (v *verifier) stackCovers(old, cur *frame, m *idMap, how sameness) bool {
	for spi := range old.stack {
		o := &old.stack[spi]
		var c *slot
		if spi < len(cur.stack) {
			c = &cur.stack[spi]
		}
		if !v.rules.staticStack && how == covers && !v.wasRead(&o.reg) {
			continue
		}
		if !v.slotCovers(o, c, m, how) {
			return false
		}
	}
	return true
}

func (v *verifier) slotCovers(o, c *slot, m *idMap, how sameness) bool {
	for i := 0; i < 8; i++ {
		if how == identical && (c == nil || o.fill[i] != c.fill[i]) {
			return false
		}
		if o.fill[i] == fillInvalid || v.rules.uninitStack && o.fill[i] == fillMisc {
			continue
		}
		if c == nil {
			return false
		}
		if v.rules.miscIsScalar || i == 0 && o.spilledScalar64() && c.spilledScalar64() {
			if a, b := v.asScalar(o), v.asScalar(c); a != nil && b != nil {
				return v.covers(a, b, m, how)
			}
		}
		if o.fill[i] == fillMisc && c.fill[i] == fillZero {
			continue
		}
		if o.fill[i] != c.fill[i] {
			return false
		}
		if i == 7 && o.special() {
			return sameObject(o, c, m)
		}
		if i == 7 && o.fill[7] == fillSpill {
			return v.covers(&o.reg, &c.reg, m, how)
		}
	}
	return true
}

func sameReferences(old, cur *state, m *idMap) bool {
	if len(old.refs) != len(cur.refs) || old.lock.held != cur.lock.held || old.lock.failing != cur.lock.failing || old.lock.mp != cur.lock.mp {
		return false
	}
	if old.lock.held && !m.match(old.lock.id, cur.lock.id) {
		return false
	}
	if old.sleeps != cur.sleeps || !old.regions.same(&cur.regions, m) {
		return false
	}
	for i := range old.refs {
		if !m.match(uint32(old.refs[i].id), uint32(cur.refs[i].id)) {
			return false
		}
	}
	return true
}

// idMap says which ids of two states mean the same.
type idMap struct {
	pairs [][2]uint32
	next  uint32
}

func (m *idMap) match(old, cur uint32) bool {
	if (old != 0) != (cur != 0) {
		return false
	}
	if old == 0 {
		return true
	}
	for _, p := range m.pairs {
		if p[0] == old {
			return p[1] == cur
		}
		if p[1] == cur {
			return false
		}
	}
	m.pairs = append(m.pairs, [2]uint32{old, cur})
	return true
}

// matchScalar is match where having no id is having one of one's own.
func (m *idMap) matchScalar(old, cur uint32) bool {
	if old == 0 {
		m.next++
		old = m.next
	}
	if cur == 0 {
		m.next++
		cur = m.next
	}
	return m.match(old, cur)
}
