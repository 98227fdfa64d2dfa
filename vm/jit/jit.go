//go:build (linux || darwin) && (amd64 || arm64)

// Package jit runs eBPF programs as machine code.
package jit

import (
	"fmt"
	"sort"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/vm/code"
	"skep/vm/engine"
)

// Supported tells whether there is machine code for this machine.
const Supported = true

// An Image is a program as machine code.
type Image struct {
	program *code.Program
	helpers []engine.Helper
	checked bool
	few     bool   // neither checked nor using r7 to r9
	mem     []byte // executable, not writable
	base    uint64
	size    uint64
	places  []int // of the slots' code, and of its end
	funcs   []function
	done    int
}

// New compiles a program. Its helpers stand in the order of its Calls. With checked, every access to memory is looked up in the thread's
// Space; without, the program must have been verified.
func New(p *code.Program, helpers []engine.Helper, checked bool) (*Image, error) {
	c := compiler{p: p, checked: checked}
	c.detect()
	return c.image(helpers)
}

func (c *compiler) image(helpers []engine.Helper) (*Image, error) {
	p := c.p
	if err := p.Check(code.Raw); err != nil {
		return nil, err
	}
	if len(helpers) != len(p.Calls) {
		return nil, fmt.Errorf("program %s calls %d helpers, and %d are given", p.Name, len(p.Calls), len(helpers))
	}
	if err := c.compile(); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(-1, 0, len(c.buf), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("program %s: allocating machine code: %w", p.Name, err)
	}
	copy(mem, c.buf)
	if err := unix.Mprotect(mem, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("program %s: making machine code executable: %w", p.Name, err)
	}
	return &Image{
		program: p, helpers: helpers, checked: c.checked, few: !c.checked && (len(c.used) == 0 || c.used[len(c.used)-1] == 6),
		mem: mem, base: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))), size: uint64(len(mem)), places: c.places, funcs: c.funcs,
		done: c.common.done,
	}, nil
}

// Close implements [engine.Image].
func (m *Image) Close() error {
	mem := m.mem
	m.mem = nil
	if mem == nil {
		return nil
	}
	if err := unix.Munmap(mem); err != nil {
		return fmt.Errorf("program %s: freeing machine code: %w", m.program.Name, err)
	}
	return nil
}

// Size is how many bytes of machine code the image has.
func (m *Image) Size() int { return len(m.mem) }

// slotAt is the slot whose code ends at the place or goes on there.
func (m *Image) slotAt(place int) int {
	f := sort.Search(len(m.funcs), func(i int) bool { return m.funcs[i].start >= place }) - 1
	start, end := m.program.Funcs[f].Start, m.program.Funcs[f].End
	n := sort.Search(end-start, func(i int) bool { return m.places[start+i] >= place })
	return start + max(n-1, 0)
}

// address is where a place of the image is in memory.
func (m *Image) address(place int) uint64 { return m.base + uint64(place) }
