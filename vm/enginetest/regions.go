package enginetest

import (
	"strings"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/memory"
)

// Regions accesses regions of all small sizes, in turn with others, so that what engines remember of them is used and lost.
func (e Engine) Regions(t *testing.T) {
	th := NewThread(t, true)
	const regions = 12
	var blocks [regions]*memory.Block
	for i := range blocks {
		blocks[i] = NewBlock(t, 64)
		th.Space.Add(memory.Region{Base: blocks[i].Base(), Size: uint64(i + 1), Name: "region"})
	}
	for _, size := range []int{1, 2, 4, 8} {
		load := e.Image(t, Program(0, Load(size, 0, 1, 0), Exit()), true)
		store := e.Image(t, Program(0, Store(size, 1, 0, K(-1)), Mov(0, K(0)), Exit()), true)
		for off := range uint64(regions) {
			for i, b := range blocks {
				for _, m := range []engine.Image{load, store} {
					_, err := m.Run(th, 0, engine.Args{R1: b.Base() + off})
					fits := off+uint64(size) <= uint64(i+1)
					if fits != (err == nil) || err != nil && !strings.Contains(err.Error(), "region") {
						t.Fatalf("%d bytes at %d of a region of %d: %v", size, off, i+1, err)
					}
				}
			}
		}
	}
	// A helper takes the region away, or gives another one.
	base := blocks[regions-1].Base()
	remove := func(t *engine.Thread, _ *[5]uint64) uint64 {
		t.Space.Remove(base)
		return 0
	}
	p := Program(1, Mov(6, Reg(1)), Load(8, 0, 6, 0), Store(8, 6, 0, K(1)), Call(0), Load(8, 0, 6, 0), Exit())
	m := e.Image(t, p, true, remove)
	if _, err := m.Run(th, 0, engine.Args{R1: base}); err == nil || !strings.Contains(err.Error(), "instruction 4") {
		t.Errorf("a region that a helper has removed is still there: %v", err)
	}
	p.Insns[4] = Store(8, 6, 0, K(2))
	th.Space.Add(memory.Region{Base: base, Size: regions, Name: "region"})
	m = e.Image(t, p, true, remove)
	if _, err := m.Run(th, 0, engine.Args{R1: base}); err == nil || !strings.Contains(err.Error(), "instruction 4") {
		t.Errorf("a region that a helper has removed can still be written: %v", err)
	}
	loop := Program(1, Mov(6, Reg(1)), Load(8, 0, 6, 0), Call(0), If(code.JEQ, 0, K(0), -3), Exit())
	m = e.Image(t, loop, true, func(t *engine.Thread, _ *[5]uint64) uint64 { return 1 })
	th.Space.Add(memory.Region{Base: base, Size: regions, Name: "region"})
	if _, err := m.Run(th, 0, engine.Args{R1: base}); err != nil {
		t.Errorf("a region that has come back: %v", err)
	}
}
