package vm

import (
	"skep/vm/maps"
	"skep/vm/memory"
)

// storageGet finds the value of a socket, inode, task or cgroup: whatever number the host has for it.
func storageGet(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[0]).(*maps.Storage)
	if !ok {
		return t.fail("storage_get: r1 is not a map of local storage")
	}
	if a[1] == 0 {
		return 0
	}
	var init []byte
	if a[2] != 0 {
		init = memory.At(a[2], m.ValueSize())
	}
	return m.Get(a[1], init, a[3])
}

func storageDelete(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[0]).(*maps.Storage)
	if !ok {
		return t.fail("storage_delete: r1 is not a map of local storage")
	}
	if a[1] == 0 {
		return errno(maps.EINVAL)
	}
	return result(m.Remove(a[1]))
}

// localStorage is the value of the cgroup that the program is attached to, which the thread tells. It is always there.
func localStorage(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[0]).(*maps.CgroupStorage)
	if !ok {
		return t.fail("get_local_storage: r1 is not a map of cgroup storage")
	}
	attach := uint32(t.running().Attach)
	if addr := m.Get(t.engine.CPU, t.Cgroup, attach); addr != 0 {
		return addr
	}
	if err := m.Attach(t.Cgroup, attach); err != nil {
		return t.fail("get_local_storage: %w", err)
	}
	return m.Get(t.engine.CPU, t.Cgroup, attach)
}
