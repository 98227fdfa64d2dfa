package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"skep/vm/engine"
	"skep/vm/maps"
	"skep/vm/memory"
)

var errNoMemory = errors.New("there is no memory at the address")

// readKernel copies what is at an address that the program got from somewhere: its own memory, or the kernel's as the host has it.
func (t *Thread) readKernel(addr uint64, to []byte) error {
	if _, ok := t.space.Find(addr, uint64(len(to))); ok {
		copy(to, memory.At(addr, len(to)))
		return nil
	}
	if f := t.machine.options.Host.ReadKernel; f != nil {
		return f(t, addr, to)
	}
	return errNoMemory
}

// readUser copies memory of the current task.
func (t *Thread) readUser(addr uint64, to []byte) error {
	if f := t.machine.options.Host.ReadUser; f != nil {
		return f(t, addr, to)
	}
	if _, ok := t.space.Find(addr, uint64(len(to))); ok {
		copy(to, memory.At(addr, len(to)))
		return nil
	}
	return errNoMemory
}

func probeRead(t *Thread, a *[5]uint64) uint64     { return t.probe(a, t.readKernel) }
func probeReadUser(t *Thread, a *[5]uint64) uint64 { return t.probe(a, t.readUser) }
func copyFromUser(t *Thread, a *[5]uint64) uint64  { return t.probe(a, t.readUser) }

// probe fills memory with what is read, or with zeros.
func (t *Thread) probe(a *[5]uint64, read func(uint64, []byte) error) uint64 {
	to := memory.At(a[0], int(uint32(a[1])))
	if len(to) == 0 {
		return 0
	}
	if err := read(a[2], to); err != nil {
		clear(to)
		return result(err)
	}
	return 0
}

func probeReadStr(t *Thread, a *[5]uint64) uint64     { return t.probeString(a, t.readKernel) }
func probeReadUserStr(t *Thread, a *[5]uint64) uint64 { return t.probeString(a, t.readUser) }

// probeString copies a text with its final 0, cut to the memory's size, and returns the length with the 0.
func (t *Thread) probeString(a *[5]uint64, read func(uint64, []byte) error) uint64 {
	to := memory.At(a[0], int(uint32(a[1])))
	if len(to) == 0 {
		return 0
	}
	n, err := readString(a[2], to, read)
	if err != nil {
		clear(to)
		return result(err)
	}
	return uint64(n)
}

// readString copies a text with its final 0, cut to the length of to. Only pages that the text is in need be readable.
func readString(addr uint64, to []byte, read func(uint64, []byte) error) (int, error) {
	const step = 64 // divides every page's size
	for at := 0; at < len(to); {
		n := min(len(to)-at, step-int((addr+uint64(at))%step))
		part := to[at : at+n]
		if err := read(addr+uint64(at), part); err != nil {
			// The memory may end within the step, and the text before that.
			if n, err = readBytes(addr+uint64(at), part, read); err != nil {
				return 0, err
			}
			return at + n, nil
		}
		if end := bytes.IndexByte(part, 0); end >= 0 {
			clear(part[end:])
			return at + end + 1, nil
		}
		at += n
	}
	to[len(to)-1] = 0
	return len(to), nil
}

// readBytes copies a text, which must end, byte by byte.
func readBytes(addr uint64, to []byte, read func(uint64, []byte) error) (int, error) {
	for i := range to {
		if err := read(addr+uint64(i), to[i:i+1]); err != nil {
			return 0, err
		}
		if to[i] == 0 {
			clear(to[i:])
			return i + 1, nil
		}
	}
	return 0, errNoMemory
}

func probeWriteUser(t *Thread, a *[5]uint64) uint64 {
	f := t.machine.options.Host.WriteUser
	if f == nil {
		return errno(maps.EPERM)
	}
	return result(f(t, a[0], memory.At(a[1], int(uint32(a[2])))))
}

// dPath writes the text of a path with its final 0.
func dPath(t *Thread, a *[5]uint64) uint64 {
	to := memory.At(a[1], int(uint32(a[2])))
	f := t.machine.options.Host.Path
	if f == nil || len(to) == 0 {
		return errno(maps.ENOENT)
	}
	text, ok := f(t, a[0])
	if !ok {
		return errno(maps.ENOENT)
	}
	if len(text)+1 > len(to) {
		return errno(enametoolong)
	}
	copy(to, text)
	to[len(text)] = 0
	return uint64(len(text) + 1)
}

// kallsymsLookupName stores the address of one of the kernel's symbols.
func kallsymsLookupName(t *Thread, a *[5]uint64) uint64 {
	name, to := memoryAt(a[0], a[1]), memory.At(a[3], 8)
	clear(to)
	if a[2] != 0 || len(name) < 2 || name[len(name)-1] != 0 {
		return errno(maps.EINVAL)
	}
	if f := t.machine.options.Host.KernelSymbol; f != nil {
		name, _, _ := strings.Cut(string(name), "\x00")
		if addr, ok := f(name); ok {
			binary.NativeEndian.PutUint64(to, addr)
			return 0
		}
	}
	return errno(maps.ENOENT)
}

// enametoolong is ENAMETOOLONG.
const enametoolong maps.Errno = 36

// probeHost is a load through one of the kernel's pointers. As in the kernel, what cannot be read is 0.
func probeHost(e *engine.Thread, addr uint64, size int) (uint64, bool) {
	t := e.Machine.(*Thread)
	var b [8]byte
	to := b[:size]
	if t.machine.options.Host.ReadKernel(t, addr, to) != nil {
		return 0, true
	}
	switch size {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.NativeEndian.Uint16(to)), true
	case 4:
		return uint64(binary.NativeEndian.Uint32(to)), true
	}
	return binary.NativeEndian.Uint64(to), true
}

// memoryAt is memory whose size is a u32 argument.
func memoryAt(addr, size uint64) []byte { return memory.At(addr, int(uint32(size))) }
