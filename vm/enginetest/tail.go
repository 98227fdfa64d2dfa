package enginetest

import (
	"errors"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
)

// TailCalls runs tail calls from this engine's programs to those of another one, or of itself, and back.
func (e Engine) TailCalls(t *testing.T, other Engine) {
	for _, checked := range []bool{false, true} {
		th := NewThread(t, checked)
		var images []engine.Image
		var tail engine.Helper = func(t *engine.Thread, a *[5]uint64) uint64 {
			if int(a[2]) >= len(images) || !t.TailCall(images[a[2]]) {
				return ^uint64(0)
			}
			return 0
		}
		number := func(n uint64) engine.Helper { return func(*engine.Thread, *[5]uint64) uint64 { return n } }

		// The first program calls a function that ends in the second program, which returns to it. The second one does not know of r8
		// and r9, which the function changes and the first program wants back.
		first := Program(2, Mov(6, K(6)), Mov(7, K(7)), Mov(8, K(8)), Mov(9, K(9)), Mov(1, K(100)), CallFunc(6), Alu(code.ADD, 0, Reg(6)),
			Alu(code.ADD, 0, Reg(7)), Alu(code.ADD, 0, Reg(8)), Alu(code.ADD, 0, Reg(9)), Alu(code.ADD, 0, K(1000)), Exit(),
			Mov(6, K(60)), Mov(8, K(80)), Mov(9, K(90)), Mov(3, K(1)), Call(0), Mov(0, K(-1)), Exit())
		second := Program(2, Mov(6, Reg(1)), Mov(7, K(70)), Call(1), Alu(code.ADD, 0, Reg(6)), Exit())
		// The third goes on in itself until it may not, and counts in r1; the fourth ends in the third.
		third := Program(2, Alu(code.ADD, 1, K(1)), Mov(6, Reg(1)), Mov(3, K(2)), Call(0), Mov(0, Reg(6)), Exit())
		fourth := Program(2, Mov(3, K(2)), Call(0), Mov(0, K(5)), Exit())
		images = append(images, e.Image(t, first, checked, tail, number(1)), other.Image(t, second, checked, tail, number(20)),
			e.Image(t, third, checked, tail, number(3)), other.Image(t, fourth, checked, tail, number(4)))
		for _, c := range []struct {
			name  string
			image int
			want  uint64
		}{
			{"out of a function", 0, 20 + 100 + 6 + 7 + 8 + 9 + 1000},
			{"to itself", 2, engine.MaxTailCalls + 1},
			{"to another and to itself", 3, engine.MaxTailCalls},
			{"out of a function again", 0, 20 + 100 + 6 + 7 + 8 + 9 + 1000},
		} {
			for range 2 {
				r0, err := images[c.image].Run(th, 0, engine.Args{})
				if err != nil || r0 != c.want {
					t.Errorf("%s, checked %v: %d and %v, not %d", c.name, checked, r0, err, c.want)
				}
			}
		}
		fifth := Program(2, Mov(3, K(5)), Call(0), Exit())
		failing := Program(1, Mov(0, K(3)), Call(0), Exit())
		images = append(images, e.Image(t, fifth, checked, tail, number(5)), other.Image(t, failing, checked, func(t *engine.Thread, _ *[5]uint64) uint64 {
			t.Fail(errors.New("no luck"))
			return 0
		}))
		failing.Name = "failing"
		var f *engine.Fault
		if _, err := images[4].Run(th, 0, engine.Args{}); !errors.As(err, &f) || f.Program != "failing" || f.Slot != 1 {
			t.Errorf("the program that is gone on in fails with %v", err)
		}
	}
}

