package enginetest

import "skep/vm/code"

// stack works on the words on the stack.
func (g *generator) stack() {
	size := 1 << g.IntN(4)
	off := int16(stackWork + g.IntN(workBytes/size)*size)
	g.memory(10, size, off)
}

// value works on the map's value.
func (g *generator) value() {
	base := g.reg()
	size := 1 << g.IntN(4)
	off := int16(valueWork + g.IntN((ValueSize-valueWork)/size)*size)
	g.add(Load(8, base, 10, stackValue))
	at := len(g.insns)
	g.memory(base, size, off)
	if g.leaks(g.insns[at], base) {
		g.insns = g.insns[:at]
	}
	g.add(Mov(base, g.imm()))
}

// entry does something with an entry of the hash map.
func (g *generator) entry() {
	g.add(Mov(1, Reg(g.any())), Alu(code.AND, 1, K(hashKeys-1)), Store(4, 10, stackKey, Reg(1)))
	row := callHashLookup + int32(g.IntN(3))
	if row == callHashUpdate {
		const flags = 3 // the last of which there is not
		g.add(Store(8, 10, stackEntry, Reg(g.any())), Mov(3, Reg(10)), Alu(code.ADD, 3, K(stackEntry)), Mov(4, K(int32(g.IntN(flags+1)))))
	}
	g.add(Mov(2, Reg(10)), Alu(code.ADD, 2, K(stackKey)))
	g.add(Imm64(1, hashMarker)...)
	g.add(Call(row))
	g.scratched()
	if row != callHashLookup {
		return
	}
	at := len(g.insns)
	g.add(If(code.JEQ, 0, K(0), 0))
	size := 1 << g.IntN(4)
	g.memory(0, size, int16(g.IntN(8/size)*size))
	if g.leaks(g.insns[at+1], 0) {
		g.insns = g.insns[:at+1]
	}
	g.insns[at].Off = int16(len(g.insns) - at - 1)
	g.add(Mov(0, g.imm()))
}

// legacy loads from the packet by the old instructions, which end the program if there is nothing.
func (g *generator) legacy() {
	size := []uint8{0x00, 0x08, 0x10}[g.IntN(3)]
	if g.IntN(2) == 0 {
		g.add(Load(8, 6, 10, stackContext), code.Insn{Op: code.ClassLD | code.ModeABS | size, Imm: int32(g.IntN(packetSize + 2))})
	} else {
		r := uint8(g.IntN(6))
		g.add(Alu(code.AND, r, K(packetSize-1)), Load(8, 6, 10, stackContext))
		g.add(code.Insn{Op: code.ClassLD | code.ModeIND | size, Regs: r << 4, Imm: int32(g.IntN(4))})
	}
	g.add(Mov(6, g.imm()))
	g.scratched()
}

// packet loads from the packet, or stores to it, where a comparison with its end has shown that it is there.
func (g *generator) packet() {
	from, end := g.reg(), g.reg()
	if from == end || from == 0 || end == 0 {
		return
	}
	size := 1 << g.IntN(4)
	off, step := int16(g.IntN(packetSize-size+4)), int32(0)
	g.add(Load(8, end, 10, stackContext), Load(4, from, end, skbData))
	if other := g.any(); other != from && other != end && !g.fixed[other] && g.IntN(2) == 0 {
		step = 7
		g.add(Alu(code.AND, other, K(step)), Alu(code.ADD, from, Reg(other)))
	}
	g.add(Load(4, end, end, skbDataEnd), Alu(code.ADD, from, K(int32(off)+int32(size))))
	at := len(g.insns)
	g.add(If(code.JGT, from, Reg(end), 0))
	for {
		g.plain(from, size, int16(-size))
		last := g.insns[len(g.insns)-1]
		if last.Class() == code.ClassLDX && last.Dst() != end || last.Class() == code.ClassST ||
			last.Class() == code.ClassSTX && last.Src() != from && last.Src() != end {
			break
		}
		g.insns = g.insns[:len(g.insns)-1]
	}
	g.insns[at].Off = int16(len(g.insns) - at - 1)
	g.add(Mov(from, g.imm()), Mov(end, g.imm()))
}

// leaks tells whether the access makes a number of the pointer in base, which nobody could compare.
func (g *generator) leaks(in code.Insn, base uint8) bool {
	if in.Class() != code.ClassSTX || in.Mode() == code.ModeATOMIC && in.Imm == code.AtomicLoad {
		return false
	}
	return in.Src() == base || in.Mode() == code.ModeATOMIC && in.Imm == code.AtomicCmp && base == 0
}

// memory is any access to memory at a register.
func (g *generator) memory(base uint8, size int, off int16) {
	if g.IntN(9) < 6 {
		g.plain(base, size, off)
	} else {
		g.atomic(base, size, off)
	}
}

// plain is one that is not atomic.
func (g *generator) plain(base uint8, size int, off int16) {
	switch n := g.IntN(6); {
	case n < 2:
		g.add(Load(size, g.reg(), base, off))
	case n < 3 && size < 8:
		g.add(LoadSigned(size, g.reg(), base, off))
	case n < 5:
		g.add(Store(size, base, off, Reg(g.any())))
	default:
		g.add(Store(size, base, off, g.imm()))
	}
}

func (g *generator) atomic(base uint8, size int, off int16) {
	fetched := uint8(0)
	switch n := g.IntN(8); {
	case n == 0:
		g.add(Atomic(size, code.AtomicLoad, g.reg(), off, base))
		return
	case n == 1:
		g.add(Atomic(size, code.AtomicStore, base, off, g.any()))
		return
	case size < 4:
		g.add(Store(size, base, off, Reg(g.any())))
		return
	case n == 2 && !g.fixed[0]:
		g.add(Atomic(size, code.AtomicCmp, base, off, g.any()))
		if size == 4 {
			// Linux 6.18 on amd64 forgets to clear the upper half of r0 when the comparison holds, on some paths that its verifier
			// does not follow to the end.
			g.add(Alu32(code.MOV, 0, Reg(0)))
		}
	case n == 3:
		fetched = g.reg()
		g.add(Atomic(size, code.AtomicXchg, base, off, fetched))
	case n < 6:
		op := []int32{code.ADD, code.OR, code.AND, code.XOR}[g.IntN(4)]
		g.add(Atomic(size, op, base, off, g.any()))
		return
	default:
		op := []int32{code.ADD, code.OR, code.AND, code.XOR}[g.IntN(4)]
		fetched = g.reg()
		g.add(Atomic(size, op|code.AtomicFetch, base, off, fetched))
	}
	if base == 10 {
		// The verifier of Linux 6.18 knows what range a number has that is fetched from the stack, but does not remember that this
		// depends on what was stored there: it skips paths on which another number was, and removes branches that they take. Of a
		// number that has been swapped it knows nothing.
		swap := code.Insn{Op: code.ClassALU64 | code.END, Regs: fetched, Imm: 64}
		g.add(swap, swap)
	}
}
