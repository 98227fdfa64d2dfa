package ir

import "slices"

// dropStores removes stores to slots that are overwritten, or gone, before anyone reads them, and narrows those of which
// only a part is read.
func dropStores(f *Func) bool {
	d := &storeDropper{f: f, uses: f.slotUses(), first: make([]int, len(f.Slots)), start: make([]bitset, f.nextBlock), local: make([][]int, f.nextBlock)}
	order := f.reversePostorder()
	d.number(order)
	// At first everything counts as dead, so that a loop is not a reason to keep a store.
	for changed := true; changed; {
		changed = false
		for i := len(order) - 1; i >= 0; i-- {
			b := order[i]
			d.end(b)
			for j := len(b.Values) - 1; j >= 0; j-- {
				d.access(b.Values[j])
			}
			dead := d.dead[:d.shared]
			switch old := d.start[b.ID]; {
			case old == nil:
				d.start[b.ID] = append(bitset{}, dead...)
				changed = true
			case !slices.Equal(old, dead):
				copy(old, dead)
				changed = true
			}
		}
	}
	changed := false
	for i := len(order) - 1; i >= 0; i-- {
		changed = d.block(order[i]) || changed
	}
	f.placeConstants()
	return changed
}

// storeDropper keeps sets of the bytes of all slots; those of a slot begin at a word of their own. Between blocks it keeps those of
// shared slots alone: of a slot that is used in one block, and written there before it is read, nothing is left at its end.
type storeDropper struct {
	f      *Func
	uses   *slotUse
	first  []int    // word of each slot
	known  bitset   // the slots whose accesses are all known
	shared int      // how many words belong to shared slots; they come first
	local  [][]int  // the other slots, by their block's ID
	start  []bitset // the bytes that are written or gone before they are read, at the start of a block, by its ID: of shared slots
	dead   bitset
}

// number gives the slots their words: first the shared ones.
func (d *storeDropper) number(order []*Block) {
	local := make([]bool, len(d.f.Slots))
	d.place(func(int) bool { return true })
	d.dead = slices.Clone(d.known)
	for _, b := range order {
		for j := len(b.Values) - 1; j >= 0; j-- {
			d.access(b.Values[j])
		}
	}
	for i, home := range d.uses.home {
		local[i] = home != nil && slices.Equal(d.of(i), d.known[d.first[i]:][:len(d.of(i))])
		if local[i] {
			d.local[home.ID] = append(d.local[home.ID], i)
		}
	}
	d.known = d.known[:0]
	d.place(func(i int) bool { return !local[i] })
	d.shared = len(d.known)
	d.place(func(i int) bool { return local[i] })
}

// place gives words to some of the slots.
func (d *storeDropper) place(some func(slot int) bool) {
	for i, s := range d.f.Slots {
		if !some(i) {
			continue
		}
		word := uint64(0)
		if !d.uses.escapes[i] && !s.Whole {
			word = ^uint64(0)
		}
		d.first[i] = len(d.known)
		for range bitWords(s.Size) {
			d.known = append(d.known, word)
		}
	}
}

// of is the part of the set that belongs to a slot.
func (d *storeDropper) of(slot int) bitset {
	return d.dead[d.first[slot]:][:bitWords(d.f.Slots[slot].Size)]
}

// end sets dead to what holds at the end of b.
func (d *storeDropper) end(b *Block) {
	copy(d.dead, d.known[:d.shared])
	for _, i := range d.local[b.ID] {
		copy(d.of(i), d.known[d.first[i]:])
	}
	for _, to := range b.Succs {
		for n, word := range d.start[to.ID] {
			d.dead[n] &= word
		}
	}
}

func (d *storeDropper) block(b *Block) bool {
	d.end(b)
	changed := false
	kept := len(b.Values)
	for j := len(b.Values) - 1; j >= 0; j-- {
		v := b.Values[j]
		if d.drop(v, &changed) {
			changed = true
			continue
		}
		d.access(v)
		kept--
		b.Values[kept] = v
	}
	b.Values = b.Values[kept:]
	return changed
}

// target returns the slot and the range of bytes that v writes.
func (d *storeDropper) target(v *Value) (slot int, off, n int64, ok bool) {
	switch v.Op {
	case OpStore:
		n = int64(v.Size)
	case OpZero, OpCopy:
		n = v.Aux2
	default:
		return 0, 0, 0, false
	}
	r := rootOf(v.Args[0])
	if r.base.Op != OpSlot || !r.exact {
		return 0, 0, 0, false
	}
	off = r.off
	if v.Op != OpCopy {
		off += v.Aux
	}
	s := r.base.Slot
	return s.index, off, n, off >= 0 && off+n <= int64(s.Size)
}

// drop reports whether nothing of what v writes is read; it may narrow v.
func (d *storeDropper) drop(v *Value, changed *bool) bool {
	slot, off, n, ok := d.target(v)
	if !ok {
		return false
	}
	dead := d.of(slot).hasRange
	if dead(off, off+n) {
		return true
	}
	switch {
	case v.Op == OpZero:
		for n > 0 && dead(off, off+1) {
			off, n, v.Aux, v.Aux2 = off+1, n-1, v.Aux+1, v.Aux2-1
			*changed = true
		}
		for n > 0 && dead(off+n-1, off+n) {
			n, v.Aux2 = n-1, v.Aux2-1
			*changed = true
		}
	case v.Op == OpStore && v.Args[1].Op == OpConst && v.Size > 1:
		half := n / 2
		x := v.Args[1].Aux
		switch {
		case dead(off, off+half):
			c := d.f.constant(x >> (8 * half) & mask(int(8*half)))
			v.Args[1], v.Aux, v.Size = c, v.Aux+half, int(half)
			*changed = true
			return d.drop(v, changed)
		case dead(off+half, off+n):
			v.Size = int(half)
			*changed = true
			return d.drop(v, changed)
		}
	}
	return false
}

