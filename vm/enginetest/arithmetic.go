package enginetest

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
)

// edges are numbers at which arithmetic and comparisons go wrong.
var edges = []uint64{
	0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff,
	0x100000000, 0x123456789abcdef0, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 0xffffffff00000000,
	0xffffffff80000000, 0xfffffffffffffffe, 0xffffffffffffffff,
}

// immediates are the same for immediates.
var immediates = []int32{0, 1, -1, 2, -2, 3, 7, 31, 32, 63, 64, 127, 128, -128, -129, 255, 0x7fff, 0x8000, 0x7fffffff, -0x80000000, -0x7fffffff}

// An operation is an instruction without its operands, and what it must do: in words of whole numbers, which the engines do not use.
// The operands are of so many bits and not negative.
type operation struct {
	name string
	bits uint
	insn func(dst uint8, operand any) code.Insn
	// result is taken modulo 2^bits. A comparison gives 1 or 0.
	result  func(a, b *big.Int, bits uint) *big.Int
	unary   bool
	compare bool
}

func operations() []operation {
	var list []operation
	for _, bits := range []uint{64, 32} {
		make := func(op uint8, off int16) func(uint8, any) code.Insn {
			return func(dst uint8, operand any) code.Insn {
				if bits == 32 {
					return Signed(Alu32(op, dst, operand), off)
				}
				return Signed(Alu(op, dst, operand), off)
			}
		}
		add := func(name string, op uint8, off int16, result func(a, b *big.Int, bits uint) *big.Int) {
			list = append(list, operation{name: fmt.Sprintf("%s%d", name, bits), bits: bits, insn: make(op, off), result: result})
		}
		add("add", code.ADD, 0, func(a, b *big.Int, _ uint) *big.Int { return num().Add(a, b) })
		add("sub", code.SUB, 0, func(a, b *big.Int, _ uint) *big.Int { return num().Sub(a, b) })
		add("mul", code.MUL, 0, func(a, b *big.Int, _ uint) *big.Int { return num().Mul(a, b) })
		add("div", code.DIV, 0, func(a, b *big.Int, _ uint) *big.Int { return divide(a, b) })
		add("mod", code.MOD, 0, func(a, b *big.Int, _ uint) *big.Int { return remainder(a, b) })
		add("sdiv", code.DIV, 1, func(a, b *big.Int, n uint) *big.Int { return divide(signed(a, n), signed(b, n)) })
		add("smod", code.MOD, 1, func(a, b *big.Int, n uint) *big.Int { return remainder(signed(a, n), signed(b, n)) })
		add("or", code.OR, 0, func(a, b *big.Int, _ uint) *big.Int { return num().Or(a, b) })
		add("and", code.AND, 0, func(a, b *big.Int, _ uint) *big.Int { return num().And(a, b) })
		add("xor", code.XOR, 0, func(a, b *big.Int, _ uint) *big.Int { return num().Xor(a, b) })
		add("mov", code.MOV, 0, func(_, b *big.Int, _ uint) *big.Int { return b })
		add("lsh", code.LSH, 0, func(a, b *big.Int, n uint) *big.Int { return num().Lsh(a, shift(b, n)) })
		add("rsh", code.RSH, 0, func(a, b *big.Int, n uint) *big.Int { return num().Rsh(a, shift(b, n)) })
		add("arsh", code.ARSH, 0, func(a, b *big.Int, n uint) *big.Int { return num().Rsh(signed(a, n), shift(b, n)) })
		for _, from := range []uint{8, 16, 32} {
			if from < bits {
				add(fmt.Sprintf("movsx%dto", from), code.MOV, int16(from), func(_, b *big.Int, _ uint) *big.Int { return signed(low(b, from), from) })
			}
		}
		list = append(list, operation{name: fmt.Sprintf("neg%d", bits), bits: bits, unary: true,
			insn:   func(dst uint8, _ any) code.Insn { return make(code.NEG, 0)(dst, K(0)) },
			result: func(a, _ *big.Int, _ uint) *big.Int { return num().Neg(a) }})
		for name, c := range comparisons {
			list = append(list, operation{name: fmt.Sprintf("%s%d", name, bits), bits: bits, compare: true,
				insn: func(dst uint8, operand any) code.Insn {
					if bits == 32 {
						return If32(c.op, dst, operand, 1)
					}
					return If(c.op, dst, operand, 1)
				},
				result: func(a, b *big.Int, n uint) *big.Int {
					if c.holds(a, b, signed(a, n).Cmp(signed(b, n))) {
						return big.NewInt(1)
					}
					return big.NewInt(0)
				}})
		}
	}
	return append(list, swaps()...)
}

