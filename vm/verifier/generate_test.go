package verifier

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"

	"skep/internal/ktest"
)

// generate makes a program of arithmetic, comparisons and stores on the stack, that ends with an access of a map's value at what came of it.
func generate(g *rand.Rand, array *mapDef) *program {
	imms := []int32{0, 1, 2, 3, 7, 8, 15, 31, 32, 63, 64, 255, 1024, -1, -2, -8, -64, 1<<31 - 1, -1 << 31, 0x10000, 0x7fff}
	imm := func() int32 { return imms[g.IntN(len(imms))] }
	// r6 is the value's address, r7 to r9 and r1 are numbers.
	regs := []uint8{7, 8, 9, 1}
	reg := func() uint8 { return regs[g.IntN(len(regs))] }
	p := []insn{
		rawInsn(0x85, 0, 0, 0, 7), rawInsn(0x63, 10, 0, -4, 0), rawInsn(0xbf, 2, 10, 0, 0), rawInsn(0x07, 2, 0, 0, -4),
		rawInsn(0x18, 1, 1, 0, 0), rawInsn(0, 0, 0, 0, 0), rawInsn(0x85, 0, 0, 0, 1), rawInsn(0x55, 0, 0, 2, 0),
		rawInsn(0xb7, 0, 0, 0, 0), rawInsn(0x95, 0, 0, 0, 0), rawInsn(0xbf, 6, 0, 0, 0),
		rawInsn(0x79, 7, 6, 0, 0), rawInsn(0x61, 8, 6, 8, 0), rawInsn(0x71, 9, 6, 16, 0), rawInsn(0x69, 1, 6, 24, 0),
	}
	slot := func() int16 { return -8 * int16(2+g.IntN(3)) }
	for _, s := range []int16{-16, -24, -32} {
		p = append(p, rawInsn(0x7b, 10, reg(), s, 0))
	}
	n := 6 + g.IntN(25)
	for range n {
		switch g.IntN(8) {
		case 0, 1, 2:
			op := []uint8{opADD, opSUB, opMUL, opOR, opAND, opLSH, opRSH, opXOR, opMOV, opARSH, opAND, opADD, opDIV, opMOD}[g.IntN(14)]
			class := uint8(classALU64)
			if g.IntN(3) == 0 {
				class = classALU
			}
			k := imm()
			switch op {
			case opLSH, opRSH, opARSH:
				k &= 31
			case opDIV, opMOD:
				k |= 1
			}
			if g.IntN(2) == 0 {
				p = append(p, rawInsn(class|op|8, reg(), reg(), 0, 0))
			} else {
				p = append(p, rawInsn(class|op, reg(), 0, 0, k))
			}
		case 3, 4:
			op := []uint8{jEQ, jGT, jGE, jSET, jNE, jSGT, jSGE, jLT, jLE, jSLT, jSLE}[g.IntN(11)]
			class := uint8(classJMP)
			if g.IntN(3) == 0 {
				class = classJMP32
			}
			off := int16(g.IntN(4))
			if g.IntN(2) == 0 {
				p = append(p, rawInsn(class|op|8, reg(), reg(), off, 0))
			} else {
				p = append(p, rawInsn(class|op, reg(), 0, off, imm()))
			}
		case 5:
			p = append(p, rawInsn([]uint8{0x7b, 0x63, 0x6b, 0x73}[g.IntN(4)], 10, reg(), slot(), 0))
		case 6:
			p = append(p, rawInsn([]uint8{0x79, 0x61, 0x69, 0x71}[g.IntN(4)], reg(), 10, slot(), 0))
		case 7:
			p = append(p, rawInsn([]uint8{0x87, 0x84, 0xd4, 0xdc}[g.IntN(4)], reg(), 0, 0, 0))
			if last := &p[len(p)-1]; last.op() == opEND {
				last.Imm = []int32{16, 32, 64}[g.IntN(3)]
			}
		}
	}
	r := reg()
	if g.IntN(3) > 0 {
		p = append(p, rawInsn(0x57, r, 0, 0, []int32{31, 63, 127}[g.IntN(3)]))
	}
	for range 4 { // where the last jumps lead
		p = append(p, rawInsn(0xbf, r, r, 0, 0))
	}
	p = append(p, rawInsn(0x0f, 6, r, 0, 0), rawInsn(0x71, 0, 6, 0, 0), rawInsn(0xb7, 0, 0, 0, 0), rawInsn(0x95, 0, 0, 0, 0))
	return &program{
		name: "generated", spec: &ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL"}, insns: p, maps: map[int]*mapDef{4: array},
	}
}

// TestGeneratedAgree compares verdicts on generated programs. SKEP_GENERATED is their number, SKEP_SEED the first seed.
func TestGeneratedAgree(t *testing.T) {
	ktest.Need(t, ktest.Root)
	k := runningKernel(t)
	n := 1000
	if ktest.Emulated() {
		n = 500
	}
	if s := os.Getenv("SKEP_GENERATED"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	seed, _ := strconv.ParseUint(os.Getenv("SKEP_SEED"), 10, 64)
	array := newMapDef("array", twinMaps()["array"])
	var y tally
	for i := range n {
		s := uint64(i) + seed
		p := generate(rand.New(rand.NewPCG(s, 2)), array)
		y.add(sample{fmt.Sprintf("seed %d", s), p}, verify(p, k.version, k.options()), k.load(p, false))
	}
	y.log(t, k, 60)
	if y.unsound > 0 {
		t.Errorf("%d programs are accepted that the kernel rejects", y.unsound)
	}
	// Linux 7.2 is walked by the rules of 6.18 as far as nothing else has been seen.
	if total := y.same + y.strict; y.same*100 < total*98 && k.version <= Linux6_18 {
		t.Errorf("the kernel agrees on %d of %d programs only", y.same, total)
	}
}
