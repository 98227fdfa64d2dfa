package vm

import (
	"encoding/binary"
	"slices"

	"skep/vm/maps"
	"skep/vm/memory"
)

// task is the current task as the host sees it.
func (t *Thread) task() Task {
	if f := t.machine.options.Host.Task; f != nil {
		return f(t)
	}
	return Task{}
}

func currentPidTgid(t *Thread, _ *[5]uint64) uint64 {
	task := t.task()
	return uint64(task.PID)<<32 | uint64(task.TID)
}

func currentUidGid(t *Thread, _ *[5]uint64) uint64 {
	task := t.task()
	return uint64(task.GID)<<32 | uint64(task.UID)
}

// taskCommLength is TASK_COMM_LEN.
const taskCommLength = 16

func currentComm(t *Thread, a *[5]uint64) uint64 {
	to := memory.At(a[0], int(a[1]))
	clear(to)
	if len(to) > 0 {
		n := copy(to, t.task().Comm[:min(len(t.task().Comm), taskCommLength-1)])
		to[min(n, len(to)-1)] = 0
	}
	return 0
}

func currentTask(t *Thread, _ *[5]uint64) uint64 { return t.task().Address }
func taskRegs(t *Thread, _ *[5]uint64) uint64    { return t.task().Regs }

func currentCgroupID(t *Thread, _ *[5]uint64) uint64 {
	task := t.task()
	return task.cgroup()
}

func currentAncestorCgroupID(t *Thread, a *[5]uint64) uint64 { return ancestor(t.task().Cgroups, a[0]) }

// ancestor is the cgroup at a level below the root, 0 if there is none.
func ancestor(cgroups []uint64, level uint64) uint64 {
	if level >= uint64(len(cgroups)) {
		return 0
	}
	return cgroups[level]
}

func currentUnderCgroup(t *Thread, a *[5]uint64) uint64 {
	return t.underCgroup(t.task().Cgroups, a[0], a[1])
}

// skbUnderCgroup asks about the packet's socket.
func skbUnderCgroup(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_under_cgroup")
	if p == nil {
		return 0
	}
	if len(p.Cgroups) == 0 {
		return errno(maps.ENOENT)
	}
	return t.underCgroup(p.Cgroups, a[1], a[2])
}

// underCgroup is 1 if one of the cgroups, which are those from the root down, is the one at an index of a map.
func (t *Thread) underCgroup(cgroups []uint64, array, index uint64) uint64 {
	m, ok := t.machine.mapAt(array).(*maps.CgroupArray)
	if !ok {
		return t.fail("under_cgroup: %#x is not a map of cgroups", array)
	}
	at := uint32(index)
	switch cgroup := m.Target(at); {
	case uint64(at) >= uint64(m.MaxEntries()):
		return errno(maps.E2BIG)
	case cgroup == 0:
		return errno(maps.EAGAIN)
	case slices.Contains(cgroups, cgroup):
		return 1
	}
	return 0
}

func cgroupClassID(t *Thread, _ *[5]uint64) uint64 { return uint64(t.task().ClassID) }

// nsCurrentPidTgid stores struct bpf_pidns_info, pid and tgid, if the task is in the pid namespace that is asked for.
func nsCurrentPidTgid(t *Thread, a *[5]uint64) uint64 {
	dev, ino := a[0], a[1]
	to := memory.At(a[2], int(a[3]))
	task := t.task()
	var e maps.Errno
	switch {
	case len(to) != 8:
		e = maps.EINVAL
	case task.Namespace == 0 || dev != task.NamespaceDev || ino != task.Namespace:
		e = maps.EINVAL
	default:
		binary.NativeEndian.PutUint32(to, task.NamespaceTID)
		binary.NativeEndian.PutUint32(to[4:], task.NamespacePID)
		return 0
	}
	clear(to)
	return errno(e)
}

func sendSignal(t *Thread, a *[5]uint64) uint64       { return t.signal(uint32(a[0]), true) }
func sendSignalThread(t *Thread, a *[5]uint64) uint64 { return t.signal(uint32(a[0]), false) }

func (t *Thread) signal(signal uint32, wholeProcess bool) uint64 {
	f := t.machine.options.Host.Signal
	if f == nil {
		return errno(maps.EPERM)
	}
	return result(f(t, signal, wholeProcess))
}

func attachCookie(t *Thread, _ *[5]uint64) uint64 { return t.Cookie }

func getRetval(t *Thread, _ *[5]uint64) uint64 { return uint64(t.retval) }

// setRetval takes what a system call will return: 0 or a negative error number.
func setRetval(t *Thread, a *[5]uint64) uint64 {
	if v := int64(int32(a[0])); v <= 0 && v >= -4095 {
		t.retval = v
		return 0
	}
	return errno(maps.EINVAL)
}

// kptrXchg puts a pointer in a map's value and returns the one that was there.
func kptrXchg(t *Thread, a *[5]uint64) uint64 {
	to := memory.At(a[0], 8)
	old := binary.NativeEndian.Uint64(to)
	binary.NativeEndian.PutUint64(to, a[1])
	return old
}
