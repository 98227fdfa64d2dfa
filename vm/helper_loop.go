package vm

import (
	"skep/vm/code"
	"skep/vm/maps"
)

// maxLoops is BPF_MAX_LOOPS.
const maxLoops = 8 << 20

// loop calls a function with a number that counts and a pointer of the program's, until it returns 1.
func loop(t *Thread, a *[5]uint64) uint64 {
	rounds, callback, data, flags := a[0], a[1], a[2], a[3]
	if flags != 0 {
		return errno(maps.EINVAL)
	}
	if uint32(rounds) > maxLoops { // the argument is a u32
		// The kernel builds such loops into the program, with an error number of 32 bits.
		return uint64(uint32(errno(maps.E2BIG)))
	}
	slot, _ := code.FuncSlot(callback)
	for i := range uint64(uint32(rounds)) {
		r0, err := t.engine.Call(slot, [5]uint64{i, data})
		if err != nil {
			return 0
		}
		if r0 != 0 {
			return i + 1
		}
	}
	return uint64(uint32(rounds))
}

// tailCall goes on in the program at the index of a program array. Without one, the program that called goes on.
func tailCall(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[1]).(*maps.ProgArray)
	if !ok {
		return t.fail("tail_call: r2 is not a program array")
	}
	p := t.machine.objects.program(uint32(m.Target(uint32(a[2]))))
	if p == nil {
		return errno(maps.ENOENT)
	}
	if from := t.running(); p.trusted != from.trusted || p.native != from.native {
		return t.fail("tail_call: program %s was loaded for another engine or with another trust", p.Name)
	}
	if !t.engine.TailCall(p.image) {
		return errno(maps.EPERM)
	}
	t.tail = p
	return 0
}
