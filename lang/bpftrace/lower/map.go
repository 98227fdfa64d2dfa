package lower

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// mapInfo is a map of the script and how it is stored.
type mapInfo struct {
	*schema.Map
	of *check.Map
	// atomic is set if per-CPU values must be added to atomically; see unit.interrupted.
	atomic bool
	epoch  int // grows with each change of entries in the program text; see memo
}

// declareMaps decides how the script's maps are stored.
func (u *unit) declareMaps() {
	names := map[string]bool{}
	u.zeroSize = 64
	for _, m := range u.tree.Maps {
		object := objectName("AT_" + m.Name[1:])
		for n := 0; names[object]; n++ {
			object = objectName(fmt.Sprintf("AT%d_%s", n, m.Name[1:]))
		}
		names[object] = true
		info := &mapInfo{of: m, atomic: u.interrupted(u.facts.writers[m])}
		key := u.fitKey(m)
		cpus := key != nil && m.Declared == "" && isScalar(m.Value) && !isAggregate(m.Value) && !u.facts.elsewhere[m] && !u.tree.Config.PrintMapsOnExit
		if cpus {
			key = nil // each CPU sees its own entry only, and nobody else any: no key has to be looked for
		}
		info.Map = &schema.Map{
			Name: m.Name, Object: object, Key: key, Value: m.Value, Max: m.Max,
			PerCPU: cpus || isAggregate(m.Value) || m.Declared == "percpuhash" || m.Declared == "percpulruhash",
		}
		if m.Declared == "" && adds(m.Value.Kind) && key != nil && key.HasUnwound() {
			info.PerCPU = false // each copied stack is a key of its own, which no two CPUs count
		}
		switch n := presentOffset(m.Value) + 8; {
		case n > maxValue:
			u.list.Errorf(m.Span, "a value of %s has %d bytes, of which %d are allowed", m.Name, n, maxValue)
			panic(bailout{})
		case n > maxPerCPU:
			info.PerCPU = false
		}
		u.maps[m] = info
		u.Script.Maps = append(u.Script.Maps, info.Map)
		u.Spec.Maps[object] = u.mapSpec(info)
		u.zeroSize = max(u.zeroSize, valueSize(m.Value))
		if key != nil {
			u.zeroSize = max(u.zeroSize, size(key))
		}
	}
	u.zeroSize = (max(u.zeroSize, u.tree.Config.MaxStrlen+8) + 63) &^ 63
}

// The kernel's limit of the value of a per-CPU map; and ours of any, since each new entry is made from as many zeros.
const (
	maxPerCPU = 32 << 10
	maxValue  = 1 << 20
)

// interrupted reports whether one change of a per-CPU value may happen in the middle of another. The kernel does not run a
// program on a CPU on which it is running already, so that a map that is changed by one program is safe; but programs interrupt
// each other, those of uprobes lose the CPU to other tasks, and before Linux 6.2 some kinds could interrupt themselves.
func (u *unit) interrupted(writers []*check.Probe) bool {
	if len(writers) > 1 {
		return true
	}
	old := u.target.Kernel < 6<<16|2<<8
	for _, w := range writers {
		for _, pt := range w.Points {
			switch pt.Kind {
			case probe.Uprobe, probe.Uretprobe, probe.USDT:
				return true
			case probe.RawTracepoint, probe.Fentry, probe.Fexit:
				if old || len(w.Points) > 1 {
					return true
				}
			case probe.Tracepoint:
				if pt.Category != "syscalls" && (old || len(w.Points) > 1) {
					return true
				}
			}
		}
	}
	return false
}

// maxKey is the size of the largest key that the kernel takes: before Linux 5.11, what fits on a program's stack.
func (u *unit) maxKey() int {
	if u.target.Kernel != 0 && u.target.Kernel < 5<<16|11<<8 {
		return 512
	}
	return 1 << 16
}

// fitKey cuts the strings of a key that is too long for the kernel.
func (u *unit) fitKey(m *check.Map) *schema.Type {
	if m.Key == nil || size(m.Key) <= u.maxKey() {
		return m.Key
	}
	for most := u.maxKey(); most >= 16; most -= 8 {
		if t := cutStrings(m.Key, most); size(t) <= u.maxKey() {
			return t
		}
	}
	u.list.Errorf(m.Span, "the keys of %s have %d bytes, of which this kernel takes %d", m.Name, size(m.Key), u.maxKey()).Hint =
		"Linux 5.11 and later take more"
	panic(bailout{})
}

// cutStrings gives the type with strings of at most that size.
func cutStrings(t *schema.Type, most int) *schema.Type {
	switch {
	case t.Kind == schema.String && t.Size > most:
		c := *t
		c.Size = most
		return &c
	case t.Kind != schema.Tuple:
		return t
	}
	c := *t
	c.Fields = append([]schema.Field(nil), t.Fields...)
	c.Size = 0
	for i := range c.Fields {
		m := &c.Fields[i]
		m.Type = cutStrings(m.Type, most)
		a := align(m.Type)
		m.Offset = (c.Size + a - 1) &^ (a - 1)
		c.Size = m.Offset + size(m.Type)
	}
	a := align(&c)
	c.Size = (c.Size + a - 1) &^ (a - 1)
	return &c
}

