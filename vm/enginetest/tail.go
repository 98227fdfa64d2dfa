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

		// The first program calls a function that ends in the second program, which returns to it.
		first := Program(2, Mov(6, K(6)), Mov(7, K(7)), Mov(1, K(100)), CallFunc(4), Alu(code.ADD, 0, Reg(6)), Alu(code.ADD, 0, Reg(7)), Call(1), Exit(),
			Mov(6, K(60)), Mov(3, K(1)), Call(0), Mov(0, K(-1)), Exit())
		first.Insns[6] = Alu(code.ADD, 0, K(1000))
		second := Program(2, Mov(6, Reg(1)), Mov(7, K(70)), Mov(8, K(80)), Call(1), Alu(code.ADD, 0, Reg(6)), Exit())
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
			{"out of a function", 0, 20 + 100 + 6 + 7 + 1000},
			{"to itself", 2, engine.MaxTailCalls + 1},
			{"to another and to itself", 3, engine.MaxTailCalls},
			{"out of a function again", 0, 20 + 100 + 6 + 7 + 1000},
		} {
			for range 2 {
				r0, err := images[c.image].Run(th, 0, [5]uint64{})
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
		if _, err := images[4].Run(th, 0, [5]uint64{}); !errors.As(err, &f) || f.Program != "failing" || f.Slot != 1 {
			t.Errorf("the program that is gone on in fails with %v", err)
		}
	}
}
