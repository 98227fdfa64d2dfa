package ir

import (
	"sort"

	"github.com/cilium/ebpf/asm"
)

// memoryState numbers the states of memory, so that two loads of the same address and number read the same.
type memoryState struct {
	f        *Func
	g        *graph
	uses     *slotUse
	next     int
	slots    []int // current number of each slot
	other    int   // of all other memory that the program or a helper may write
	shared   []int // the slots that several blocks use: the numbers of others matter in their block alone
	saved    map[*Block][]int
	clobbers map[*Block]clobber
}

// clobber is what a block may write.
type clobber struct {
	slots bitset // of the shared ones
	other bool
}

func newMemoryState(f *Func, g *graph) *memoryState {
	m := &memoryState{f: f, g: g, uses: f.slotUses(), slots: make([]int, len(f.Slots)), saved: map[*Block][]int{}, clobbers: map[*Block]clobber{}}
	index := make([]int, len(f.Slots)) // in shared, or -1
	for i, home := range m.uses.home {
		index[i] = -1
		if home == nil {
			index[i] = len(m.shared)
			m.shared = append(m.shared, i)
		}
	}
	for _, b := range g.order {
		k := clobber{slots: newBitset(len(m.shared))}
		for _, v := range b.Values {
			m.writes(v, func(slot int) {
				if slot < 0 {
					k.other = true
				} else if i := index[slot]; i >= 0 {
					k.slots.set(reg(i))
				}
			})
		}
		m.clobbers[b] = k
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
	s := m.saved[d]
	for i, slot := range m.shared {
		m.slots[slot] = s[i]
	}
	m.other = s[len(s)-1]
	if len(b.Preds) == 1 && b.Preds[0] == d {
		return
	}
	seen := map[*Block]bool{d: true}
	work := append([]*Block(nil), b.Preds...)
	touched := map[int]bool{}
	for len(work) > 0 {
		p := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		k := m.clobbers[p]
		k.slots.each(func(i reg) { touched[m.shared[i]] = true })
		if k.other {
			touched[-1] = true
		}
		work = append(work, p.Preds...)
	}
	var list []int
	for i := range touched {
		list = append(list, i)
	}
	sort.Ints(list)
	for _, i := range list {
		m.bump(i)
	}
}

func (m *memoryState) leave(b *Block) {
	s := make([]int, 0, len(m.shared)+1)
	for _, slot := range m.shared {
		s = append(s, m.slots[slot])
	}
	m.saved[b] = append(s, m.other)
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
