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
