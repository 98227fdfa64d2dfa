package trace

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"skep/host"
	"skep/schema"
)

// entry is a key and its value, merged over the CPUs.
type entry struct {
	key   []byte // nil for a map without key
	value []byte
	order int64 // what entries are sorted by: see order
	div   int64 // what the counts of a histogram are shown divided by
}

// printMapOptions are the arguments of print(@m, top, div).
type printMapOptions struct {
	top   int64 // 0: all
	div   int64 // 0 or 1: as they are
	final bool  // at the end: values that were never written are not shown
}

// sortedMaps is the order in which maps are printed at the end: by name.
func sortedMaps(maps []*schema.Map) []*schema.Map {
	maps = slices.Clone(maps)
	slices.SortStableFunc(maps, func(a, b *schema.Map) int { return strings.Compare(a.Name, b.Name) })
	return maps
}

// printMap prints one map.
func (r *run) printMap(m *schema.Map, o printMapOptions) {
	entries, present, ok := r.namedEntries(m)
	if !ok {
		return
	}
	if m.Key == nil {
		if !present && (o.final || isDrawn(m.Value)) {
			return
		}
	} else if len(entries) == 0 && !(r.opt.JSON && (m.Value.Kind == schema.Avg || m.Value.Kind == schema.Stats)) {
		return // of empty maps, bpftrace shows those of averages alone
	}
	sortEntries(m, entries)
	if o.top > 0 && int64(len(entries)) > o.top {
		entries = entries[int64(len(entries))-o.top:]
	}
	for i := range entries {
		// The buckets of a histogram are counted first and divided when they are shown, so that no row is lost.
		entries[i].div = max(1, o.div)
		if o.div > 1 {
			divide(m.Value, entries[i].value, o.div)
		}
	}
	r.sink.printMap(m, entries)
}

// namedEntries reads a map and names the kernel's addresses in it. present is false for a map without key that was never written; ok
// is false if there is no such map, or it cannot be read, which has been said then.
func (r *run) namedEntries(m *schema.Map) (entries []entry, present, ok bool) {
	object := r.session.Map(m.Object)
	if object == nil {
		return nil, false, false
	}
	entries, present, err := r.readMap(object, m)
	if err != nil {
		r.message("WARNING: reading map " + m.Name + ": " + err.Error())
		return nil, false, false
	}
	if m.Key.HasUnwound() {
		entries = r.values.stacks.unwound.together(m, entries)
	}
	if hasKernelAddresses(m.Key) || hasKernelAddresses(m.Value) {
		r.nameKernelAddresses(m, entries)
	}
	return entries, present, true
}

// isDrawn reports whether a value is drawn on lines of its own, so that an empty one shows nothing.
func isDrawn(t *schema.Type) bool {
	return t.Kind == schema.Hist || t.Kind == schema.LHist || t.Kind == schema.TSeries
}

// readMap copies a map's entries. present is false for a map without key that was never written.
func (r *run) readMap(object host.Map, m *schema.Map) (entries []entry, present bool, err error) {
	var memory []byte
	take := func(b []byte) []byte {
		if cap(memory)-len(memory) < len(b) {
			memory = make([]byte, 0, max(64<<10, len(b)))
		}
		memory = append(memory, b...)
		return memory[len(memory)-len(b) : len(memory) : len(memory)]
	}
	if m.Key == nil {
		var key [4]byte
		values, ok, err := object.Lookup(key[:])
		if err != nil || !ok || len(values) == 0 || len(values[0]) < 8 {
			return nil, false, err
		}
		var kept [][]byte
		for _, b := range values {
			value, flag := b[:len(b)-8], b[len(b)-8:]
			if unsigned(flag, 8) != 0 {
				present = true
				kept = append(kept, value)
			}
		}
		if !present {
			kept = [][]byte{values[0][:len(values[0])-8]}
		}
		return []entry{{value: merge(m.Value, kept, take)}}, present, nil
	}
	err = object.Each(func(key []byte, values [][]byte) bool {
		entries = append(entries, entry{key: take(key), value: merge(m.Value, values, take)})
		return true
	})
	return entries, true, err
}

