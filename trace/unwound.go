package trace

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"skep/schema"
	"skep/symbol"
)

// unwound are the stacks of dw_ustack. A program gives each of its copies a name of its own, by the time, and uses that as a key; here copies
// are unwound as they come, and those with the same frames are one stack from then on.
type unwound struct {
	copies map[copyID]copied
	stacks []unwoundStack   // all different
	index  map[string]int32 // in stacks, by the bytes of the frames
	ips    []uint64
	text   []byte
	synced time.Time // when the processes were known last

	most       int // bytes of a copy
	all, short int // copies, and those that were too short

	// Now and then, entries are taken out of the kernel's maps and put together here, so that maps are filled by the number of stacks and not
	// by that of samples.
	kept  map[*schema.Map]*keptEntries
	pass  uint32 // counts these times
	since int    // copies since the last one
	limit int    // copies between two of them
	seed  maphash.Seed
}

// copyID is the memory of a UStack, as the program made it.
type copyID struct{ stamp, thread uint64 }

// unwoundStack is the frames of a stack; cut says that there are more, which were not found.
type unwoundStack struct {
	ips []uint64
	cut bool
}

type copied struct {
	stack int32
	seen  uint32 // the last pass in which it was referred to
}

// keptEntries are entries of a map that the kernel does not hold any more, by their keys.
type keptEntries struct {
	values map[string][]byte
	// waiting are hashes of the values of entries as the last pass saw them: an entry is taken when it has not changed since, as a program may
	// still be at it.
	waiting map[string]uint64
}

const (
	// unwoundKnown marks the first word of a UStack whose other bits are an index in stacks.
	unwoundKnown = 1 << 61
	// maxUnwound bounds the number of different stacks.
	maxUnwound = 1 << 18
	// keptPasses is for how many passes a copy must not have been referred to until it is forgotten: a program may move a reference from
	// one map to another while these are being read.
	keptPasses = 2
	// freshness is for how long what processes have mapped is taken as known, unless an address is found in no mapping.
	freshness = time.Millisecond
	// lookInterval is how long a copy waits: programs do not wake the reader for it, but files of processes that end soon should be seen
	// before they are gone.
	lookInterval = 100 * time.Millisecond
	// copyPage is in what pieces a stack is copied.
	copyPage = 4096
)

func (u *unwound) start(script *schema.Script) {
	u.copies, u.index, u.kept = map[copyID]copied{}, map[string]int32{}, map[*schema.Map]*keptEntries{}
	u.seed = maphash.MakeSeed()
	u.limit, u.most = 8192, script.Config.StackCopy
	for _, m := range script.Maps {
		if m.Key.HasUnwound() {
			u.limit = max(16, min(u.limit, m.Max/8))
			u.kept[m] = &keptEntries{values: map[string][]byte{}, waiting: map[string]uint64{}}
		}
	}
}

// ticker tells when to look for copies; it is silent if there are none.
func (u *unwound) ticker(script *schema.Script) (look <-chan time.Time, stop func()) {
	if !slices.ContainsFunc(script.Events, func(e *schema.Event) bool { return e.Kind == schema.StackCopy }) {
		return nil, func() {}
	}
	t := time.NewTicker(lookInterval)
	return t.C, t.Stop
}