var comparisons = map[string]struct {
	op    uint8
	holds func(a, b *big.Int, signed int) bool
}{
	"jeq":  {code.JEQ, func(a, b *big.Int, _ int) bool { return a.Cmp(b) == 0 }},
	"jne":  {code.JNE, func(a, b *big.Int, _ int) bool { return a.Cmp(b) != 0 }},
	"jgt":  {code.JGT, func(a, b *big.Int, _ int) bool { return a.Cmp(b) > 0 }},
	"jge":  {code.JGE, func(a, b *big.Int, _ int) bool { return a.Cmp(b) >= 0 }},
	"jlt":  {code.JLT, func(a, b *big.Int, _ int) bool { return a.Cmp(b) < 0 }},
	"jle":  {code.JLE, func(a, b *big.Int, _ int) bool { return a.Cmp(b) <= 0 }},
	"jset": {code.JSET, func(a, b *big.Int, _ int) bool { return num().And(a, b).Sign() != 0 }},
	"jsgt": {code.JSGT, func(_, _ *big.Int, s int) bool { return s > 0 }},
	"jsge": {code.JSGE, func(_, _ *big.Int, s int) bool { return s >= 0 }},
	"jslt": {code.JSLT, func(_, _ *big.Int, s int) bool { return s < 0 }},
	"jsle": {code.JSLE, func(_, _ *big.Int, s int) bool { return s <= 0 }},
}

// swaps are le, be and bswap. On a machine whose lowest byte is the first, le only cuts off.
func swaps() []operation {
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	var list []operation
	for name, op := range map[string]struct {
		op    uint8
		swaps bool
	}{
		"le":    {code.ClassALU | code.END, !little},
		"be":    {code.ClassALU | code.END | code.SrcReg, little},
		"bswap": {code.ClassALU64 | code.END, true},
	} {
		for _, bits := range []uint{16, 32, 64} {
			list = append(list, operation{name: fmt.Sprintf("%s%d", name, bits), bits: 64, unary: true,
				insn: func(dst uint8, _ any) code.Insn { return code.Insn{Op: op.op, Regs: dst, Imm: int32(bits)} },
				result: func(a, _ *big.Int, _ uint) *big.Int {
					a = low(a, bits)
					if !op.swaps {
						return a
					}
					bytes := a.FillBytes(make([]byte, bits/8))
					for i, j := 0, len(bytes)-1; i < j; i, j = i+1, j-1 {
						bytes[i], bytes[j] = bytes[j], bytes[i]
					}
					return num().SetBytes(bytes)
				}})
		}
	}
	return list
}

func num() *big.Int { return new(big.Int) }

// low is the lower bits.
func low(a *big.Int, bits uint) *big.Int {
	m := num().Lsh(big.NewInt(1), bits)
	return num().And(a, m.Sub(m, big.NewInt(1)))
}

// signed reads bits as two's complement.
func signed(a *big.Int, bits uint) *big.Int {
	if a.Bit(int(bits-1)) == 0 {
		return a
	}
	return num().Sub(a, num().Lsh(big.NewInt(1), bits))
}

func shift(b *big.Int, bits uint) uint { return uint(b.Uint64()) % bits }

func divide(a, b *big.Int) *big.Int {
	if b.Sign() == 0 {
		return num()
	}
	return num().Quo(a, b)
}

func remainder(a, b *big.Int) *big.Int {
	if b.Sign() == 0 {
		return a
	}
	return num().Rem(a, b)
}

