package vm

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"skep/vm/maps"
	"skep/vm/memory"
)

// funcArg reads an argument of a BTF-typed program, whose context is all of them and, of one that sees returns, the result.
func funcArg(t *Thread, a *[5]uint64) uint64 {
	r, n := t.words()
	if a[1] >= uint64(t.arguments(n)) {
		return errno(maps.EINVAL)
	}
	copy(memory.At(a[2], 8), r[a[1]*8:])
	return 0
}

func funcRet(t *Thread, a *[5]uint64) uint64 {
	r, n := t.words()
	if t.arguments(n) == n {
		return errno(maps.EOPNOTSUPP)
	}
	binary.NativeEndian.PutUint64(memory.At(a[1], 8), binary.NativeEndian.Uint64(r[(n-1)*8:]))
	return 0
}

func funcArgCount(t *Thread, _ *[5]uint64) uint64 {
	_, n := t.words()
	return uint64(t.arguments(n))
}

// arguments is how many of the context's numbers are arguments.
func (t *Thread) arguments(n int) int {
	switch t.running().Attach {
	case ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
		return max(n-1, 0)
	}
	return n
}

// words is the context as numbers of 8 bytes, and how many there are.
func (t *Thread) words() ([]byte, int) {
	r, ok := t.context.(*Record)
	if !ok {
		return nil, 0
	}
	return r.Bytes(), len(r.Bytes()) / 8
}

func funcIP(t *Thread, _ *[5]uint64) uint64 { return t.FuncIP }

func overrideReturn(t *Thread, a *[5]uint64) uint64 {
	t.Override, t.Overridden = a[1], true
	return 0
}

// noHardware is for helpers that read what processors count or record.
func noHardware(*Thread, *[5]uint64) uint64 { return errno(maps.ENOENT) }

// sockOpsFlagsSet changes the field of struct bpf_sock_ops that says which callbacks are wanted, and returns flags that do not exist.
func sockOpsFlagsSet(t *Thread, a *[5]uint64) uint64 {
	const isFullsock, flags, all = 72, 84, 0x7f
	r, ok := t.context.(*Record)
	if !ok || len(r.Bytes()) < flags+4 {
		return t.fail("sock_ops_cb_flags_set: the context is not a struct bpf_sock_ops")
	}
	if binary.NativeEndian.Uint32(r.Bytes()[isFullsock:]) == 0 {
		return errno(maps.EINVAL)
	}
	binary.NativeEndian.PutUint32(r.Bytes()[flags:], uint32(a[1])&all)
	return uint64(uint32(a[1]) &^ all)
}