// unwind finds the frames of a copied stack.
func (s *stacks) unwind(e *schema.Event, record []byte) {
	u := &s.unwound
	if len(record) < e.Size {
		return
	}
	part := func(i int) []byte { return record[e.Args[i].Offset:][:e.Args[i].Type.Size] }
	id := copyID{unsigned(part(0), 8), unsigned(part(0)[8:], 8)}
	pid, depth := int(uint32(id.thread)), e.Args[0].Type.StackDepth
	u.all++
	u.since++
	if time.Since(u.synced) > freshness {
		s.sync()
		u.synced = time.Now()
	}
	regs, err := symbol.KernelRegisters(symbol.Machine(), part(2))
	ips, cut := u.ips[:0], false
	if err == nil {
		stack := symbol.UserStack{Addr: regs.StackPointer(), Bytes: record[e.Size:]}
		if ips, err = s.symbols.Unwind(ips, pid, &regs, stack, depth); err == symbol.UnwindUnmapped {
			s.sync()
			ips, err = s.symbols.Unwind(ips[:0], pid, &regs, stack, depth)
		}
	}
	if err != nil {
		var more bool
		ips, more = continued(ips, part(3), int(int64(unsigned(part(1), 8)))/8)
		cut = !more && err == symbol.UnwindStackShort
		// The copy is not full where the stack ends, or where it cannot be read, as that of a thread which is ending.
		if full := len(record)-e.Size > u.most-copyPage; full && cut {
			u.short++
		}
		ips = ips[:min(len(ips), depth)]
	}
	u.ips = ips
	u.copies[id] = copied{u.intern(ips, cut), u.pass}
}

// continued goes on with what frame pointers lead to, from the outermost frame that they come by, if these are more frames than were found
// behind it without them: as where Go's runtime has gone over to another stack, which tables do not tell.
func continued(ips []uint64, found []byte, n int) (all []uint64, more bool) {
	if n = min(n, len(found)/8); n > 0 && len(ips) == 0 {
		ips = append(ips, binary.NativeEndian.Uint64(found)) // where the thread was, as both have it
	}
	for i := range slices.Backward(ips) {
		for j := range n {
			if binary.NativeEndian.Uint64(found[8*j:]) != ips[i] || n-j <= len(ips)-i {
				continue
			}
			ips = ips[:i+1]
			for j++; j < n; j++ {
				ips = append(ips, binary.NativeEndian.Uint64(found[8*j:]))
			}
			return ips, true
		}
	}
	return ips, false
}

// intern gives the number of a stack, -1 if there are too many.
func (u *unwound) intern(ips []uint64, cut bool) int32 {
	u.text = u.text[:0]
	for _, ip := range ips {
		u.text = binary.NativeEndian.AppendUint64(u.text, ip)
	}
	if cut {
		u.text = append(u.text, 1)
	}
	n, ok := u.index[string(u.text)]
	if !ok {
		if len(u.stacks) >= maxUnwound {
			return -1
		}
		n = int32(len(u.stacks))
		u.stacks = append(u.stacks, unwoundStack{slices.Clone(ips), cut})
		u.index[string(u.text)] = n
	}
	return n
}

// known gives the first word of a stack: with the number of its frames in place of the copy's time.
func (u *unwound) known(b []byte) uint64 {
	word := unsigned(b, 8)
	if word>>62 != schema.UnwoundStack>>62 {
		return word // known already, or an error
	}
	c, ok := u.copies[copyID{word, unsigned(b[8:], 8)}]
	if !ok || c.stack < 0 {
		return stackNone
	}
	return unwoundKnown | uint64(c.stack)
}

func (u *unwound) stack(word uint64) unwoundStack {
	if n := word &^ unwoundKnown; word>>61 == unwoundKnown>>61 && n < uint64(len(u.stacks)) {
		return u.stacks[n]
	}
	return unwoundStack{}
}

// cutOff stands for the frames that were not found.
const cutOff = "[cut off]"

// eachUnwound calls f with the memory of all unwound stacks in a value.
func eachUnwound(t *schema.Type, b []byte, f func([]byte)) {
	switch {
	case t == nil:
	case t.Kind == schema.Tuple:
		for i := range t.Fields {
			eachUnwound(t.Fields[i].Type, b[min(t.Fields[i].Offset, len(b)):], f)
		}
	case t.Unwound && len(b) >= t.Size:
		f(b)
	}
}

// settle makes keys with the same frames the same.
func (u *unwound) settle(t *schema.Type, key []byte) {
	eachUnwound(t, key, func(b []byte) { binary.NativeEndian.PutUint64(b, u.known(b)) })
}

// see notes that copies are referred to.
func (u *unwound) see(t *schema.Type, b []byte) {
	eachUnwound(t, b, func(b []byte) {
		id := copyID{unsigned(b, 8), unsigned(b[8:], 8)}
		if c, ok := u.copies[id]; ok {
			c.seen = u.pass
			u.copies[id] = c
		}
	})
}

