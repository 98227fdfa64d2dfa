package verifier

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestExplain asks where what is known comes from.
func TestExplain(t *testing.T) {
	insns := join(
		value(), asm.Mov.Reg(asm.R8, asm.R0), random(), asm.Mov.Reg(asm.R9, asm.R7), asm.JSGT.Imm(asm.R9, 63, "out"),
		asm.StoreMem(asm.RFP, -16, asm.R9, asm.DWord), asm.LoadMem(asm.R1, asm.RFP, -16, asm.DWord),
		asm.Add.Reg(asm.R8, asm.R1), asm.LoadMem(asm.R0, asm.R8, 0, asm.Byte), leave(),
	)
	spec := &ebpf.ProgramSpec{Name: "p", Type: ebpf.SocketFilter, License: "GPL", Instructions: insns}
	r, err := Verify(&ebpf.CollectionSpec{Maps: twinMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": spec}}, "p", Linux6_18, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := r.Rejection
	if e == nil {
		t.Fatalf("%+v", r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", e.Rule, e.Known)
	for _, c := range e.Path {
		fmt.Fprintf(&b, "%d: %s\n", c.Insn, c.Text)
	}
	t.Log(b.String())
	for _, want := range []string{"r1 is a number", "r1 is read back from the stack", "it was stored in the stack here", "r9 is compared with 63", "r0 is what bpf_get_prandom_u32 returned"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not said", want)
		}
	}
}
