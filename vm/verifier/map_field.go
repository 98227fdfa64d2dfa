package verifier

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// fields are the parts of a map's value, or of an object that the program allocates, that are not plain data.
type fields struct {
	locks, timers, queues, counts []int
	failing                       []int  // locks that may not be had
	other                         string // the name of a kind that is not modelled
	size                          map[int]int
	kptrs                         map[int]kptr
	roots                         map[int]root
	nodes                         map[int]string // bpf_list_node or bpf_rb_node
}

// A root is the head of a list or the root of a tree.
type root struct {
	node string      // the struct that links its elements
	to   *btf.Struct // what these are
	at   int         // where the node lies in them
}

// A holder is what has fields.
type holder uint8

const (
	inValue  holder = iota // of a map
	inObject               // that the program allocates
)

// An invalidFields is why the kernel takes no fields of a type.
type invalidFields string

func (e invalidFields) Error() string { return string(e) }

// fieldsOf finds the special parts of a type; nil if there are none.
func (p *program) fieldsOf(k *rules, t btf.Type, where holder) (*fields, error) {
	if t == nil {
		return nil, nil
	}
	f := &fields{size: map[int]int{}, kptrs: map[int]kptr{}, roots: map[int]root{}, nodes: map[int]string{}}
	s := fieldSearch{f, p, k, where}
	var err error
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Datasec:
		for _, v := range t.Vars {
			if x, ok := v.Type.(*btf.Var); ok && err == nil {
				err = s.find(x.Type, x.Tags, int(v.Offset), 1)
			}
		}
	default:
		err = s.members(t, 0, 0)
	}
	if err == nil {
		err = f.check(k)
	}
	if err != nil {
		return nil, err
	}
	if len(f.size) == 0 && f.other == "" && len(f.kptrs) == 0 {
		return nil, nil
	}
	return f, nil
}

// check asks that the fields go with each other.
func (f *fields) check(k *rules) error {
	for _, one := range [][]int{f.locks, f.failing, f.timers, f.queues, f.counts} {
		if len(one) > 1 && k.kernel >= Linux6_1 {
			return invalidFields("there are two locks, timers, work queues or counts of references")
		}
	}
	if len(f.size)+len(f.kptrs) > k.mostFields && f.other == "" {
		return invalidFields("there are too many special fields")
	}
	if len(f.failing) > 0 && len(f.roots)+len(f.locks) > 0 {
		f.other = "a bpf_res_spin_lock next to lists, trees or another lock"
	}
	if len(f.roots) > 0 && len(f.locks) == 0 && f.other == "" {
		return invalidFields("a list or tree has no lock next to it")
	}
	var lists, trees bool
	for _, n := range f.nodes {
		lists, trees = lists || n == "bpf_list_node", trees || n == "bpf_rb_node"
	}
	if lists && trees && len(f.counts) == 0 {
		return invalidFields("a struct with nodes for lists and for trees has no count of references")
	}
	return nil
}

// A fieldSearch fills fields.
type fieldSearch struct {
	*fields
	prog  *program
	rules *rules
	where holder
}