// nameKernelAddresses names all addresses of a map in one pass over the kernel's symbols.
func (r *run) nameKernelAddresses(m *schema.Map, entries []entry) {
	var addrs []uint64
	for _, e := range entries {
		addrs = r.values.stacks.gather(m.Key, e.key, addrs)
		addrs = r.values.stacks.gather(m.Value, e.value, addrs)
	}
	if len(addrs) > 0 {
		slices.Sort(addrs)
		r.opt.Symbols.Kernel(slices.Compact(addrs))
	}
}

// sortEntries sorts by value, ascending; entries with the same value by key. Values without an order are all the same.
func sortEntries(m *schema.Map, entries []entry) {
	if m.Key == nil {
		return
	}
	for i := range entries {
		entries[i].order = order(m.Value, entries[i].value)
	}
	unsigned := !m.Value.Signed && m.Value.Kind != schema.Avg && m.Value.Kind != schema.Stats
	slices.SortFunc(entries, func(a, b entry) int {
		c := cmp.Compare(a.order, b.order)
		if unsigned {
			c = cmp.Compare(uint64(a.order), uint64(b.order))
		}
		if c != 0 {
			return c
		}
		return compare(m.Key, a.key, b.key)
	})
}

// order is the number that a value is sorted by.
func order(t *schema.Type, b []byte) int64 {
	switch t.Kind {
	case schema.Hist, schema.LHist:
		n := int64(0)
		for i := 0; i+8 <= len(b); i += 8 {
			n += int64(unsigned(b[i:], 8))
		}
		return n
	case schema.Int, schema.Bool, schema.Enum, schema.Pointer, schema.Count, schema.Sum, schema.Min, schema.Max, schema.Avg,
		schema.Stats:
		return integer(valueType(t), b)
	}
	return 0
}

// valueType is t with the size of the number that it shows.
func valueType(t *schema.Type) *schema.Type {
	if t.Kind == schema.Min || t.Kind == schema.Max {
		return &schema.Type{Kind: schema.Int, Size: 8, Signed: t.Signed}
	}
	if t.Size == 0 {
		c := *t
		c.Size = 8
		return &c
	}
	return t
}

// compare orders keys: numbers by value, text as text, tuples by their parts.
func compare(t *schema.Type, a, b []byte) int {
	switch t.Kind {
	case schema.Tuple:
		for i := range t.Fields {
			f := &t.Fields[i]
			if c := compare(f.Type, a[min(f.Offset, len(a)):], b[min(f.Offset, len(b)):]); c != 0 {
				return c
			}
		}
		return 0
	case schema.String:
		return bytes.Compare(cString(a, t.Size), cString(b, t.Size))
	case schema.Int, schema.Enum, schema.Bool, schema.Pointer, schema.Username, schema.CgroupPath, schema.KSym:
		x, y := integer(t, a), integer(t, b)
		if t.Signed {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(uint64(x), uint64(y))
	}
	return bytes.Compare(a[:min(t.Size, len(a))], b[:min(t.Size, len(b))])
}

func cString(b []byte, size int) []byte {
	b = b[:min(size, len(b))]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// clearMap and zeroMap carry out clear(@m) and zero(@m).
func (r *run) clearMap(m *schema.Map) {
	r.values.stacks.unwound.clear(m)
	if object := r.session.Map(m.Object); object != nil {
		if err := object.Clear(); err != nil {
			r.message("WARNING: clearing map " + m.Name + ": " + err.Error())
		}
	}
}

func (r *run) zeroMap(m *schema.Map) {
	r.values.stacks.unwound.zero(m)
	object := r.session.Map(m.Object)
	if object == nil {
		return
	}
	var keys [][]byte
	size := 0
	err := object.Each(func(key []byte, values [][]byte) bool {
		if len(values) > 0 {
			size = len(values[0])
			keys = append(keys, bytes.Clone(key))
		}
		return true
	})
	if m.Key == nil {
		_, present, _ := r.readMap(object, m)
		zero := make([]byte, size)
		if present && size >= 8 {
			zero[size-8] = 1 // there is still a value
		}
		keys = [][]byte{make([]byte, 4)}
		if size > 0 {
			err = object.Update(keys[0], zero)
		}
	} else {
		zero := make([]byte, size)
		for _, key := range keys {
			if e := object.Update(key, zero); e != nil && err == nil {
				err = e
			}
		}
	}
	if err != nil {
		r.message("WARNING: zeroing map " + m.Name + ": " + err.Error())
	}
}