// access notes what v does to the slots' bytes.
func (d *storeDropper) access(v *Value) {
	if slot, off, n, ok := d.target(v); ok {
		if d.uses.escapes[slot] || d.f.Slots[slot].Whole {
			return
		}
		d.of(slot).setRange(off, off+n)
	}
	for i, a := range v.Args {
		if !a.Type.pointer() || i == 0 && (v.Op == OpStore || v.Op == OpZero || v.Op == OpCopy) {
			continue
		}
		r := rootOf(a)
		if r.base.Op != OpSlot || v.Op == OpAdd || v.Op == OpSub {
			continue
		}
		dead := d.of(r.base.Slot.index)
		if n := int64(v.Size); r.exact && (v.Op == OpLoad || v.Op == OpLoadS) {
			dead.clearRange(max(r.off+v.Aux, 0), min(r.off+v.Aux+n, int64(r.base.Slot.Size)))
			continue
		}
		clear(dead)
	}
}

// mergeStores makes one store of two neighbours: both constant, or the upper one zero above a value that leaves it so.
// The order of bytes is that of a little-endian machine, as all that programs are compiled for.
func mergeStores(f *Func) bool {
	changed := false
	escapes := f.slotUses().escapes
	for _, b := range f.Blocks {
		for i := 0; i < len(b.Values); i++ {
			if v := b.Values[i]; v.Op == OpStore && mergeAt(f, b, i, escapes) {
				changed = true
				i = -1 // the result may have a neighbour of its own
			}
		}
	}
	f.placeConstants()
	return changed
}

// mergeAt looks for a neighbour of store i further down in the block.
func mergeAt(f *Func, b *Block, i int, escapes []bool) bool {
	v := b.Values[i]
	at := rootOf(v.Args[0])
	off, size := at.off+v.Aux, int64(v.Size)
	if !at.exact || off < 0 {
		return false
	}
	if at.base.Op == OpParam {
		return false
	}
	wide := v.Size < 8 && (at.base.Op != OpSlot || 2*v.Size <= at.base.Slot.alignment())
	buddy := off ^ size
	for j := i + 1; j < len(b.Values); j++ {
		w := b.Values[j]
		if w.Op != OpStore {
			if touches(w, at.base, escapes) {
				return false
			}
			continue
		}
		to := rootOf(w.Args[0])
		if !to.exact {
			return false
		}
		if to.base != at.base {
			if to.base.Op == OpSlot && at.base.Op == OpSlot {
				continue
			}
			return false
		}
		o := to.off + w.Aux
		if o+int64(w.Size) <= off || o >= off+size {
			if o != buddy || w.Size != v.Size || !wide {
				continue
			}
			low, high := v, w
			if buddy < off {
				low, high = w, v
			}
			x := joined(f, low.Args[1], high.Args[1], v.Size)
			if x == nil {
				continue
			}
			// At the place of the later store, where both values are known.
			w.Args = []*Value{low.Args[0], x}
			w.Aux, w.Size = low.Aux, 2*v.Size
			b.Values = append(b.Values[:i:i], b.Values[i+1:]...)
			return true
		}
		return overlay(f, b, i, j, int(o-off))
	}
	return false
}

// overlay makes one store of constant i and the smaller constant j that overwrites a part of it, byte at and on.
func overlay(f *Func, b *Block, i, j, at int) bool {
	v, w := b.Values[i], b.Values[j]
	if at < 0 || at+w.Size > v.Size || v.Args[1].Op != OpConst || w.Args[1].Op != OpConst {
		return false
	}
	m := mask(8*w.Size) << (8 * at)
	n := v.Args[1].Aux&^m | w.Args[1].Aux<<(8*at)&m
	if v.Size == 8 && !fits32(n) {
		return false
	}
	w.Args = []*Value{v.Args[0], f.constant(n)}
	w.Aux, w.Size = v.Aux, v.Size
	b.Values = append(b.Values[:i:i], b.Values[i+1:]...)
	return true
}

// joined returns the value of twice the size, if it costs nothing.
func joined(f *Func, low, high *Value, size int) *Value {
	switch {
	case high.Op != OpConst || low.Type != Scalar:
		return nil
	case low.Op == OpConst:
		n := high.Aux<<(8*size) | low.Aux&mask(8*size)
		if size == 4 && !fits32(n) {
			return nil
		}
		return f.constant(n)
	case high.Aux&mask(8*size) == 0 && unsignedBits(low) <= 8*size:
		return low
	}
	return nil
}

// touches reports whether v may read or write memory at base.
func touches(v, base *Value, escapes []bool) bool {
	if !v.Op.memory() && v.Op != OpCopy && v.Op != OpCallFunc && v.Op != OpCall {
		return false
	}
	if base.Op != OpSlot || escapes[base.Slot.index] {
		return v.Op != OpCall || v.Aux2&(Pure|Droppable) == 0
	}
	for _, a := range v.Args {
		if a.Type.pointer() && rootOf(a).base == base {
			return true
		}
	}
	return false
}
