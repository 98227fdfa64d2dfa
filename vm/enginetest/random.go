package enginetest

import (
	"errors"
	"math/rand/v2"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/maps"
	"skep/vm/memory"
)

// A Random is a program made at random that the kernel's verifier accepts, too: it takes its registers from the only value of an array
// map, does this and that with them, with the value, with a packet and with a hash map, and leaves the registers in the value.
type Random struct {
	Seed    uint64
	Program *code.Program
	Hash    bool // whether it uses the hash map
}

// The value has r0 to r9 before and after, and memory to work on.
const (
	ValueBefore = 0
	ValueAfter  = 80
	valueWork   = 160
	ValueSize   = 256
)

// The context is a struct __sk_buff, of which programs use where the packet is.
const (
	skbData    = 76
	skbDataEnd = 80
	skbSize    = 192
	packetSize = 64
)

// MapMarker is what random programs load instead of the array map, and hashMarker instead of the hash map; the kernel gets the maps there.
const (
	MapMarker  = 0x6d61706d61706d61
	hashMarker = 0x6861736868617368
)

// The rows of Calls of random programs, and the kernel's numbers of these helpers.
const (
	callLookup = iota
	callLoop
	callHashLookup
	callHashUpdate
	callHashDelete
)

// KernelHelpers has the number of each row.
var KernelHelpers = []int32{callLookup: 1, callLoop: 181, callHashLookup: 1, callHashUpdate: 2, callHashDelete: 3}

// Helpers are those of random programs, on a value in memory and on a hash map, which may be nil.
func Helpers(value uint64, hash maps.Map) []engine.Helper {
	noHash := func(*engine.Thread, *[5]uint64) uint64 { return 0 }
	hs := []engine.Helper{
		callLookup: func(_ *engine.Thread, a *[5]uint64) uint64 { return value },
		callLoop: func(t *engine.Thread, a *[5]uint64) uint64 {
			slot, _ := code.FuncSlot(a[1])
			for i := range a[0] {
				if r, err := t.Call(slot, [5]uint64{i, a[2]}); err != nil || r != 0 {
					return i + 1
				}
			}
			return a[0]
		},
		callHashLookup: noHash, callHashUpdate: noHash, callHashDelete: noHash,
	}
	if hash != nil {
		hs[callHashLookup] = func(_ *engine.Thread, a *[5]uint64) uint64 { return hash.Lookup(0, memory.At(a[1], 4)) }
		hs[callHashUpdate] = func(_ *engine.Thread, a *[5]uint64) uint64 {
			return status(hash.Update(0, memory.At(a[1], 4), memory.At(a[2], 8), a[3]))
		}
		hs[callHashDelete] = func(_ *engine.Thread, a *[5]uint64) uint64 { return status(hash.Delete(memory.At(a[1], 4))) }
	}
	return hs
}

// status is what helpers return for an error.
func status(err error) uint64 {
	var e maps.Errno
	if errors.As(err, &e) {
		return uint64(-int64(e))
	}
	return 0
}

// The stack of functions: where the map's value is, words to work on, the registers at the end, the context, and a key and a value of the
// hash map.
const (
	stackValue   = -16
	stackWork    = -56
	stackRegs    = -136
	stackContext = -144
	stackKey     = -152
	stackEntry   = -160
	workBytes    = 40
)

type generator struct {
	*rand.Rand
	insns   []code.Insn
	fixed   [10]bool // registers that count loops
	depth   int      // of loops
	size    int      // about how many more instructions the program gets
	pending []call   // to functions that do not exist yet
	callees int      // how many more functions there may be
	nested  int      // how deep the function is that is being made
	packets bool     // it looks at the packet
	hash    bool     // it uses the hash map
}

// A call waits for its function.
type call struct {
	at       int
	callback bool
	depth    int
}

// NewRandom makes the program of a seed.
func NewRandom(seed uint64) *Random {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), callees: 4}
	g.size = 10 + g.IntN(60)
	g.packets, g.hash = g.IntN(3) == 0, g.IntN(3) == 0
	g.function(-1)
	for len(g.pending) > 0 {
		c := g.pending[0]
		g.pending = g.pending[1:]
		start := len(g.insns)
		if c.callback {
			copy(g.insns[c.at:], Imm64(2, code.FuncAddress(start)))
		} else {
			g.insns[c.at].Imm = int32(start - c.at - 1)
		}
		g.size, g.nested = 3+g.IntN(15), c.depth
		args := 5
		if c.callback {
			args = 1
		}
		g.function(args)
	}
	return &Random{seed, Program(len(KernelHelpers), g.insns), g.hash}
}

