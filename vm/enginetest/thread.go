package enginetest

import (
	"math"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/memory"
)

// An Engine makes images. Checked asks for checks of memory accesses where an engine decides by the image.
type Engine struct {
	Name string
	New  func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error)
}

// NewThread makes a thread with a stack, and with a Space if the code is not trusted.
func NewThread(t testing.TB, checked bool) *engine.Thread {
	t.Helper()
	th := &engine.Thread{Stack: NewBlock(t, engine.StackSize), Budget: math.MaxInt64}
	if checked {
		th.Space = new(memory.Space)
		th.Space.Add(memory.Region{Base: th.Stack.Base(), Size: engine.MaxFrames * engine.FrameSize, Name: "stack"})
	}
	return th
}

// NewBlock makes memory that is freed when the test ends.
func NewBlock(t testing.TB, size int) *memory.Block {
	t.Helper()
	b, err := memory.New(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Free() })
	return b
}

// Image prepares a program.
func (e Engine) Image(t testing.TB, p *code.Program, checked bool, helpers ...engine.Helper) engine.Image {
	t.Helper()
	m, err := e.New(p, helpers, checked)
	if err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
