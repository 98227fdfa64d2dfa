package verifier

import (
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
	"skep/vm/code"
)

func rawInsn(op, dst, src uint8, off int16, imm int32) insn {
	return insn{code.Insn{Op: op, Regs: dst | src<<4, Off: off, Imm: imm}}
}

// hostilePrograms are made to make the walk long.
func hostilePrograms() map[string]*program {
	make1 := func(insns []insn) *program {
		return &program{name: "hostile", spec: &ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL"}, insns: insns}
	}
	all := map[string]*program{}
	// Each branch doubles the number of different values that matter in the end.
	branches := []insn{rawInsn(0xb7, 6, 0, 0, 0)}
	for i := range 30 {
		branches = append(branches, rawInsn(0x85, 0, 0, 0, 7), rawInsn(0x15, 0, 0, 1, 0), rawInsn(0x07, 6, 0, 0, 1<<i), rawInsn(0xb7, 0, 0, 0, 0))
	}
	branches = append(branches, rawInsn(0xb7, 0, 0, 0, 0), rawInsn(0x15, 6, 0, 0, 12345), rawInsn(0x95, 0, 0, 0, 0))
	all["branches"] = make1(branches)
	// The same, with all of the stack in each state.
	wide := []insn{rawInsn(0xb7, 6, 0, 0, 0)}
	for i := range 64 {
		wide = append(wide, rawInsn(0x85, 0, 0, 0, 7), rawInsn(0x7b, 10, 0, int16(-8*i-8), 0))
	}
	for range 12 {
		wide = append(wide, branches[1:121]...)
	}
	for i := range 64 { // and all of it is read
		wide = append(wide, rawInsn(0x79, 1, 10, int16(-8*i-8), 0))
	}
	wide = append(wide, rawInsn(0xb7, 0, 0, 0, 0), rawInsn(0x15, 6, 0, 0, 12345), rawInsn(0x95, 0, 0, 0, 0))
	all["wide states"] = make1(wide)
	// A million instructions, one after the other.
	straight := make([]insn, maxInsns)
	for i := range straight {
		straight[i] = rawInsn(0xb7, 0, 0, 0, int32(i))
	}
	straight[maxInsns-1] = rawInsn(0x95, 0, 0, 0, 0)
	all["straight"] = make1(straight)
	// A loop of which each round is new.
	all["long loop"] = make1([]insn{rawInsn(0xb7, 6, 0, 0, 0), rawInsn(0x07, 6, 0, 0, 1), rawInsn(0xa5, 6, 0, -2, 1<<30), rawInsn(0xb7, 0, 0, 0, 0), rawInsn(0x95, 0, 0, 0, 0)})
	// Functions that call the next one twice.
	deep := join(entry(asm.Mov.Imm(asm.R1, 0)), callTo("f1"), asm.Return())
	for i := 1; i < 7; i++ {
		next := "f" + string(rune('1'+i))
		deep = append(deep, join(function(asm.FnGetPrandomU32.Call(), "f"+string(rune('0'+i)), btf.StaticFunc), asm.JEq.Imm(asm.R0, 0, next+"x"), callTo(next), label(asm.Mov.Imm(asm.R6, 1), next+"x"), callTo(next), callTo(next), ret(0))...)
	}
	deep = append(deep, join(function(asm.Mov.Imm(asm.R0, 0), "f7", btf.StaticFunc), asm.Return())...)
	p, err := flatten(&ebpf.CollectionSpec{}, &ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: deep}, nil)
	if err != nil {
		panic(err)
	}
	all["deep calls"] = p
	return all
}

// TestHostile asks that every walk ends, in little memory, and says why.
func TestHostile(t *testing.T) {
	if ktest.Emulated() {
		t.Skip("guests are slow: no kernel has to do with it")
	}
	const most = 256 << 20
	for name, p := range hostilePrograms() {
		for _, k := range []Kernel{Linux5_10, Linux6_18} {
			t.Run(name+"/"+k.String(), func(t *testing.T) {
				r := verify(p, k, Options{})
				if r.Verdict == Rejected && r.Rejection.Rule != "complexity" {
					t.Errorf("rejected because of %v", r.Rejection)
				}
				if r.Verdict == Rejected && len(r.Rejection.Hottest) == 0 {
					t.Error("nothing is said of where the walk was")
				}
				t.Logf("%v: %d instructions, %d states", r.Verdict, r.Cost.Insns, r.Cost.PeakStates)
			})
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapSys > most {
		t.Errorf("the walks needed %d MB", m.HeapSys>>20)
	}
}