func (g *generator) add(in ...code.Insn) { g.insns = append(g.insns, in...) }

// function makes a function with so many arguments; the program itself has -1.
func (g *generator) function(args int) {
	if args >= 0 {
		g.add(Store(8, 10, stackRegs, Reg(1)))
		g.packets = false // which are the program's own
	} else if g.packets {
		g.add(Store(8, 10, stackContext, Reg(1)))
	}
	g.add(Store(4, 10, -4, K(0)), Mov(2, Reg(10)), Alu(code.ADD, 2, K(-4)))
	g.add(Imm64(1, MapMarker)...)
	if args > 1 {
		g.add(Store(8, 10, stackRegs+8, Reg(3)), Store(8, 10, stackRegs+16, Reg(5)))
	}
	g.add(Call(callLookup), If(code.JNE, 0, K(0), 2), Mov(0, K(0)), Exit(), Store(8, 10, stackValue, Reg(0)))
	for i := range uint8(workBytes / 8) {
		g.add(Load(8, 1, 0, ValueBefore+8*int16(i)), Store(8, 10, stackWork+8*int16(i), Reg(1)))
	}
	for i := uint8(9); i < 10; i-- {
		g.add(Load(8, i, 0, ValueBefore+8*int16(i)))
	}
	if args >= 0 {
		g.add(Load(8, 1, 10, stackRegs))
	}
	if args > 1 {
		g.add(Load(8, 3, 10, stackRegs+8), Load(8, 5, 10, stackRegs+16))
	}
	for g.size > 0 {
		g.unit()
	}
	switch {
	case args < 0:
		for i := range uint8(10) {
			g.add(Store(8, 10, stackRegs+8*int16(i), Reg(i)))
		}
		g.add(Load(8, 1, 10, stackValue))
		for i := range uint8(10) {
			g.add(Load(8, 2, 10, stackRegs+8*int16(i)), Store(8, 1, ValueAfter+8*int16(i), Reg(2)))
		}
		g.add(Mov(0, K(0)))
	case args == 1:
		g.add(Alu(code.AND, 0, K(1))) // what callbacks may return
	}
	g.add(Exit())
}

// reg is a register that may change.
func (g *generator) reg() uint8 {
	for {
		if r := uint8(g.IntN(10)); !g.fixed[r] {
			return r
		}
	}
}

func (g *generator) any() uint8 { return uint8(g.IntN(10)) }

func (g *generator) imm() K {
	if g.IntN(2) == 0 {
		return K(immediates[g.IntN(len(immediates))])
	}
	return K(int32(g.Uint32()) >> g.IntN(32))
}

// operand is a register or an immediate.
func (g *generator) operand() any {
	if g.IntN(2) == 0 {
		return Reg(g.any())
	}
	return g.imm()
}

// unit adds what jumps go around as a whole.
func (g *generator) unit() {
	start := len(g.insns)
	switch n := g.IntN(25); {
	case n < 11:
		g.arithmetic()
	case n < 12:
		g.branch()
	case n < 13 && g.depth < 2:
		g.loop()
	case n < 15:
		g.stack()
	case n < 17:
		g.value()
	case n < 18 && g.nested < 2 && g.callees > 0 && g.depth == 0:
		g.call()
	case n < 21 && g.hash:
		g.entry()
	case n < 22 && g.packets && !g.fixed[6]:
		g.legacy()
	case n < 25 && g.packets:
		g.packet()
	default:
		g.arithmetic()
	}
	g.size -= max(len(g.insns)-start, 1)
}

