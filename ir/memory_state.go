package ir

import "github.com/cilium/ebpf/asm"

// memoryState numbers the states of memory, so that two loads of the same address and number read the same.
type memoryState struct {
	f        *Func
	g        *graph
	uses     *slotUse
	next     int
	slots    []int     // current number of each slot
	other    int       // of all other memory that the program or a helper may write
	shared   []int     // the slots that several blocks use: the numbers of others matter in their block alone
	saved    [][]int   // at the ends of blocks, by their ID: the numbers of the shared slots, then that of other memory
	clobbers []clobber // by the block's ID

	passed  []int // by block ID, the last walk that came by
	walks   int
	touched bitset // of the shared slots
	work    []*Block
}

// clobber is what a block may write.
type clobber struct {
	slots bitset // of the shared ones
	other bool
}

func newMemoryState(f *Func, g *graph) *memoryState {
	m := &memoryState{f: f, g: g, uses: f.slotUses(), slots: make([]int, len(f.Slots)),
		saved: make([][]int, f.nextBlock), clobbers: make([]clobber, f.nextBlock), passed: make([]int, f.nextBlock)}
	index := make([]int, len(f.Slots)) // in shared, or -1
	for i, home := range m.uses.home {
		index[i] = -1
		if home == nil {
			index[i] = len(m.shared)
			m.shared = append(m.shared, i)
		}
	}
	words := len(newBitset(len(m.shared)))
	sets := make(bitset, words*(len(g.order)+1))
	m.touched, sets = sets[:words:words], sets[words:]
	numbers := make([]int, (len(m.shared)+1)*len(g.order))
	for _, b := range g.order {
		k := clobber{slots: sets[:words:words]}
		sets = sets[words:]
		m.saved[b.ID], numbers = numbers[:len(m.shared)+1:len(m.shared)+1], numbers[len(m.shared)+1:]
		for _, v := range b.Values {
			m.writes(v, func(slot int) {
				if slot < 0 {
					k.other = true
				} else if i := index[slot]; i >= 0 {
					k.slots.set(reg(i))
				}
			})
		}
		m.clobbers[b.ID] = k
	}
	return m
}

// writes visits each slot that v may write, and -1 for other memory.
func (m *memoryState) writes(v *Value, visit func(slot int)) {
	switch {
	case v.Op == OpStore, v.Op == OpZero, v.Op == OpCopy, v.Op == OpAtomicAdd, v.Op == OpFetchAdd, v.Op == OpAtomicOr,
		v.Op == OpXchg, v.Op == OpCmpXchg:
		r := rootOf(v.Args[0])
		switch {
		case r.base.Op == OpSlot:
			visit(r.base.Slot.index)
			if m.uses.escapes[r.base.Slot.index] {
				visit(-1)
			}
		case r.base.Op == OpPhi || r.base.Op == OpLoad:
			m.escaped(visit)
			visit(-1)
		default:
			visit(-1)
		}
	case v.Op == OpCall && v.Aux2&(Pure|Droppable|ReadsMemory) == 0, v.Op == OpCallFunc:
		m.escaped(visit)
		for _, a := range v.Args {
			if a.Type.pointer() {
				if r := rootOf(a); r.base.Op == OpSlot {
					visit(r.base.Slot.index)
				}
			}
		}
		visit(-1)
	case v.Op == OpCall && changesMaps(v.Aux):
		visit(-1)
	}
}

// changesMaps reports whether a helper changes memory that it is not given a pointer to.
func changesMaps(helper int64) bool {
	switch asm.BuiltinFunc(helper) {
	case asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnForEachMapElem, asm.FnLoop:
		return true
	}
	return false
}

func (m *memoryState) escaped(visit func(slot int)) {
	for i, e := range m.uses.escapes {
		if e {
			visit(i)
		}
	}
}

func (m *memoryState) write(v *Value) {
	m.writes(v, m.bump)
}

func (m *memoryState) bump(slot int) {
	m.next++
	if slot < 0 {
		m.other = m.next
	} else {
		m.slots[slot] = m.next
	}
}

// enter makes the state at the start of b: that at the end of its dominator, less what may be written between.
func (m *memoryState) enter(b *Block) {
	d := m.g.idom[b.ID]
	if d == b {
		return
	}
	s := m.saved[d.ID]
	for i, slot := range m.shared {
		m.slots[slot] = s[i]
	}
	m.other = s[len(s)-1]
	if len(b.Preds) == 1 && b.Preds[0] == d {
		return
	}
	clear(m.touched)
	other := false
	m.walks++
	m.passed[d.ID] = m.walks
	m.work = append(m.work[:0], b.Preds...)
	for len(m.work) > 0 {
		p := m.work[len(m.work)-1]
		m.work = m.work[:len(m.work)-1]
		if m.passed[p.ID] == m.walks {
			continue
		}
		m.passed[p.ID] = m.walks
		m.touched.or(m.clobbers[p.ID].slots)
		other = other || m.clobbers[p.ID].other
		m.work = append(m.work, p.Preds...)
	}
	if other {
		m.bump(-1)
	}
	m.touched.each(func(i reg) { m.bump(m.shared[i]) })
}

func (m *memoryState) leave(b *Block) {
	s := m.saved[b.ID]
	for i, slot := range m.shared {
		s[i] = m.slots[slot]
	}
	s[len(s)-1] = m.other
}

// version returns the number of the memory that a load reads.
func (m *memoryState) version(v *Value) int {
	r := rootOf(v.Args[0])
	switch {
	case r.base.Op == OpSlot && !m.uses.escapes[r.base.Slot.index]:
		return m.slots[r.base.Slot.index]
	case v.Args[0].Type == KernelPointer, v.Type == KernelPointer && r.base.Op == OpParam:
		return -1 // programs do not write there; what the kernel does meanwhile is no reason to look twice
	}
	return m.other
}