// firstMapDrop is the index in MapDrops of the first counter of a full map.
const firstMapDrop = 4

// adds reports whether aggregations of the kind are made of additions alone, which can be done atomically.
func adds(k schema.Kind) bool {
	return isAggregate(&schema.Type{Kind: k}) && k != schema.Min && k != schema.Max && k != schema.TSeries
}

func isAggregate(t *schema.Type) bool { return t.Kind >= schema.Count }

// valueSize is the size of a map's value.
func valueSize(t *schema.Type) int {
	switch t.Kind {
	case schema.Count, schema.Sum:
		return 8
	case schema.Min, schema.Max, schema.Avg, schema.Stats:
		return 16
	case schema.Hist:
		return 8 * schema.HistBuckets(t.Bits)
	case schema.LHist:
		return 8 * schema.LHistBuckets(t.Min, t.Max, t.Step)
	case schema.TSeries:
		return 24 * t.Buckets
	}
	return size(t)
}

// presentOffset is where the word lies that tells whether a map without key has a value.
func presentOffset(t *schema.Type) int64 { return int64(valueSize(t)+7) &^ 7 }

func (u *unit) mapSpec(m *mapInfo) *ebpf.MapSpec {
	s := &ebpf.MapSpec{Name: m.Object, KeySize: 4, ValueSize: uint32(presentOffset(m.Value)) + 8, MaxEntries: 1}
	if m.Key == nil {
		s.Type = ebpf.Array
		if m.PerCPU {
			s.Type = ebpf.PerCPUArray
		}
		return s
	}
	s.KeySize, s.ValueSize, s.MaxEntries = uint32(size(m.Key)), uint32(valueSize(m.Value)), uint32(max(1, m.Max))
	lru := m.of.Declared == "lruhash" || m.of.Declared == "percpulruhash"
	switch {
	case lru && m.PerCPU:
		s.Type = ebpf.LRUCPUHash
	case lru:
		s.Type = ebpf.LRUHash
	case m.PerCPU:
		s.Type = ebpf.PerCPUHash
	default:
		s.Type = ebpf.Hash
	}
	// Entries made in advance are faster to insert; big ones are made when needed, so that a map costs what it holds. In an interrupt
	// the kernel has few of them at hand, one at first: probes there that need more at once get them in advance, within reason.
	bytes := uint64(s.ValueSize+7) &^ 7
	if m.PerCPU {
		bytes *= uint64(max(1, u.target.CPUs))
	}
	bytes = (bytes + uint64(s.KeySize) + 64) * uint64(s.MaxEntries)
	most := uint64(1 << 20)
	switch {
	case u.facts.bursts[m.of]:
		most = 32 << 20
	case m.PerCPU && u.facts.rapid[m.of]: // values of each CPU take the kernel longer
		most = 16 << 20
	}
	if bytes > most && !lru && !u.facts.ready[m.of] && u.target.Supports(ir.MemAlloc) {
		s.Flags |= unix.BPF_F_NO_PREALLOC
	}
	return s
}

// copiesStacks reports whether copies of stacks go to the data ring.
func (u *unit) copiesStacks() bool {
	return slices.ContainsFunc(u.Script.Events, func(e *schema.Event) bool { return e.Kind == schema.StackCopy })
}

