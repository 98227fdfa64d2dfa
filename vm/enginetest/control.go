package enginetest

import (
	"errors"
	"strings"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/memory"
)

// A control is a program that goes elsewhere, and how it must end.
type control struct {
	name    string
	parts   []any
	helpers []engine.Helper
	args    engine.Args
	r0      uint64
	// fault is a part of the reason, at a slot. Programs that only checked code may run have one.
	fault string
	slot  int
	err   error
	// thread prepares it.
	thread  func(*engine.Thread)
	checked bool // only
}

// sum is a helper that adds its arguments, each weighed by its place.
func sum(_ *engine.Thread, a *[5]uint64) uint64 {
	return a[0] + a[1]<<8 + a[2]<<16 + a[3]<<24 + a[4]<<32
}

// Control runs calls of all kinds, jumps that are rare, and faults.
func (e Engine) Control(t *testing.T) {
	for _, c := range append(calls(), faults()...) {
		for _, checked := range []bool{false, true} {
			if c.checked && !checked {
				continue
			}
			name := c.name
			if checked {
				name += ", checked"
			}
			t.Run(name, func(t *testing.T) {
				p := Program(len(c.helpers), c.parts...)
				m := e.Image(t, p, checked, c.helpers...)
				th := NewThread(t, checked)
				if c.thread != nil {
					c.thread(th)
				}
				// Twice, as what a run leaves behind may spoil the next one.
				for range 2 {
					if c.err == engine.ErrBudget {
						th.Budget = 1_000_000
					}
					r0, err := m.Run(th, 0, c.args)
					check(t, c, r0, err)
					if th.Depth != 0 {
						t.Fatalf("the thread is left at depth %d", th.Depth)
					}
				}
			})
		}
	}
}

func check(t *testing.T, c control, r0 uint64, err error) {
	t.Helper()
	if c.fault == "" {
		if err != nil {
			t.Fatal(err)
		}
		if r0 != c.r0 {
			t.Fatalf("r0 is %#x, not %#x", r0, c.r0)
		}
		return
	}
	var f *engine.Fault
	if !errors.As(err, &f) {
		t.Fatalf("the program ended with %#x and %v, not with a fault", r0, err)
	}
	if !strings.Contains(f.Reason, c.fault) || c.slot >= 0 && f.Slot != c.slot {
		t.Errorf("%v; not instruction %d: %s", f, c.slot, c.fault)
	}
	if c.err != nil && !errors.Is(err, c.err) {
		t.Errorf("%v is not %v", err, c.err)
	}
}

