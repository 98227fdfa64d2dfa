package vm

import (
	"testing"

	"skep/vm/engine"
)

// TestStackOfOthers: a program that was not verified reads nothing on the stack that another one has left there, verified or not.
func TestStackOfOthers(t *testing.T) {
	// *(u64 *)(r10 - 8) = 1, and in the last frame; and the sum of both. What is behind the end would use all frames.
	const endless = " 9500000000000000 8510000001000000 9500000000000000 85100000ffffffff"
	writer := pad(t, "7a0af8ff01000000 7a0af80d01000000 b700000000000000"+endless)
	reader := pad(t, "79a0f8ff00000000 79a1f80d00000000 0f10000000000000"+endless)
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			m := machine(t, Options{})
			load := func(name string, content []byte, o LoadOptions) *Program {
				p, err := m.LoadCode(name, content, &o)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			unverified := v.options
			unverified.Trusted, unverified.Verify = false, false
			write, read := load("writer", writer, v.options), load("reader", reader, unverified)
			mem, err := m.NewMemory(nil)
			if err != nil {
				t.Fatal(err)
			}
			th := thread(t, m)
			for range 2 {
				for _, p := range []*Program{write, read, read} {
					if r0, err := th.Run(p, mem); err != nil || r0 != 0 {
						t.Errorf("program %s: %d and %v", p.Name, r0, err)
					}
				}
			}
			// A tail call may have left something, too.
			if _, err := th.Run(read, mem); err != nil {
				t.Fatal(err)
			}
			th.engine.Stack.Bytes()[engine.FrameSize-8] = 1
			th.engine.TailCalls = 1
			if r0, err := th.Run(read, mem); err != nil || r0 != 0 {
				t.Errorf("after a tail call: %d and %v", r0, err)
			}
		})
	}
}
