package vm

import (
	"bytes"
	"strings"

	"skep/vm/maps"
	"skep/vm/memory"
)

// tracePrintk formats up to three arguments.
func tracePrintk(t *Thread, a *[5]uint64) uint64 {
	return t.trace(memory.At(a[0], int(uint32(a[1]))), a[2:5])
}

func traceVprintk(t *Thread, a *[5]uint64) uint64 {
	args, e := numbers(a[2], a[3])
	if e != 0 {
		return errno(e)
	}
	return t.trace(memory.At(a[0], int(uint32(a[1]))), args)
}

func (t *Thread) trace(format []byte, args []uint64) uint64 {
	if len(format) == 0 || format[len(format)-1] != 0 {
		return errno(maps.EINVAL)
	}
	text, e := t.format(format, args)
	if e != 0 {
		return errno(e)
	}
	if f := t.machine.options.Host.Trace; f != nil {
		f(t, strings.TrimSuffix(string(text), "\n"))
	}
	return uint64(len(text))
}

// seqPrintf and seqWrite are for programs of iterators.
func seqPrintf(t *Thread, a *[5]uint64) uint64 {
	args, e := numbers(a[3], a[4])
	format := memoryAt(a[1], a[2])
	if e != 0 || bytes.IndexByte(format, 0) < 0 {
		return errno(maps.EINVAL)
	}
	text, e := t.format(format, args)
	if e != 0 {
		return errno(e)
	}
	return t.sequence(a[0], text)
}

func seqWrite(t *Thread, a *[5]uint64) uint64 { return t.sequence(a[0], memoryAt(a[1], a[2])) }

func (t *Thread) sequence(file uint64, text []byte) uint64 {
	if f := t.machine.options.Host.Sequence; f == nil || f(t, file, text) != nil {
		return errno(maps.EOVERFLOW)
	}
	return 0
}

// snprintf writes what fits, with a final 0, and returns the length of all of it with the 0.
func snprintf(t *Thread, a *[5]uint64) uint64 {
	args, e := numbers(a[3], a[4])
	if e != 0 {
		return errno(e)
	}
	text, e := t.format(t.constant(a[2]), args)
	if e != 0 {
		return errno(e)
	}
	if to := memory.At(a[0], int(uint32(a[1]))); len(to) > 0 {
		to[copy(to[:len(to)-1], text)] = 0
	}
	return uint64(len(text) + 1)
}

// constant is a text that the program has, up to its final 0.
func (t *Thread) constant(addr uint64) []byte {
	n := 0
	for memory.At(addr+uint64(n), 1)[0] != 0 {
		n++
	}
	return memory.At(addr, n)
}
