package maps

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A CgroupStorage is CGROUP_STORAGE or PERCPU_CGROUP_STORAGE: a value for each cgroup that a program is attached to, which the host makes
// when it attaches. The key is a u64 with the cgroup's number, and, if keys have 16 bytes, a u32 with the attach type.
type CgroupStorage struct {
	base
	table *Hash

	mu   sync.Mutex
	keys [][16]byte // that there are, the newest last
}

func newCgroupStorage(a *attr, opts Options) (Map, error) {
	perCPU := a.kind == ebpf.PerCPUCGroupStorage
	switch {
	case a.keySize != 8 && a.keySize != 16 || a.valueSize == 0:
		return nil, EINVAL
	case a.valueSize > maxStorageValue, perCPU && a.valueSize > maxPerCPU:
		return nil, E2BIG
	case !a.only(flagNUMANode | flagsAccess), a.maxEntries != 0:
		return nil, EINVAL
	}
	under := &attr{
		name: a.name, kind: ebpf.Hash, keySize: 16, valueSize: a.valueSize, maxEntries: 1 << 10, fields: a.fields,
		flags: flagNoPrealloc | a.flags&(flagReadOnlyProgram|flagWriteOnlyProgram),
	}
	if perCPU {
		under.kind = ebpf.PerCPUHash
	}
	table, err := newTable(under, opts, tableShape{value: int(a.valueSize), limit: 1 << 24})
	if err != nil {
		return nil, err
	}
	return &CgroupStorage{base: a.base(opts), table: table}, nil
}

func (m *CgroupStorage) opened()                  { m.table.opened() }
func (m *CgroupStorage) Regions() []memory.Region { return m.table.Regions() }
func (m *CgroupStorage) Close() error             { return m.table.Close() }

// cgroupKey is a key without what the kernel does not compare.
func (m *CgroupStorage) cgroupKey(key []byte) (k [16]byte) {
	copy(k[:], key[:min(len(key), 12)])
	return k
}

func (m *CgroupStorage) key(cgroup uint64, attachType uint32) (k [16]byte) {
	binary.NativeEndian.PutUint64(k[:], cgroup)
	if m.keySize == 16 {
		binary.NativeEndian.PutUint32(k[8:], attachType)
	}
	return k
}

// Attach makes the value of a cgroup and attach type, zeros, if it is not there.
func (m *CgroupStorage) Attach(cgroup uint64, attachType uint32) error {
	k := m.key(cgroup, attachType)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch err := m.table.update(0, k[:], make([]byte, m.userValueSize()), NoExist, m.table.perCPU); err {
	case nil:
		m.keys = append(m.keys, k)
		return nil
	case EEXIST:
		return nil
	default:
		return ENOMEM
	}
}

// Detach takes a value away.
func (m *CgroupStorage) Detach(cgroup uint64, attachType uint32) {
	k := m.key(cgroup, attachType)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.Delete(k[:]) == nil {
		m.keys = slices.DeleteFunc(m.keys, func(other [16]byte) bool { return other == k })
	}
}

// Get is bpf_get_local_storage for a program that runs for a cgroup: the address of the CPU's value, or 0 before Attach.
func (m *CgroupStorage) Get(cpu int, cgroup uint64, attachType uint32) uint64 {
	k := m.key(cgroup, attachType)
	return m.table.Lookup(cpu, k[:])
}

func (m *CgroupStorage) Lookup(cpu int, key []byte) uint64 {
	k := m.cgroupKey(key)
	return m.table.Lookup(cpu, k[:])
}

func (m *CgroupStorage) Update(cpu int, key, value []byte, flags uint64) error {
	return m.update(cpu, key, value, flags, false)
}

func (m *CgroupStorage) update(cpu int, key, value []byte, flags uint64, all bool) error {
	if flags&^(Lock|Exist|NoExist) != 0 || flags&Lock != 0 && m.fields.Lock < 0 {
		return EINVAL
	}
	k := m.cgroupKey(key)
	if m.table.Lookup(0, k[:]) == 0 {
		return ENOENT
	}
	if flags&NoExist != 0 {
		return EEXIST
	}
	return m.table.update(cpu, k[:], value, flags&Lock|Exist, all)
}

func (m *CgroupStorage) userValueSize() int { return m.table.userValueSize() }

func (m *CgroupStorage) userLookup(key, value []byte, flags uint64) error {
	k := m.cgroupKey(key)
	return m.table.userLookup(k[:], value, flags)
}

func (m *CgroupStorage) userUpdate(key, value []byte, flags uint64) error {
	return m.update(0, key, value, flags, m.table.perCPU)
}

// nextKey begins with the newest.
func (m *CgroupStorage) nextKey(key, next []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := len(m.keys)
	if key != nil {
		at = slices.Index(m.keys, m.cgroupKey(key))
	}
	if at <= 0 {
		return ENOENT
	}
	copy(next, m.keys[at-1][:])
	return nil
}

func (m *CgroupStorage) each(f func(key, value []byte) bool) error {
	return m.table.each(func(key, value []byte) bool { return f(key[:m.keySize], value) })
}
