package verifier

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"skep/internal/ktest"
)

// mutate changes one to three instructions of a program. Calls of functions and loads of maps stay what they are.
func mutate(p *program, g *rand.Rand) *program {
	c := *p
	c.insns = slices.Clone(p.insns)
	c.maps = maps.Clone(p.maps)
	for range 1 + g.IntN(3) {
		i := g.IntN(len(c.insns))
		in := &c.insns[i]
		if in.Op == 0 || in.isSubcall() || in.isKfunc() || in.Op == loadImm64 && in.Src() != 0 || i > 0 && c.insns[i-1].Op == loadImm64 {
			continue
		}
		switch g.IntN(9) {
		case 0:
			in.Regs = in.Regs&0xf0 | uint8(g.IntN(11))
		case 1:
			if in.fromReg() || in.class() == classLDX || in.class() == classSTX {
				in.Regs = in.Regs&0x0f | uint8(g.IntN(11))<<4
			}
		case 2:
			in.Off += int16(g.IntN(17) - 8)
		case 3:
			if !in.isCall() {
				in.Imm = []int32{0, 1, -1, 2, 7, 8, 16, 31, 32, 63, 64, 255, 256, 4096, 1 << 30, -1 << 31, 1<<31 - 1}[g.IntN(17)]
			}
		case 4:
			in.Imm += int32(g.IntN(9) - 4)
		case 5:
			if in.isALU() {
				in.Op = in.Op&0x0f | []uint8{opADD, opSUB, opMUL, opOR, opAND, opLSH, opRSH, opXOR, opMOV, opARSH, opDIV}[g.IntN(11)]
			} else if in.isJump() && !in.isCall() && !in.isExit() && in.op() != jA {
				in.Op = in.Op&0x0f | []uint8{jEQ, jGT, jGE, jSET, jNE, jSGT, jSGE, jLT, jLE, jSLT, jSLE}[g.IntN(11)]
			} else if in.class() <= classSTX && in.mode() == modeMEM {
				in.Op = in.Op&^0x18 | uint8(g.IntN(4))<<3
			}
		case 6:
			if in.isALU() || in.isJump() && !in.isCall() && !in.isExit() && in.op() != jA {
				in.Op ^= 3 // the other width
				if in.class() == classJMP32 || in.class() == classJMP || in.isALU() {
					break
				}
				in.Op ^= 3
			}
		case 7:
			j := g.IntN(len(c.insns))
			if other := c.insns[j]; other.Op != loadImm64 && other.Op != 0 && !other.isCall() && (j == 0 || c.insns[j-1].Op != loadImm64) {
				*in = other
			}
		case 8:
			in.Op ^= 8
		}
	}
	return &c
}

// TestMutationsAgree compares verdicts on changed programs. SKEP_MUTATIONS is their number, SKEP_SEED the first seed.
func TestMutationsAgree(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	k := runningKernel(t)
	base := append(scriptPrograms(t, k.version), twinPrograms()...)
	if !ktest.Emulated() {
		for _, s := range objectPrograms(t, k.types) {
			if s.prog.missing == "" {
				base = append(base, s, s) // there are fewer of them
			}
		}
	}
	n := 500
	if ktest.Emulated() {
		n = 150
	}
	if s := os.Getenv("SKEP_MUTATIONS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	seed, _ := strconv.ParseUint(os.Getenv("SKEP_SEED"), 10, 64)
	var y tally
	for i := range n {
		s := uint64(i) + seed
		g := rand.New(rand.NewPCG(s, 1))
		b := base[g.IntN(len(base))]
		if len(b.prog.insns) > 3000 {
			continue
		}
		p := mutate(b.prog, g)
		r := verify(p, k.version, k.options())
		y.add(sample{fmt.Sprintf("%s seed %d", b.name, s), p}, r, k.load(p, false))
	}
	y.log(t, k, 80)
	if y.unsound > 0 {
		t.Errorf("%d programs are accepted that the kernel rejects", y.unsound)
	}
	if n := y.same + y.strict; y.same*100 < n*98 {
		t.Errorf("the kernel agrees on %d of %d programs only", y.same, n)
	}
}