// together makes one entry of those whose keys have the same frames, with those that the kernel does not hold any more.
func (u *unwound) together(m *schema.Map, entries []entry) []entry {
	at := map[string]int{}
	all := make([]entry, 0, len(entries))
	add := func(key, value []byte) {
		if i, ok := at[string(key)]; ok {
			all[i].value = plus(m.Value, all[i].value, value)
			return
		}
		at[string(key)] = len(all)
		all = append(all, entry{key: key, value: value})
	}
	for key, value := range u.kept[m].values {
		add([]byte(key), slices.Clone(value)) // what is shown may be divided in place
	}
	for _, e := range entries {
		u.settle(m.Key, e.key)
		add(e.key, e.value)
	}
	return all
}

// plus puts two values of an aggregation together, in the memory of the first.
func plus(t *schema.Type, to, value []byte) []byte {
	return merge(t, [][]byte{to, value}, func(b []byte) []byte { return b })
}

// gather takes entries out of the kernel's maps, and forgets copies that nothing refers to.
func (r *run) gather() {
	u := &r.values.stacks.unwound
	u.pass++
	u.since = 0
	for _, m := range r.script.Maps {
		object := r.session.Map(m.Object)
		if object == nil || !m.Key.HasUnwound() && !m.Value.HasUnwound() {
			continue
		}
		entries, _, err := r.readMap(object, m)
		if err != nil {
			return // nothing is forgotten that may be in use; if the map fills, that is told
		}
		kept := u.kept[m]
		waiting := map[string]uint64{}
		for _, e := range entries {
			u.see(m.Value, e.value)
			if kept == nil {
				continue
			}
			u.see(m.Key, e.key)
			hash := maphash.Bytes(u.seed, e.value)
			if was, ok := kept.waiting[string(e.key)]; ok && was == hash && ofCopies(m.Key, e.key) && kept.take(u, m, e, object.Delete) {
				continue
			}
			waiting[string(e.key)] = hash
		}
		if kept != nil {
			kept.waiting = waiting
		}
	}
	for id, c := range u.copies {
		if u.pass-c.seen > keptPasses {
			delete(u.copies, id)
		}
	}
}

// ofCopies tells keys of copies, which a program uses once, from those that say why there was none, which come again.
func ofCopies(t *schema.Type, key []byte) bool {
	all := true
	eachUnwound(t, key, func(b []byte) { all = all && unsigned(b, 8)>>62 == schema.UnwoundStack>>62 })
	return all
}

// take keeps an entry if there is room for it and it could be deleted.
func (k *keptEntries) take(u *unwound, m *schema.Map, e entry, remove func(key []byte) error) bool {
	key := slices.Clone(e.key)
	u.settle(m.Key, key)
	value, ok := k.values[string(key)]
	if !ok && len(k.values) >= m.Max || remove(e.key) != nil {
		return false
	}
	if ok {
		k.values[string(key)] = plus(m.Value, value, e.value)
	} else {
		k.values[string(key)] = slices.Clone(e.value)
	}
	return true
}

// clear and zero do so with what is kept of a map.
func (u *unwound) clear(m *schema.Map) {
	if k := u.kept[m]; k != nil {
		clear(k.values)
		clear(k.waiting)
	}
}

func (u *unwound) zero(m *schema.Map) {
	if k := u.kept[m]; k != nil {
		for _, value := range k.values {
			clear(value)
		}
	}
}

// report tells of stacks that are not whole if they are many; each of them shows it.
func (u *unwound) report(message func(string), r remedies) {
	if u.short == 0 || u.short < u.all/10 {
		return
	}
	message(fmt.Sprintf("WARNING: %d of %d stacks of dw_ustack are cut off: they go on behind the %d bytes that are copied of them", u.short, u.all, u.most))
	message("HINT: " + r.setting("dw_ustack_bytes", "N") + " copies more, up to 28672")
}