// finishMaps adds the maps that every unit has, as far as its programs use them.
func (u *unit) finishMaps() {
	used := map[string]bool{}
	for _, p := range u.Spec.Programs {
		for i := range p.Instructions {
			if name := p.Instructions[i].Reference(); name != "" {
				used[name] = true
			}
		}
	}
	add := func(s *ebpf.MapSpec) { u.Spec.Maps[s.Name] = s }
	pages := u.tree.Config.PerfRBPages
	if pages == 0 {
		pages = 256
		if u.copiesStacks() {
			pages = 1024 // 16 KB each
		}
	}
	ring := 4096
	for ring < pages*4096 {
		ring *= 2
	}
	if used[MapEvents] {
		add(&ebpf.MapSpec{Name: MapEvents, Type: ebpf.RingBuf, MaxEntries: uint32(ring)})
	}
	if used[MapControl] {
		add(&ebpf.MapSpec{Name: MapControl, Type: ebpf.RingBuf, MaxEntries: 1 << 16})
	}
	add(&ebpf.MapSpec{Name: MapState, Type: ebpf.Array, KeySize: 4, ValueSize: StateSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
	if used[MapScratch] {
		add(&ebpf.MapSpec{Name: MapScratch, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: uint32(u.scratchMax+7) &^ 7, MaxEntries: u.scratch})
	}
	if used[MapDrops] {
		add(&ebpf.MapSpec{Name: MapDrops, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(8 * (firstMapDrop + u.mapDrops)), MaxEntries: 1})
	}
	if used[MapStrings] {
		add(u.data.spec())
	}
	for name, s := range u.stacks {
		if used[name] {
			u.Spec.Maps[name] = s
		}
	}
}

// countDrop counts one lost thing in MapDrops.
func (f *fn) countDrop(index int) {
	f.b.Atomic(ir.OpAtomicAdd, f.b.MapValue(MapDrops, 0), int64(8*index), 8, f.b.Const(1))
}

// countFull counts an insertion that failed here since the map is full.
func (f *fn) countFull(m *mapInfo) {
	for _, d := range m.Drops {
		if d.Span == f.b.Span {
			f.countDrop(d.Index)
			return
		}
	}
	d := schema.Drop{Index: firstMapDrop + f.mapDrops, Span: f.b.Span}
	f.mapDrops++
	m.Drops = append(m.Drops, d)
	f.countDrop(d.Index)
}

// key gives the address of a map's key.
func (f *fn) key(m *mapInfo, x check.Expr) *ir.Value {
	k, _ := f.namedKey(m, x)
	return k
}

// namedKey gives the address of a map's key, and what it is made of.
func (f *fn) namedKey(m *mapInfo, x check.Expr) (*ir.Value, string) {
	if c, ok := x.(*check.VarRef); ok && !isScalar(m.Key) && schema.Equal(c.Var.Type, m.Key) && f.variable(c.Var).pair == nil {
		return f.addressOfOwn(f.at(x)), ""
	}
	text := f.keyText(m.Key, x)
	for _, k := range f.memo.keys {
		if text != "" && k.text == text {
			return k.slot, text
		}
	}
	n := (size(m.Key) + 7) &^ 7
	if scalar := isScalar(m.Key); scalar {
		n = scalarSize(m.Key)
	}
	k := f.slot("key", n, 8)
	f.into(x, m.Key, k, 0)
	if text != "" {
		f.memo.keys = append(f.memo.keys, madeKey{text, k})
	}
	return k, text
}

func (f *fn) addressOfOwn(p place) *ir.Value { return f.b.AddConst(p.base, p.off) }

// lookup finds the value of a key: a MaybeNull.
func (f *fn) lookup(m *mapInfo, key *ir.Value) *ir.Value {
	return f.b.Call(fnMapLookup, ir.MaybeNull, 0, f.b.Map(m.Object), key)
}

// lookupKey finds the value of a key, or remembers that it was found before.
func (f *fn) lookupKey(m *mapInfo, x check.Expr) *ir.Value {
	k, text := f.namedKey(m, x)
	return f.lookupNamed(m, k, text)
}

// lookupNamed is lookupKey for a key that is there already, and what it is made of.
func (f *fn) lookupNamed(m *mapInfo, k *ir.Value, text string) *ir.Value {
	for _, l := range f.memo.lookups {
		if text != "" && l.m == m && l.text == text && l.epoch == m.epoch {
			return l.found
		}
	}
	p := f.lookup(m, k)
	if text != "" {
		f.memo.lookups = append(f.memo.lookups, madeLookup{m, text, m.epoch, p})
	}
	return p
}

// element finds the value of a key and calls use with it. A missing one is made first, all zero. If it cannot be, the
// drop is counted.
func (f *fn) element(m *mapInfo, key check.Expr, use func(p *ir.Value)) {
	if m.Key == nil {
		f.single(m, func(p *ir.Value) {
			use(p)
			f.b.Store(p, presentOffset(m.Value), 8, f.b.Const(1))
		})
		return
	}
	k := f.key(m, key)
	hit, end := f.newBlock(), f.newBlock()
	v := &ir.Var{Name: "element", Type: ir.Pointer}
	p := f.lookup(m, k)
	f.changed(m)
	miss := f.newBlock()
	found := f.newBlock()
	f.b.If(p, found, miss, ir.LikelyThen)
	f.arm(found, hit, func() { f.b.Write(v, p) })
	miss.Seal()
	f.b.At(miss)
	f.b.Call(fnMapUpdate, ir.Scalar, 0, f.b.Map(m.Object), k, f.b.MapValue(MapStrings, 0), f.b.Const(updateNoExist))
	p2 := f.lookup(m, k)
	found2, full := f.newBlock(), f.newBlock()
	f.b.If(p2, found2, full, ir.LikelyThen)
	f.arm(found2, hit, func() { f.b.Write(v, p2) })
	f.arm(full, end, func() { f.countFull(m) })
	f.arm(hit, end, func() { use(f.b.Read(v)) })
	end.Seal()
	f.b.At(end)
}

// single gives the address of the value of a map without key.
func (f *fn) single(m *mapInfo, use func(p *ir.Value)) {
	if !m.PerCPU {
		use(f.b.MapValue(m.Object, 0))
		return
	}
	key := f.slot("zero", 4, 4)
	f.b.Store(key, 0, 4, f.b.Const(0))
	p := f.lookup(m, key)
	f.ifElse(p, ir.LikelyThen, func() { use(p) }, nil)
}
