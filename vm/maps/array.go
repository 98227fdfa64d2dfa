package maps

import (
	"encoding/binary"
	"math"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// An Array is BPF_MAP_TYPE_ARRAY or PERCPU_ARRAY: values one after the other, for a per-CPU array once for each CPU.
type Array struct {
	base
	block  *memory.Block
	values unsafe.Pointer
	stride uintptr   // from value to value
	cpu    uintptr   // from CPU to CPU; 0 if there is one copy for all
	keys   sync.Pool // of walks, *[4]byte
}

func newArray(a *attr, opts Options) (Map, error) {
	perCPU := a.kind == ebpf.PerCPUArray
	flags := uint32(flagNUMANode | flagsAccess)
	if !perCPU {
		flags |= flagMmapable | flagInnerMap
	}
	switch {
	case !a.indexed() || a.valueSize == 0 || !a.only(flags) || perCPU && a.flags&flagNUMANode != 0:
		return nil, EINVAL
	case a.valueSize > math.MaxInt32, perCPU && roundUp8(int(a.valueSize)) > maxPerCPU:
		return nil, E2BIG
	}
	stride := roundUp8(int(a.valueSize))
	if tooBig(uint64(a.maxEntries), uint64(stride)*uint64(opts.CPUs)) {
		return nil, ENOMEM
	}
	m := &Array{base: a.base(opts), stride: uintptr(stride)}
	size, copies := stride*m.maxEntries, 1
	if perCPU {
		size = (size + pageSize - 1) &^ (pageSize - 1) // no two CPUs in one cache line
		m.cpu, copies = uintptr(size), opts.CPUs
	}
	var err error
	if m.block, err = memory.New(size * copies); err != nil {
		return nil, ENOMEM
	}
	m.values = unsafe.Pointer(unsafe.SliceData(m.block.Bytes()))
	return m, nil
}

const pageSize = 4096

// indexed says that keys are a u32 below max_entries, of which there is one.
func (a *attr) indexed() bool { return a.keySize == 4 && a.maxEntries != 0 }

func index(key []byte) uint32 { return binary.NativeEndian.Uint32(key) }

// Layout is what code that looks up by itself has to know: value i of CPU c is at base + i*stride + c*cpu.
func (m *Array) Layout() (base, stride, cpu uint64) {
	return address(m.values), uint64(m.stride), uint64(m.cpu)
}

// Bytes is all values, as user space sees them that maps the array. A value has stride bytes.
func (m *Array) Bytes() []byte { return m.block.Bytes() }

func (m *Array) Regions() []memory.Region {
	return []memory.Region{{
		Base: m.block.Base(), Size: uint64(len(m.block.Bytes())), ReadOnly: m.flags&flagReadOnlyProgram != 0, Name: m.regionName(),
	}}
}

func (m *Array) Close() error {
	if m.opts.Release != nil && m.fields.special() {
		for i := range m.maxEntries {
			m.release(m.at(0, uint32(i)))
		}
	}
	return m.block.Free()
}

func (m *Array) at(cpu int, i uint32) unsafe.Pointer {
	return unsafe.Add(m.values, uintptr(i)*m.stride+uintptr(cpu)*m.cpu)
}

func (m *Array) value(cpu int, i uint32) []byte { return bytesAt(m.at(cpu, i), m.valueSize) }

func (m *Array) Lookup(cpu int, key []byte) uint64 {
	i := index(key)
	if uint(i) >= uint(m.maxEntries) {
		return 0
	}
	return address(m.at(cpu, i))
}

func (m *Array) Update(cpu int, key, value []byte, flags uint64) error {
	i := index(key)
	if err := m.mayUpdate(i, flags); err != nil {
		return err
	}
	if m.cpu != 0 {
		copy(m.value(cpu, i), value)
		return nil
	}
	if flags&Lock != 0 {
		m.setLocked(m.value(0, i), value)
	} else {
		m.set(m.value(0, i), value)
	}
	m.release(m.at(0, i))
	return nil
}

func (m *Array) mayUpdate(i uint32, flags uint64) error {
	switch {
	case flags&^Lock > Exist:
		return EINVAL
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case flags&NoExist != 0:
		return EEXIST
	case flags&Lock != 0 && m.fields.Lock < 0:
		return EINVAL
	}
	return nil
}

func (m *Array) ForEach(cpu int, f func(key []byte, value uint64) bool) (int, error) {
	key, ok := m.keys.Get().(*[4]byte)
	if !ok {
		key = new([4]byte)
	}
	defer m.keys.Put(key)
	for i := range m.maxEntries {
		binary.NativeEndian.PutUint32(key[:], uint32(i))
		if !f(key[:], address(m.at(cpu, uint32(i)))) {
			return i + 1, nil
		}
	}
	return m.maxEntries, nil
}

func (m *Array) KeyOf(value uint64) []byte {
	i := (value - address(m.values)) / uint64(m.stride)
	if i >= uint64(m.maxEntries) {
		return nil
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(i))
}

func (m *Array) userValueSize() int {
	if m.cpu != 0 {
		return roundUp8(m.valueSize) * m.opts.CPUs
	}
	return m.valueSize
}

func (m *Array) userLookup(key, value []byte, flags uint64) error {
	i := index(key)
	if uint(i) >= uint(m.maxEntries) {
		return ENOENT
	}
	if m.cpu == 0 {
		m.get(value, m.value(0, i), flags)
		return nil
	}
	for cpu := range m.opts.CPUs {
		copy(value[cpu*int(m.stride):][:m.stride], bytesAt(m.at(cpu, i), int(m.stride)))
	}
	return nil
}

func (m *Array) userUpdate(key, value []byte, flags uint64) error {
	if m.cpu == 0 {
		return m.Update(0, key, value, flags)
	}
	i := index(key)
	switch {
	case flags > Exist:
		return EINVAL
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case flags == NoExist:
		return EEXIST
	}
	for cpu := range m.opts.CPUs {
		copy(bytesAt(m.at(cpu, i), int(m.stride)), value[cpu*int(m.stride):])
	}
	return nil
}

func (m *Array) nextKey(key, next []byte) error { return m.nextIndex(key, next) }

// nextIndex is the order of all kinds whose keys are indices.
func (b *base) nextIndex(key, next []byte) error {
	i := uint32(0)
	if key != nil {
		i = index(key)
		switch {
		case uint(i) >= uint(b.maxEntries):
			i = 0
		case int(i) == b.maxEntries-1:
			return ENOENT
		default:
			i++
		}
	}
	binary.NativeEndian.PutUint32(next, i)
	return nil
}

func (m *Array) each(f func(key, value []byte) bool) error {
	key, value := make([]byte, 4), make([]byte, m.userValueSize())
	for i := range m.maxEntries {
		binary.NativeEndian.PutUint32(key, uint32(i))
		if err := m.userLookup(key, value, Any); err != nil {
			return err
		}
		if !f(key, value) {
			break
		}
	}
	return nil
}
