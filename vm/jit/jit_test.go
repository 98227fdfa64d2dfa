//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	. "skep/vm/enginetest"
	"skep/vm/jit"
)

var compiler = Engine{Name: "jit", New: func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
	return jit.New(p, helpers, checked)
}}

var plain = Engine{Name: "jit, plain", New: func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
	return jit.NewPlain(p, helpers, checked)
}}

func TestArithmetic(t *testing.T) {
	compiler.Arithmetic(t, testing.Short())
	plain.Arithmetic(t, testing.Short())
}

func TestMemory(t *testing.T) { compiler.Memory(t, testing.Short()) }

func TestAtomics(t *testing.T) {
	compiler.Atomics(t, testing.Short())
	plain.Atomics(t, testing.Short())
}

func TestControl(t *testing.T) { compiler.Control(t) }

func TestTailCalls(t *testing.T) {
	for _, pair := range [][2]Engine{{compiler, compiler}, {compiler, interpreter}, {interpreter, compiler}} {
		pair[0].TailCalls(t, pair[1])
		pair[0].TailDepth(t, pair[1])
		pair[0].TailCallbacks(t, pair[1])
	}
}

// TestArray looks up keys in an array inline.
func TestArray(t *testing.T) {
	called := func(*engine.Thread, *[5]uint64) uint64 { return 1 }
	for _, array := range []code.Array{{Base: 0x7f0000001000, Stride: 24, Entries: 1000}, {Base: 0x10000, Stride: 1 << 20, Entries: 1 << 31, CPU: 4096}} {
		p := Program(1, Store(4, 10, -4, Reg(1)), Mov(2, Reg(10)), Alu(code.ADD, 2, K(-4)), Mov(0, K(-1)), Call(0), Exit())
		p.Calls[0].Array = &array
		m := compiler.Image(t, p, false, called)
		th := NewThread(t, false)
		for th.CPU = range 3 {
			for _, key := range []uint32{0, 1, array.Entries - 1, array.Entries, array.Entries + 1, 1<<31 - 1, 1<<32 - 1} {
				want := uint64(0)
				if key < array.Entries {
					want = array.Base + uint64(key)*uint64(array.Stride) + uint64(th.CPU)*uint64(array.CPU)
				}
				if got, err := m.Run(th, 0, engine.Args{R1: uint64(key)}); err != nil || got != want {
					t.Errorf("%+v, cpu %d, key %d: %#x and %v, not %#x", array, th.CPU, key, got, err, want)
				}
			}
		}
		checked := compiler.Image(t, p, true, called)
		if got, err := checked.Run(NewThread(t, true), 0, engine.Args{}); err != nil || got != 1 {
			t.Errorf("checked code, which may be wrong about the map, has not called the helper: %d and %v", got, err)
		}
	}
}

func TestRegions(t *testing.T) { compiler.Regions(t) }