// TailDepth has functions, as many as may call each other, of which the last goes on in the program again: its callers stay, and the
// program has as many frames as before. Each level of functions keeps something on its stack.
func (e Engine) TailDepth(t *testing.T, other Engine) {
	for _, checked := range []bool{false, true} {
		th := NewThread(t, checked)
		var images []engine.Image
		var tail engine.Helper = func(t *engine.Thread, _ *[5]uint64) uint64 {
			t.TailCall(images[min(t.TailCalls+1, len(images)-1)])
			return 0
		}
		var parts []any
		for range engine.MaxFrames - 1 {
			parts = append(parts, Call(1), Store(8, 10, -8, Reg(0)), Mov(6, Reg(0)), CallFunc(5),
				Load(8, 1, 10, -8), Alu(code.SUB, 6, Reg(1)), Alu(code.ADD, 0, K(1)), Alu(code.ADD, 0, Reg(6)), Exit())
		}
		p := Program(2, append(parts, Call(0), Mov(0, K(0)), Exit())...)
		calls, deepest := uint64(0), 0
		count := func(t *engine.Thread, _ *[5]uint64) uint64 {
			calls++
			deepest = max(deepest, t.Depth)
			return calls
		}
		for range 2 {
			images = append(images, e.Image(t, p, checked, tail, count))
		}
		first := images[0]
		const all = (engine.MaxFrames - 1) * (engine.MaxTailCalls + 1)
		run := func(name string) {
			t.Helper()
			deepest = 0
			if r0, err := first.Run(th, 0, engine.Args{}); err != nil || r0 != all || deepest != all || th.Frames() != engine.MaxFrames {
				t.Errorf("%s, checked %v: %d and %v, not %d; %d deep, and %d frames afterwards", name, checked, r0, err, all, deepest, th.Frames())
			}
		}
		run("one engine")
		run("one engine again")
		// By way of the other engine.
		images = append(images[:1], other.Image(t, p, checked, tail, count), images[1])
		run("two engines")

		// Functions that call each other without end find one after all.
		endless := e.Image(t, Program(0, CallFunc(-1), Exit()), checked)
		images = append(images[:1], endless)
		if _, err := first.Run(th, 0, engine.Args{}); !errors.Is(err, engine.ErrDepth) {
			t.Errorf("checked %v: recursion after a tail call: %v", checked, err)
		}
		// The stack of a run without such tail calls is as before.
		images = append(images[:1], first)
		over := e.Image(t, Program(0, Load(8, 0, 10, engine.FrameSize*(engine.MaxFrames-1)), Exit()), checked)
		if _, err := over.Run(th, 0, engine.Args{}); (err != nil) != checked {
			t.Errorf("checked %v: reading behind the last frame: %v", checked, err)
		}
	}
}

// TailCallbacks has a program whose function ends in another program, and both have a callback at the same slot.
func (e Engine) TailCallbacks(t *testing.T, other Engine) {
	var second engine.Image
	tail := func(t *engine.Thread, _ *[5]uint64) uint64 {
		t.TailCall(second)
		return 0
	}
	call := func(t *engine.Thread, a *[5]uint64) uint64 {
		slot, _ := code.FuncSlot(a[0])
		r0, _ := t.Call(slot, [5]uint64{})
		return r0
	}
	first := e.Image(t, Program(2, CallFunc(6), Mov(6, Reg(0)), Imm64(1, code.FuncAddress(10)), Call(1), Alu(code.ADD, 0, Reg(6)), Exit(),
		// 7:
		Call(0), Mov(0, K(-1)), Exit(),
		// 10:
		Mov(0, K(1)), Exit()), false, tail, call)
	second = other.Image(t, Program(2, Imm64(1, code.FuncAddress(10)), Call(1), Exit(), Exit(), Exit(), Exit(), Exit(), Exit(), Exit(),
		// 10:
		Mov(0, K(200)), Exit()), false, tail, call)
	for range 2 {
		if r0, err := first.Run(NewThread(t, false), 0, engine.Args{}); err != nil || r0 != 201 {
			t.Errorf("the callbacks return %d and %v, not 201", r0, err)
		}
	}
}
