package ir

import "slices"

import "sort"

// Places of slots: on the stack, or in scratch memory. Slots that never live at the same time share bytes.

// slotLives says which slots of a function are alive together.
type slotLives struct {
	used  bitset
	clash []bitset
}

// slotLiveness takes a slot as alive between an access that may have come before and one that may follow.
func (f *Func) slotLiveness() *slotLives {
	n := len(f.Slots)
	l := &slotLives{used: newBitset(n), clash: make([]bitset, n)}
	g := newGraph(f)
	words := len(l.used)
	sets := make(bitset, words*(n+2*len(g.order)+2)) // all of one size
	next := func() bitset {
		set := sets[:words:words]
		sets = sets[words:]
		return set
	}
	for i := range l.clash {
		l.clash[i] = next()
	}
	u := f.slotUses()
	at := make([][]reg, f.nextValue) // by the value's ID, the slots that it accesses
	whole := newBitset(n)
	for i, list := range u.access {
		for _, v := range list {
			at[v.ID] = append(at[v.ID], reg(i))
			l.used.set(reg(i))
		}
		if u.escapes[i] || f.Slots[i].Whole {
			whole.set(reg(i))
			l.used.set(reg(i))
		}
	}
	started, needed := make([]bitset, f.nextBlock), make([]bitset, f.nextBlock) // by the block's ID
	for _, b := range g.order {
		started[b.ID], needed[b.ID] = next(), next()
	}
	s, before := next(), next()
	for changed := true; changed; {
		changed = false
		for i, b := range g.order {
			copy(s, started[b.ID])
			for _, v := range b.Values {
				for _, slot := range at[v.ID] {
					s.set(slot)
				}
			}
			for _, to := range b.Succs {
				changed = started[to.ID].or(s) || changed
			}
			b = g.order[len(g.order)-1-i]
			copy(before, needed[b.ID])
			for j := len(b.Values) - 1; j >= 0; j-- {
				f.needBefore(b.Values[j], at, before)
			}
			for _, p := range b.Preds {
				if g.pos[p.ID] >= 0 {
					changed = needed[p.ID].or(before) || changed
				}
			}
		}
	}
	for _, b := range g.order {
		after := make([]bitset, len(b.Values))
		copy(before, needed[b.ID])
		for j := len(b.Values) - 1; j >= 0; j-- {
			if at[b.Values[j].ID] != nil {
				after[j] = slices.Clone(before)
			}
			f.needBefore(b.Values[j], at, before)
		}
		copy(s, started[b.ID])
		for j, v := range b.Values {
			for _, slot := range at[v.ID] {
				s.set(slot)
			}
			for k, slot := range at[v.ID] {
				s.each(func(o reg) {
					if after[j].has(o) {
						l.edge(slot, o)
					}
				})
				for _, o := range at[v.ID][:k] {
					l.edge(slot, o)
				}
			}
		}
	}
	whole.each(func(a reg) { l.used.each(func(b reg) { l.edge(a, b) }) })
	return l
}

func (l *slotLives) edge(a, b reg) {
	if a != b {
		l.clash[a].set(b)
		l.clash[b].set(a)
	}
}

// needBefore takes the needed slots from after v to before it.
func (f *Func) needBefore(v *Value, at [][]reg, needed bitset) {
	for _, slot := range at[v.ID] {
		needed.set(slot)
	}
	if s := v.overwrites(); s != nil && len(at[v.ID]) == 1 {
		needed.clear(reg(s.index))
	}
}

// overwrites returns the slot that v writes whole without reading it.
func (v *Value) overwrites() *Slot {
	n := int64(0)
	switch v.Op {
	case OpStore:
		n = int64(v.Size)
	case OpZero:
		n = v.Aux2
	default:
		return nil
	}
	r := rootOf(v.Args[0])
	if r.base.Op != OpSlot || !r.exact || r.off+v.Aux != 0 || n < int64(r.base.Slot.Size) {
		return nil
	}
	return r.base.Slot
}

// place gives the slots that pick chooses offsets from 0 up and returns their sum, overlaps counted once.
func (l *slotLives) place(slots []*Slot, pick func(*Slot) bool, down bool) int {
	var list []*Slot
	for i, s := range slots {
		if l.used.has(reg(i)) && pick(s) {
			list = append(list, s)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Size > list[j].Size })
	total := 0
	type placed struct{ index, from, to int }
	var done []placed
	for _, s := range list {
		a := s.alignment()
		from := 0
		for again := true; again; {
			again = false
			if down {
				from = (from+s.Size+a-1)/a*a - s.Size // its address is below the frame pointer by from+Size
			} else {
				from = (from + a - 1) / a * a
			}
			for _, d := range done {
				if l.clash[s.index].has(reg(d.index)) && from < d.to && d.from < from+s.Size {
					from, again = d.to, true
				}
			}
		}
		done = append(done, placed{s.index, from, from + s.Size})
		total = max(total, from+s.Size)
		s.offset = from
		if down {
			s.offset = -(from + s.Size)
		}
	}
	return total
}