// members searches a struct. Before Linux 6.11 only its own members are special, not those of structs in it.
func (s *fieldSearch) members(t btf.Type, at, depth int) error {
	st, ok := t.(*btf.Struct)
	if !ok {
		return nil
	}
	if depth > 15 {
		return invalidFields("structs are nested too deeply")
	}
	for _, m := range st.Members {
		if m.BitfieldSize > 0 {
			continue
		}
		if err := s.find(m.Type, m.Tags, at+int(m.Offset.Bytes()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// find looks at one member or variable.
func (s *fieldSearch) find(t btf.Type, tags []string, at, depth int) error {
	count := 1
	if s.rules.nestedFields {
		for {
			a, ok := t.(*btf.Array)
			if !ok {
				break
			}
			count *= int(a.Nelems)
			t = a.Type
		}
	}
	if count == 0 {
		return nil
	}
	before := len(s.size) + len(s.kptrs)
	size := 8
	switch t := t.(type) {
	case *btf.Struct:
		size = int(t.Size)
		known, err := s.special(t, tags, at)
		if err != nil {
			return err
		}
		if !known && s.rules.nestedFields {
			if err := s.members(t, at, depth); err != nil {
				return err
			}
		}
	case *btf.Pointer:
		if s.where == inObject && !s.rules.objectKptrs {
			return nil
		}
		if p, is, other := s.rules.kptrOf(t); other != "" {
			s.other = other
			s.size[at] = 8
		} else if is {
			s.kptrs[at] = p
		}
	}
	if count == 1 || len(s.size)+len(s.kptrs) == before {
		return nil
	}
	return s.repeat(at, size, count)
}

// repeat makes of what was found in the first element of an array the same for the others.
func (s *fieldSearch) repeat(at, size, count int) error {
	if count > 64 {
		return invalidFields("there are too many special fields")
	}
	within := func(x int) bool { return x >= at && x < at+size }
	for x, n := range s.size {
		if !within(x) {
			continue
		}
		r, ok := s.roots[x]
		if !ok {
			return invalidFields("an array has locks, timers, work queues, nodes or counts of references")
		}
		for i := 1; i < count; i++ {
			s.size[x+i*size], s.roots[x+i*size] = n, r
		}
	}
	for x, p := range s.kptrs {
		if within(x) {
			for i := 1; i < count; i++ {
				s.kptrs[x+i*size] = p
			}
		}
	}
	return nil
}

// special notes a struct that the kernel knows by its name.
func (s *fieldSearch) special(t *btf.Struct, tags []string, at int) (known bool, err error) {
	d, ok := specialStructs[t.Name]
	size := d.size
	if s.rules.kernel < linux(6, 6) && (t.Name == "bpf_list_node" || t.Name == "bpf_rb_node") {
		size -= 8
	}
	if !ok || s.rules.kernel < d.since || d.where&(1<<s.where) == 0 {
		return false, nil
	}
	if int(t.Size) != size || at%d.align != 0 {
		return true, nil // plain data
	}
	switch t.Name {
	case "bpf_spin_lock":
		s.locks = append(s.locks, at)
	case "bpf_res_spin_lock":
		s.failing = append(s.failing, at)
	case "bpf_timer":
		s.timers = append(s.timers, at)
	case "bpf_wq":
		s.queues = append(s.queues, at)
	case "bpf_refcount":
		s.counts = append(s.counts, at)
	case "bpf_list_node", "bpf_rb_node":
		s.nodes[at] = t.Name
	case "bpf_list_head", "bpf_rb_root":
		r, err := s.prog.rootOf(t.Name, tags)
		if err != nil {
			return true, err
		}
		s.roots[at] = r
	default:
		s.other = t.Name
	}
	s.size[at] = size
	return true, nil
}

// rootOf reads from its tag what a list or tree has as elements.
func (p *program) rootOf(name string, tags []string) (r root, err error) {
	of, member, ok := "", "", false
	for _, tag := range tags {
		if rest, is := strings.CutPrefix(tag, "contains:"); is {
			if ok {
				return r, invalidFields("a list or tree has two tags that tell what is in it")
			}
			of, member, ok = strings.Cut(rest, ":")
		}
	}
	if !ok || member == "" {
		return r, invalidFields("a list or tree has no tag that tells what is in it")
	}
	r.node = "bpf_list_node"
	if name == "bpf_rb_root" {
		r.node = "bpf_rb_node"
	}
	if r.to = p.structNamed(of); r.to == nil {
		return r, invalidFields("a list or tree has elements of struct " + of + ", which does not exist")
	}
	for _, m := range r.to.Members {
		if m.Name != member {
			continue
		}
		if s, ok := m.Type.(*btf.Struct); !ok || s.Name != r.node {
			break
		}
		r.at = int(m.Offset.Bytes())
		return r, nil
	}
	return r, invalidFields("struct " + of + " has no " + r.node + " of the name " + member)
}

// A specialStruct is one that the kernel knows by its name.
type specialStruct struct {
	size, align int
	where       uint8 // holders in which it is more than plain data, as bits
	since       Kernel
}

const (
	valuesOnly   = 1 << inValue
	objectsOnly  = 1 << inObject
	inEverything = valuesOnly | objectsOnly
)

var specialStructs = map[string]specialStruct{
	"bpf_spin_lock":     {4, 4, inEverything, 0},
	"bpf_res_spin_lock": {4, 4, inEverything, linux(6, 15)},
	"bpf_timer":         {16, 8, valuesOnly, linux(5, 15)},
	"bpf_wq":            {16, 8, valuesOnly, linux(6, 10)},
	"bpf_task_work":     {8, 8, valuesOnly, Linux6_18},
	"bpf_list_head":     {16, 8, inEverything, linux(6, 2)},
	"bpf_list_node":     {24, 8, objectsOnly, linux(6, 2)},
	"bpf_rb_root":       {16, 8, inEverything, linux(6, 3)},
	"bpf_rb_node":       {32, 8, objectsOnly, linux(6, 3)},
	"bpf_refcount":      {4, 4, inEverything, linux(6, 4)},
}

// readFields finds what is special in a map's values, by the names that this kernel has for it.
func (v *verifier) readFields(m *mapDef) {
	m.fields, _ = v.prog.fieldsOf(v.rules, m.spec.Value, inValue) // with fields that it does not take, the kernel takes none
	if s, ok := m.spec.Value.(*btf.Struct); ok && v.rules.objects && linksObjects(s) {
		if _, err := v.prog.fieldsOf(v.rules, s, inObject); err != nil {
			v.reject("type", "the kernel does not take struct %s: %v", s.Name, err)
		}
	}
	if m.inner != nil {
		v.readFields(m.inner)
	}
}

// linksObjects reports whether members of a struct are such that the kernel looks at it as at what may be allocated.
func linksObjects(s *btf.Struct) bool {
	return slices.ContainsFunc(s.Members, func(m btf.Member) bool {
		t, ok := m.Type.(*btf.Struct)
		return ok && specialStructs[t.Name].where&objectsOnly != 0
	})
}

// checkSleepableMap asks that programs which may sleep may use the map.
func (v *verifier) checkSleepableMap(m *mapDef) {
	t := m.spec.Type
	if m.fields != nil && len(m.fields.locks) > 0 && v.rules.kernel < linux(6, 12) {
		if v.rules.kernel > Linux6_1 {
			v.unmodelled("locks in programs that may sleep")
		}
		v.reject("lock", "programs that may sleep cannot use maps with locks in their values, as %s", m.name)
	}
	switch t {
	case ebpf.Hash, ebpf.LRUHash, ebpf.Array:
		if v.rules.kernel < linux(5, 12) && m.spec.Flags&1 != 0 {
			v.reject("map", "programs that may sleep need maps that are allocated beforehand, and %s is not", m.name)
		}
		return
	}
	if v.rules.kernel < Linux6_1 {
		v.unmodelled("maps of type " + t.String() + " in programs that may sleep")
	}
	switch t {
	case ebpf.PerCPUHash, ebpf.PerCPUArray, ebpf.LRUCPUHash, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.RingBuf, ebpf.UserRingbuf, ebpf.InodeStorage,
		ebpf.SkStorage, ebpf.TaskStorage, ebpf.CgroupStorage, ebpf.Arena:
		return
	case ebpf.Queue, ebpf.Stack:
		if v.rules.kernel >= linux(6, 12) {
			return
		}
		if v.rules.kernel > Linux6_1 {
			v.unmodelled("maps of type " + t.String() + " in programs that may sleep")
		}
	}
	v.reject("map", "programs that may sleep cannot use maps of type %s, as %s", t, m.name)
}

// isProbe reports whether the program may interrupt anything that the kernel does.
func (v *verifier) isProbe() bool {
	switch v.prog.spec.Type {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		return true
	case ebpf.Tracing:
		return v.prog.spec.AttachType != ebpf.AttachTraceIter
	}
	return false
}

// checkMapFits asks that programs of this type may use the map.
func (v *verifier) checkMapFits(m *mapDef) {
	spec := v.prog.spec
	probe := v.isProbe() && spec.Type != ebpf.Tracing
	if m.fields != nil && len(m.fields.locks)+len(m.fields.failing) > 0 && (probe || spec.Type == ebpf.SocketFilter) {
		v.reject("lock", "programs of type %s cannot use maps with locks in their values, as %s", spec.Type, m.name)
	}
	if m.fields != nil && len(m.fields.roots) > 0 && probe {
		v.reject("graph", "programs of type %s cannot use maps with lists or trees in their values, as %s", spec.Type, m.name)
	}
	if m.fields != nil && len(m.fields.timers) > 0 && probe && !v.rules.probeTimers {
		v.reject("timer", "programs of type %s cannot use maps with timers in their values, as %s", spec.Type, m.name)
	}
	if m.fields != nil && len(m.fields.queues) > 0 && probe {
		v.reject("timer", "programs of type %s cannot use maps with work queues in their values, as %s", spec.Type, m.name)
	}
	if spec.Flags&sleepable != 0 {
		v.checkSleepableMap(m)
	}
	if m.spec.Type == ebpf.StructOpsMap {
		v.reject("map", "programs cannot use maps of type %s", m.spec.Type)
	}
	const noPrealloc = 1
	if spec.Type == ebpf.PerfEvent && v.rules.kernel < linux(6, 1) && m.spec.Flags&noPrealloc != 0 {
		switch m.spec.Type {
		case ebpf.Hash, ebpf.PerCPUHash, ebpf.HashOfMaps:
			v.reject("map", "programs of type %s need maps that are allocated beforehand, and %s is not", spec.Type, m.name)
		}
	}
	v.arena()
}