// expect is what the operation leaves in the destination, or 1 for a jump that is taken.
func (o operation) expect(a, b uint64) uint64 {
	x, y := low(num().SetUint64(a), o.bits), low(num().SetUint64(b), o.bits)
	return low(o.result(x, y, o.bits), o.bits).Uint64()
}

// Arithmetic runs each operation of arithmetic and each comparison on all registers and edges. With few, only on some registers.
func (e Engine) Arithmetic(t *testing.T, few bool) {
	r := newRegisters(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			for dst := range uint8(10) {
				for src := range uint8(10) {
					if few && (dst+3*src)%7 != 0 || op.unary && src != 0 {
						continue
					}
					r.compare(t, e, op, dst, Reg(src), edges)
				}
				for _, k := range immediates {
					if few && (int32(dst)+k)%5 != 0 || op.unary || k < 0 && op.insn(dst, K(k)).Off > 1 {
						continue
					}
					r.compare(t, e, op, dst, K(k), []uint64{uint64(int64(k))})
				}
			}
		})
	}
}

// registers runs programs of one instruction on given registers, which stand on the stack before and after.
type registers struct {
	thread *engine.Thread
	frame  []byte
}

func newRegisters(t testing.TB) *registers {
	th := NewThread(t, false)
	return &registers{th, th.Stack.Bytes()[:engine.FrameSize]}
}

const (
	before = -160 // where in the frame r0 to r9 are before the instruction,
	after  = -80  // and after it
	taken  = -168 // 1 unless a jump was taken
)

func (r *registers) slot(off, reg int) []byte { return r.frame[engine.FrameSize+off+8*reg:][:8] }

// program has the instructions between the loads and the stores of all registers.
func (r *registers) program(insns ...code.Insn) *code.Program {
	var all []code.Insn
	for i := range uint8(10) {
		all = append(all, Load(8, i, 10, before+8*int16(i)))
	}
	all = append(all, insns...)
	for i := range uint8(10) {
		all = append(all, Store(8, 10, after+8*int16(i), Reg(i)))
	}
	return Program(0, all, Mov(0, K(0)), Exit())
}

func (r *registers) compare(t *testing.T, e Engine, op operation, dst uint8, operand any, operands []uint64) {
	t.Helper()
	insns := []code.Insn{op.insn(dst, operand)}
	if err := Program(0, insns, Exit()).Check(code.Raw); err != nil {
		return // such as a move of an immediate that extends its sign
	}
	if op.compare {
		insns = append(insns, Store(8, 10, taken, K(0)))
	}
	m, err := e.New(r.program(insns...), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	src, isReg := operand.(Reg)
	for _, a := range edges {
		for _, b := range operands {
			if isReg && uint8(src) == dst {
				b = a
			}
			for i := range 10 {
				binary.NativeEndian.PutUint64(r.slot(before, i), uint64(i)*0x1111111111111111)
			}
			if isReg {
				binary.NativeEndian.PutUint64(r.slot(before, int(src)), b)
			}
			binary.NativeEndian.PutUint64(r.slot(before, int(dst)), a)
			binary.NativeEndian.PutUint64(r.slot(taken, 0), 1)
			if _, err := m.Run(r.thread, 0, engine.Args{}); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				want := binary.NativeEndian.Uint64(r.slot(before, i))
				if i == int(dst) && !op.compare {
					want = op.expect(a, b)
				}
				if got := binary.NativeEndian.Uint64(r.slot(after, i)); got != want {
					t.Fatalf("%s r%d (%#x), %T %v (%#x): r%d is %#x, not %#x", op.name, dst, a, operand, operand, b, i, got, want)
				}
			}
			if op.compare {
				if got, want := binary.NativeEndian.Uint64(r.slot(taken, 0)), op.expect(a, b); got != want {
					t.Fatalf("%s r%d (%#x), %T %v (%#x): taken is %d, not %d", op.name, dst, a, operand, operand, b, got, want)
				}
			}
		}
	}
}
