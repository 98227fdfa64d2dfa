package vm

import (
	"encoding/binary"

	"skep/vm/maps"
)

// Flags of the helpers for stacks.
const (
	stackSkip    = 0xff
	stackUser    = 1 << 8
	stackCompare = 1 << 9
	stackReuse   = 1 << 10
	stackBuildID = 1 << 11
	stackDepth   = 127 // PERF_MAX_STACK_DEPTH
)

// frames is the current stack, without those frames that the flags skip.
func (t *Thread) frames(flags uint64) []uint64 {
	f := t.machine.options.Host.Stack
	if f == nil {
		return nil
	}
	if t.stack == nil {
		t.stack = make([]uint64, stackDepth)
	}
	n := min(max(f(t, flags&stackUser != 0, t.stack), 0), stackDepth)
	return t.stack[min(int(flags&stackSkip), n):n]
}

// getStackID keeps the stack in a map and returns its number there.
func getStackID(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[1]).(*maps.StackTrace)
	flags := a[2]
	switch {
	case !ok:
		return t.fail("get_stackid: r2 is not a map of stacks")
	case flags&^(stackSkip|stackUser|stackCompare|stackReuse) != 0:
		return errno(maps.EINVAL)
	}
	frames := t.frames(flags &^ stackSkip)
	if frames == nil {
		return errno(maps.EFAULT)
	}
	return uint64(m.StackID(frames, flags&^stackUser))
}

// getStack stores the frames of the stack and returns how many bytes that were.
func getStack(t *Thread, a *[5]uint64) uint64 {
	return t.storeStack(memoryAt(a[1], a[2]), a[3])
}

// getTaskStack knows only the current task's.
func getTaskStack(t *Thread, a *[5]uint64) uint64 {
	if task := t.task(); task.Address != a[0] {
		clear(memoryAt(a[1], a[2]))
		return errno(maps.EOPNOTSUPP)
	}
	return t.storeStack(memoryAt(a[1], a[2]), a[3])
}

func (t *Thread) storeStack(to []byte, flags uint64) uint64 {
	clear(to)
	if flags&^(stackSkip|stackUser|stackBuildID) != 0 || len(to)%8 != 0 || flags&stackBuildID != 0 {
		return errno(maps.EINVAL)
	}
	frames := t.frames(flags)
	if frames == nil {
		return errno(maps.EFAULT)
	}
	n := 0
	for ; n < len(frames) && n*8 < len(to); n++ {
		binary.NativeEndian.PutUint64(to[n*8:], frames[n])
	}
	return uint64(n * 8)
}
