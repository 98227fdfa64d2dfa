package verifier

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// fields are the parts of a map's value that are not plain data.
type fields struct {
	locks, timers, queues []int
	other                 string // the name of a kind that is not modelled
	size                  map[int]int
	kptrs                 map[int]kptr
}

// fieldsOf finds the special structs in a value.
func (k *rules) fieldsOf(t btf.Type) *fields {
	if t == nil {
		return nil
	}
	f := &fields{size: map[int]int{}, kptrs: map[int]kptr{}}
	f.find(k, t, 0, 0)
	if len(f.size) == 0 && f.other == "" && len(f.kptrs) == 0 {
		return nil
	}
	return f
}

func (f *fields) find(k *rules, t btf.Type, at, depth int) {
	if depth > 8 {
		return
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		if k.kernel < sinceField(t.Name) {
			return // plain data yet
		}
		switch t.Name {
		case "bpf_spin_lock":
			f.locks = append(f.locks, at)
			f.size[at] = 4
			return
		case "bpf_timer":
			f.timers = append(f.timers, at)
			f.size[at] = 16
			return
		case "bpf_wq":
			f.queues = append(f.queues, at)
			f.size[at] = 16
			return
		case "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_refcount", "bpf_task_work", "bpf_res_spin_lock":
			f.other = t.Name
			f.size[at] = int(t.Size)
			return
		}
		for _, m := range t.Members {
			f.find(k, m.Type, at+int(m.Offset.Bytes()), depth+1)
		}
	case *btf.Array:
		n, err := btf.Sizeof(t.Type)
		if err != nil || t.Nelems > 64 {
			return
		}
		for i := range int(t.Nelems) {
			f.find(k, t.Type, at+i*n, depth+1)
		}
	case *btf.Pointer:
		if p, is, other := k.kptrOf(t); other != "" {
			f.other = other
			f.size[at] = 8
		} else if is {
			f.kptrs[at] = p
		}
	}
}

// sinceField is the first kernel that knows a struct as special.
func sinceField(name string) Kernel {
	switch name {
	case "bpf_timer":
		return linux(5, 15)
	case "bpf_list_head", "bpf_list_node":
		return linux(6, 2)
	case "bpf_rb_root", "bpf_rb_node":
		return linux(6, 3)
	case "bpf_refcount":
		return linux(6, 4)
	case "bpf_wq":
		return linux(6, 10)
	case "bpf_res_spin_lock":
		return linux(6, 15)
	case "bpf_task_work":
		return Linux6_18
	}
	return 0
}

// readFields finds what is special in a map's values, by the names that this kernel has for it.
func (v *verifier) readFields(m *mapDef) {
	m.fields = v.rules.fieldsOf(m.spec.Value)
	if m.inner != nil {
		v.readFields(m.inner)
	}
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

// checkMapFits asks that programs of this type may use the map.
func (v *verifier) checkMapFits(m *mapDef) {
	spec := v.prog.spec
	probe := false
	switch spec.Type {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		probe = true
	}
	if m.fields != nil && len(m.fields.locks) > 0 && (probe || spec.Type == ebpf.SocketFilter) {
		v.reject("lock", "programs of type %s cannot use maps with locks in their values, as %s", spec.Type, m.name)
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
	if m.spec.Type == ebpf.Arena {
		v.unmodelled("arena")
	}
}
