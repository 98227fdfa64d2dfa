package maps

import (
	"encoding/binary"
	"math"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A Storage is SK_STORAGE, INODE_STORAGE, TASK_STORAGE or CGRP_STORAGE: a value for each owner. The host says what a socket, inode, task
// or cgroup is: a number that is not used twice. User space's keys are file descriptors, which [Options.Target] turns into such numbers.
type Storage struct {
	base
	table *Hash // by owner
	zero  []byte
}

const (
	// StorageCreate is the flag of bpf_sk_storage_get and its like that makes a value which is not there.
	StorageCreate = 1 // BPF_LOCAL_STORAGE_GET_F_CREATE

	maxStorageValue  = math.MaxUint16 - 128 // BPF_LOCAL_STORAGE_MAX_VALUE_SIZE
	maxStorageOwners = 1 << 26
)

func newStorage(a *attr, opts Options) (Map, error) {
	switch {
	case a.flags&^(flagNoPrealloc|flagClone) != 0 || a.flags&flagNoPrealloc == 0 || a.maxEntries != 0 || a.keySize != 4 || a.valueSize == 0 || !a.typed:
		return nil, EINVAL
	case a.valueSize > maxStorageValue:
		return nil, E2BIG
	}
	under := &attr{
		name: a.name, kind: ebpf.Hash, keySize: 8, valueSize: a.valueSize, maxEntries: 1 << 14, flags: flagNoPrealloc, fields: a.fields,
	}
	table, err := newTable(under, opts, tableShape{value: int(a.valueSize), limit: maxStorageOwners})
	if err != nil {
		return nil, err
	}
	return &Storage{base: a.base(opts), table: table, zero: make([]byte, a.valueSize)}, nil
}

func (m *Storage) opened()                  { m.table.opened() }
func (m *Storage) Regions() []memory.Region { return m.table.Regions() }
func (m *Storage) Close() error             { return m.table.Close() }

func ownerKey(owner uint64) (key [8]byte) {
	binary.NativeEndian.PutUint64(key[:], owner)
	return key
}

// Get gives the address of an owner's value, or 0. With [StorageCreate], a value that is not there is made of init, or of zeros if that
// is nil.
func (m *Storage) Get(owner uint64, init []byte, flags uint64) uint64 {
	if flags&^StorageCreate != 0 {
		return 0
	}
	key := ownerKey(owner)
	at := m.table.Lookup(0, key[:])
	if at != 0 || flags&StorageCreate == 0 {
		return at
	}
	if init == nil {
		init = m.zero
	}
	if err := m.table.Update(0, key[:], init, NoExist); err != nil && err != EEXIST {
		return 0
	}
	return m.table.Lookup(0, key[:])
}

// Remove deletes the value of an owner, as programs do, and as the host does when the owner ends.
func (m *Storage) Remove(owner uint64) error {
	key := ownerKey(owner)
	return m.table.Delete(key[:])
}

// owner is what a key of user space means.
func (m *Storage) owner(key []byte) ([8]byte, error) {
	owner, err := m.opts.target(m.kind, index(key))
	return ownerKey(owner), err
}

func (m *Storage) userLookup(key, value []byte, flags uint64) error {
	owner, err := m.owner(key)
	if err != nil {
		return err
	}
	return m.table.userLookup(owner[:], value, flags)
}

func (m *Storage) userUpdate(key, value []byte, flags uint64) error {
	owner, err := m.owner(key)
	if err != nil {
		return err
	}
	return m.table.Update(0, owner[:], value, flags)
}

func (m *Storage) userDelete(key []byte) error {
	owner, err := m.owner(key)
	if err != nil {
		return err
	}
	return m.table.Delete(owner[:])
}

func (m *Storage) nextKey(_, _ []byte) error { return ENOTSUPP }

// each gives owners as u64 keys, unlike user space in the kernel, which cannot list them.
func (m *Storage) each(f func(key, value []byte) bool) error { return m.table.each(f) }
