package disasm

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
)

func TestProgram(t *testing.T) {
	insns := asm.Instructions{
		asm.LoadMapPtr(asm.R1, 0).WithReference("counts").WithSymbol("entry").WithSource(asm.Comment("counts[0]++")),
		asm.LoadMapValue(asm.R2, 0, 8).WithReference(".data"),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadImm(asm.R2, 1, asm.DWord),
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("sub"),
		asm.Call.Label("sub"),
		asm.Ja.Label("out"),
		asm.Return().WithSymbol("out"),
		asm.Mov.Imm(asm.R0, 7).WithSymbol("sub"),
		asm.Return(),
	}
	var b strings.Builder
	if err := Program(&b, &ebpf.ProgramSpec{Name: "p", Instructions: insns}); err != nil {
		t.Fatal(err)
	}
	want := `entry:
      ; counts[0]++
     0: r1 = map[counts] ll
     2: r2 = map[.data][0]+8 ll
     4: call bpf_map_lookup_elem#1
     5: if r0 == 0 goto +6 <12>
     6: r2 = 0x1 ll
     8: r2 = function sub ll
    10: call sub <13>
    11: goto +0 <12>
out:
    12: exit
sub:
    13: r0 = 7
    14: exit
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestBytesErrors(t *testing.T) {
	var b strings.Builder
	if err := Bytes(&b, make([]byte, 9)); err == nil {
		t.Error("9 bytes are instructions")
	}
	// A load whose second half is missing is shown as it is.
	if err := Bytes(&b, []byte{0x18, 1, 0, 0, 5, 0, 0, 0}); err != nil || b.String() != "     0: r1 = 0x5 ll\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte{0x18, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		_ = Bytes(&strings.Builder{}, content)
	})
}