func (g *generator) arithmetic() {
	dst := g.reg()
	make := Alu
	bits := int32(64)
	if g.IntN(2) == 0 {
		make, bits = Alu32, 32
	}
	switch n := g.IntN(16); n {
	case 0:
		g.add(make(code.NEG, dst, K(0)))
	case 1:
		in := code.Insn{Op: []uint8{code.ClassALU | code.END, code.ClassALU | code.END | code.SrcReg, code.ClassALU64 | code.END}[g.IntN(3)],
			Regs: dst, Imm: []int32{16, 32, 64}[g.IntN(3)]}
		g.add(in)
	case 2:
		g.add(Signed(make(code.MOV, dst, Reg(g.any())), []int16{8, 16, 32}[g.IntN(int(bits/16)-bool2int(bits == 64))]))
	case 3:
		g.add(Imm64(dst, g.Uint64()>>g.IntN(64))...)
	case 4, 5:
		op := []uint8{code.DIV, code.MOD}[g.IntN(2)]
		operand := g.operand()
		if operand == K(0) {
			operand = K(1)
		}
		g.add(Signed(make(op, dst, operand), int16(g.IntN(2))))
	case 6, 7:
		op := []uint8{code.LSH, code.RSH, code.ARSH}[g.IntN(3)]
		operand := g.operand()
		if k, ok := operand.(K); ok {
			operand = K(int32(k) & (bits - 1))
		}
		g.add(make(op, dst, operand))
	default:
		op := []uint8{code.ADD, code.SUB, code.MUL, code.OR, code.AND, code.XOR, code.MOV}[g.IntN(7)]
		g.add(make(op, dst, g.operand()))
	}
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

var jumpOps = []uint8{code.JEQ, code.JNE, code.JGT, code.JGE, code.JLT, code.JLE, code.JSGT, code.JSGE, code.JSLT, code.JSLE, code.JSET}

// branch jumps around some units, and sometimes has others for the other case.
func (g *generator) branch() {
	at := len(g.insns)
	in := If(jumpOps[g.IntN(len(jumpOps))], g.any(), g.operand(), 0)
	if g.IntN(2) == 0 {
		in.Op ^= code.ClassJMP ^ code.ClassJMP32
	}
	g.add(in)
	g.units()
	if g.IntN(2) == 0 {
		other := len(g.insns)
		g.add(Goto(0))
		if g.IntN(2) == 0 {
			g.insns[other] = code.Insn{Op: code.GotoLong}
		}
		g.insns[at].Off = int16(len(g.insns) - at - 1)
		g.units()
		if n := len(g.insns) - other - 1; g.insns[other].Op == code.Goto {
			g.insns[other].Off = int16(n)
		} else {
			g.insns[other].Imm = int32(n)
		}
		return
	}
	g.insns[at].Off = int16(len(g.insns) - at - 1)
}

func (g *generator) units() {
	for range 1 + g.IntN(3) {
		g.unit()
	}
}

// loop goes round a few times.
func (g *generator) loop() {
	counter := uint8(6 + g.IntN(4)) // calls do not change these
	if g.fixed[counter] {
		return
	}
	g.fixed[counter] = true
	g.depth++
	g.add(Mov(counter, K(int32(1+g.IntN(4)))))
	start := len(g.insns)
	g.units()
	g.add(Alu(code.SUB, counter, K(1)))
	if g.IntN(4) == 0 {
		g.add(code.Insn{Op: code.MayGoto, Off: 1}) // which goes on for longer than the counter
	}
	g.add(If(code.JNE, counter, K(0), int16(start-len(g.insns)-1)))
	g.depth--
	g.fixed[counter] = false
}

// call calls a function, directly or as a callback.
func (g *generator) call() {
	g.callees--
	if g.IntN(3) == 0 {
		g.add(Mov(1, K(int32(g.IntN(5)))))
		g.pending = append(g.pending, call{len(g.insns), true, g.nested + 1})
		g.add(Imm64(2, 0)...)
		g.add(Mov(3, K(0)), Mov(4, K(0)), Call(callLoop))
	} else {
		g.pending = append(g.pending, call{len(g.insns), false, g.nested + 1})
		g.add(CallFunc(0))
	}
	g.scratched()
}

// scratched sets r1 to r5, since what a call leaves there must not be read.
func (g *generator) scratched() {
	for r := range uint8(5) {
		if g.IntN(2) == 0 {
			g.add(Mov(r+1, Reg(6+uint8(g.IntN(4)))))
		} else {
			g.add(Mov(r+1, g.imm()))
		}
	}
}