func calls() []control {
	set6to9 := []code.Insn{Mov(6, K(6)), Mov(7, K(7)), Mov(8, K(8)), Mov(9, K(9))}
	sum6to9 := []code.Insn{Alu(code.ADD, 0, Reg(6)), Alu(code.ADD, 0, Reg(7)), Alu(code.ADD, 0, Reg(8)), Alu(code.ADD, 0, Reg(9))}
	deep := func(n int32) []any {
		// Each function calls the one behind it, has a stack of its own and adds 1.
		var parts []any
		for range n - 1 {
			parts = append(parts, Store(8, 10, -8, Reg(1)), Mov(6, Reg(1)), Alu(code.ADD, 1, K(1)), CallFunc(5),
				Alu(code.ADD, 0, Reg(6)), Load(8, 1, 10, -8), Alu(code.SUB, 0, Reg(1)), Alu(code.ADD, 0, K(1)), Exit())
		}
		return append(parts, Mov(0, Reg(1)), Exit())
	}
	return []control{
		{name: "helper", parts: []any{set6to9, Mov(1, K(1)), Mov(2, K(2)), Mov(3, K(3)), Mov(4, K(4)), Mov(5, K(5)), Call(0), sum6to9, Exit()},
			helpers: []engine.Helper{sum}, r0: 0x0504030201 + 30},
		{name: "registers begin as 0", parts: []any{sum6to9, Exit()}},
		{name: "arguments", parts: []any{Call(0), Exit()}, args: engine.Args{R1: 1, R2: 2, R3: 3, R4: 4, R5: 5}, helpers: []engine.Helper{sum}, r0: 0x0504030201},
		{name: "function", parts: []any{set6to9, Mov(1, K(100)), Mov(5, K(3)), CallFunc(5), sum6to9, Exit(),
			Mov(0, Reg(1)), Alu(code.ADD, 0, Reg(5)), Alu(code.ADD, 0, Reg(6)), Mov(6, K(0)), Mov(7, K(0)), Mov(8, K(0)), Mov(9, K(0)), Exit()},
			r0: 103 + 6 + 30},
		{name: "functions, 8 deep", parts: deep(8), args: engine.Args{R1: 5}, r0: 12 + 7},
		{name: "functions, 9 deep", parts: deep(9), fault: "call each other", slot: 7*9 + 3, err: engine.ErrDepth},
		{name: "recursion", parts: []any{CallFunc(-1), Exit()}, fault: "call each other", slot: 0, err: engine.ErrDepth},
		{name: "helper in a function", parts: []any{set6to9, CallFunc(5), sum6to9, Exit(), Mov(6, K(1)), Mov(1, K(1)), Call(0), Alu(code.ADD, 0, Reg(6)), Exit()},
			helpers: []engine.Helper{sum}, args: engine.Args{R2: 2, R3: 3, R4: 4, R5: 5}, r0: 0x0504030201 + 31},
		{name: "callbacks", parts: []any{Mov(6, Reg(1)), Mov(7, K(1)), Imm64(1, code.FuncAddress(8)), Mov(2, K(10)), Call(0), Alu(code.ADD, 0, Reg(7)), Exit(),
			// 8:
			Mov(7, Reg(1)), Mov(1, K(1)), Mov(2, K(0)), Mov(3, K(0)), Mov(4, K(0)), Mov(5, K(0)), Call(1), Alu(code.ADD, 0, Reg(7)), Exit()},
			helpers: []engine.Helper{loop, sum}, r0: 10 + 45 + 1},
		{name: "callbacks with little budget", thread: func(th *engine.Thread) { th.Budget = 1000 },
			parts: []any{Imm64(1, code.FuncAddress(5)), Mov(2, K(10)), Call(0), Exit(), Mov(0, Reg(1)), Exit()}, helpers: []engine.Helper{loop}, r0: 45},
		{name: "callbacks without end", thread: func(th *engine.Thread) { th.Budget = 1000 },
			parts: []any{Imm64(1, code.FuncAddress(5)), Mov(2, K(-1)), Call(0), Exit(), Mov(0, Reg(1)), Exit()}, helpers: []engine.Helper{loop},
			fault: "used up", slot: 5, err: engine.ErrBudget},
		{name: "a callback too deep", parts: append(append(deep(7)[:len(deep(7))-2], Imm64(1, code.FuncAddress(0)), Mov(2, K(1)), Call(0), Exit()), Exit()),
			helpers: []engine.Helper{loop}, fault: "call each other", slot: -1, err: engine.ErrDepth},
		{name: "a fault in a callback", parts: []any{Imm64(1, code.FuncAddress(6)), Mov(2, K(10)), Call(0), Mov(0, K(0)), Exit(),
			Mov(0, K(1)), Call(1), Exit()},
			helpers: []engine.Helper{loop, failing}, fault: "no luck", slot: 7},
		{name: "gotol", parts: []any{code.Insn{Op: code.GotoLong, Imm: 2}, Mov(0, K(1)), Exit(), Mov(0, K(2)), code.Insn{Op: code.GotoLong, Imm: -3}}, r0: 2},
		{name: "immediates of 64 bits", parts: []any{Imm64(0, 0xfedcba9876543210), Imm64(1, 0xffffffff), Alu(code.ADD, 0, Reg(1)), Imm64(2, 0), Imm64(3, ^uint64(0)),
			Alu(code.ADD, 0, Reg(2)), Alu(code.ADD, 0, Reg(3)), Exit()}, r0: 0xfedcba9976543210 - 2},
		{name: "may_goto", parts: []any{Mov(0, K(0)), code.Insn{Op: code.MayGoto, Off: 2}, Alu(code.ADD, 0, K(1)), Goto(-3), Exit()}, r0: engine.MaxLoops},
		{name: "may_goto backward", parts: []any{Goto(1), Exit(), Mov(0, K(5)), code.Insn{Op: code.MayGoto, Off: -3}, Goto(-2)}, r0: 5},
		{name: "legacy loads", thread: func(th *engine.Thread) { th.Packet = packet }, args: engine.Args{R1: 1000},
			parts: []any{Mov(6, Reg(1)), Mov(7, K(2)), legacy(code.ModeABS, 4, 1, 0), Mov(8, Reg(0)), legacy(code.ModeIND, 2, 1, 7), Alu(code.LSH, 0, K(32)), Alu(code.OR, 8, Reg(0)),
				legacy(code.ModeABS, 1, -1, 0), Alu(code.LSH, 0, K(48)), Alu(code.OR, 0, Reg(8)), Exit()}, r0: 0xff<<48 | 0x0304<<32 | 0x01020304},
		{name: "a legacy load past the end", thread: func(th *engine.Thread) { th.Packet = packet }, args: engine.Args{R1: 1000},
			parts: []any{Mov(6, Reg(1)), Mov(0, K(7)), CallFunc(2), Alu(code.ADD, 0, K(1)), Exit(), Mov(0, K(5)), Mov(6, K(0)), legacy(code.ModeABS, 4, 10, 0), Mov(0, K(9)), Exit()}, r0: 1},
		{name: "the lowest bit of a call's result", parts: []any{Call(0), Alu32(code.ADD, 0, K(0)), Exit()},
			helpers: []engine.Helper{func(*engine.Thread, *[5]uint64) uint64 { return ^uint64(0) }}, r0: 0xffffffff},
	}
}

func faults() []control {
	region := func(th *engine.Thread) {
		if th.Space != nil {
			th.Space.Remove(1 << 20)
			th.Space.Add(memory.Region{Base: 1 << 20, Size: 64, ReadOnly: true, Name: "the packet"})
		}
	}
	return []control{
		{name: "a helper fails", parts: []any{Mov(0, K(5)), Call(0), Mov(0, K(0)), Exit()}, helpers: []engine.Helper{failing}, fault: "no luck", slot: 1},
		{name: "an endless loop", parts: []any{Mov(0, K(0)), Alu(code.ADD, 0, K(1)), Goto(-2)}, fault: "used up", slot: -1, err: engine.ErrBudget},
		{name: "an endless loop that compares", parts: []any{Mov(0, K(0)), Alu(code.ADD, 0, K(1)), If(code.JNE, 0, K(0), -2), Exit()}, fault: "used up", slot: -1, err: engine.ErrBudget},
		{name: "endless calls", parts: []any{CallFunc(1), Goto(-2), Exit()}, fault: "used up", slot: -1, err: engine.ErrBudget},
		{name: "a function that must not return", parts: []any{Mov(0, K(0)), Call(0)}, helpers: []engine.Helper{sum}, fault: "has returned", slot: 1, err: engine.ErrReturn},
		{name: "no packet", parts: []any{legacy(code.ModeABS, 4, 1, 0), Exit()}, fault: "there is none", slot: 0, err: engine.ErrPacket},
		{name: "a load of nothing", checked: true, parts: []any{Mov(1, K(4096)), Load(4, 0, 1, 8), Exit()}, fault: "reading 4 bytes at 0x1008", slot: 1},
		{name: "a load at 0", checked: true, parts: []any{Mov(1, K(0)), Load(8, 0, 1, 0), Exit()}, fault: "reading 8 bytes at 0x0", slot: 1},
		{name: "a load at the end of all addresses", checked: true, parts: []any{Mov(1, K(-4)), Load(8, 0, 1, 0), Exit()}, fault: "reading 8 bytes at 0xfffffffffffffffc", slot: 1},
		{name: "a store of nothing", checked: true, parts: []any{Mov(1, K(4096)), Store(2, 1, -2, K(1)), Exit()}, fault: "writing 2 bytes at 0xffe", slot: 1},
		{name: "a store to what is read-only", checked: true, thread: region, parts: []any{Mov(1, K(1<<20)), Store(8, 1, 8, Reg(1)), Exit()}, fault: "in the packet, which is read-only", slot: 1},
		{name: "a load past the end", checked: true, thread: region, parts: []any{Mov(1, K(1<<20)), Load(8, 0, 1, 60), Exit()}, fault: "only 4, the end of the packet", slot: 1},
		{name: "a load behind the end", checked: true, thread: region, parts: []any{Mov(1, K(1<<20)), Load(8, 0, 1, 74), Exit()}, fault: "10 bytes past the end of the packet", slot: 1},
		{name: "below the stack", checked: true, parts: []any{Store(8, 10, -520, K(1)), Exit()}, fault: "writing 8 bytes", slot: 0},
		{name: "across the end of the stack", checked: true, parts: []any{Mov(1, Reg(10)), Alu(code.ADD, 1, K(-4)), Store(8, 1, 0, K(1)), Exit()}, fault: "only 4, the end of stack", slot: 2},
		{name: "above the stack", checked: true, parts: []any{Store(1, 10, 0, K(1)), Exit()}, fault: "0 bytes past the end of stack", slot: 0},
		{name: "above the stack of a function", checked: true, parts: []any{CallFunc(1), Exit(), Load(1, 0, 10, 0), Exit()}, fault: "0 bytes past the end of stack", slot: 2},
		{name: "above the stack of a callback", checked: true, helpers: []engine.Helper{loop}, parts: []any{Imm64(1, code.FuncAddress(5)), Mov(2, K(1)), Call(0), Exit(),
			Load(1, 0, 10, 0), Exit()}, fault: "0 bytes past the end of stack", slot: 5},
		{name: "above the stack of functions without end", checked: true, parts: []any{Store(1, 10, 7*512, K(1)), Exit(), CallFunc(1), Exit(), CallFunc(-1), Exit()}, fault: "0 bytes past the end of stack", slot: 0},
		{name: "an atomic operation not aligned", checked: true, parts: []any{Atomic(8, code.ADD, 10, -12, 1), Exit()}, fault: "not aligned", slot: 0},
		{name: "an atomic load not aligned", checked: true, parts: []any{Mov(1, Reg(10)), Atomic(2, code.AtomicLoad, 0, -11, 1), Exit()}, fault: "not aligned", slot: 1},
		{name: "an atomic operation on nothing", checked: true, parts: []any{Mov(1, K(4096)), Atomic(4, code.AtomicXchg, 1, 0, 0), Exit()}, fault: "writing 4 bytes at 0x1000", slot: 1},
		{name: "in a function", checked: true, parts: []any{CallFunc(1), Exit(), Mov(1, K(64)), Load(1, 0, 1, 0), Exit()}, fault: "reading 1 bytes at 0x40", slot: 3},
	}
}

// loop is a helper that calls the function at a[0] with the numbers below a[1], and adds what it returns.
func loop(t *engine.Thread, a *[5]uint64) (total uint64) {
	slot, _ := code.FuncSlot(a[0])
	n := a[1]
	for i := range n {
		r, err := t.Call(slot, [5]uint64{i, ^i})
		if err != nil {
			return 0
		}
		total += r
	}
	if a[1] != n {
		panic("the arguments of a helper have changed")
	}
	return total
}

func failing(t *engine.Thread, _ *[5]uint64) uint64 {
	t.Fail(errors.New("no luck"))
	return 0
}

// packet has the bytes 0 to 9 and, at -1, 255, if the context is 1000.
func packet(_ *engine.Thread, skb uint64, off int32, size int) (value uint64, ok bool) {
	if off == -1 && size == 1 {
		return 255, true
	}
	if skb != 1000 || off < 0 || int(off)+size > 10 {
		return 0, false
	}
	for i := range size {
		value = value<<8 | uint64(off) + uint64(i)
	}
	return value, true
}

func legacy(mode uint8, size int, k int32, src uint8) code.Insn {
	return code.Insn{Op: code.ClassLD | mode | sizes[size], Regs: src << 4, Imm: k}
}
