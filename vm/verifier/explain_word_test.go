package verifier

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestWords asks what is said of programs with one mistake each.
func TestWords(t *testing.T) {
	packet := asm.Instructions{asm.Mov.Reg(asm.R9, asm.R1), asm.LoadMem(asm.R6, asm.R1, 76, asm.Word), asm.LoadMem(asm.R3, asm.R1, 80, asm.Word)}
	checked := asm.Instructions{asm.Mov.Reg(asm.R4, asm.R6), asm.Add.Imm(asm.R4, 14), asm.JGT.Reg(asm.R4, asm.R3, "out")}
	pull := asm.Instructions{asm.Mov.Imm(asm.R2, 64), asm.FnSkbPullData.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()}
	end := asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()}
	pull[0] = pull[0].WithSymbol("pull")
	for _, test := range []struct {
		name  string
		insns []any
		want  []string
		not   string
	}{
		{name: "packet lost in a function", insns: []any{packet, checked, asm.Mov.Reg(asm.R1, asm.R9), callTo("pull"), asm.LoadMem(asm.R0, asm.R6, 3, asm.Byte), end, pull},
			want: []string{"the function called here makes r6 unusable, which was a pointer into the packet, which is known to have 14 bytes"}, not: "of what memory holds"},
		{name: "packet's start", insns: []any{packet, asm.LoadMem(asm.R0, asm.R6, 3, asm.Byte), end},
			want: []string{"r6 is the packet's start, read from the context"}},
		{name: "far in the packet", insns: []any{packet, asm.LoadMem(asm.R5, asm.R1, 0, asm.Word), asm.Add.Reg(asm.R6, asm.R5), checked, asm.LoadMem(asm.R0, asm.R6, 3, asm.Byte), end},
			want: []string{"may be more than 65535 bytes in", "if ((u64)r5 > 32767) return 0;"}},
		{name: "metadata", insns: []any{packet, asm.LoadMem(asm.R6, asm.R1, 140, asm.Word), checked, asm.LoadMem(asm.R0, asm.R6, 3, asm.Byte), end},
			want: []string{"a comparison with data counts, and none with data_end"}},
		{name: "behind the stack", insns: []any{packet, asm.LoadMem(asm.R5, asm.R1, 0, asm.Word), asm.And.Imm(asm.R5, 31), asm.Mov.Reg(asm.R6, asm.RFP), asm.Add.Imm(asm.R6, -16),
			asm.Add.Reg(asm.R6, asm.R5), asm.StoreImm(asm.R6, 0, 1, asm.Byte), end},
			want: []string{"the access of 1 bytes at offset 15 does not lie inside of the stack"}},
		{name: "signed", insns: []any{value(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.LSh.Imm(asm.R1, 2), asm.Add.Reg(asm.R0, asm.R1), asm.LoadMem(asm.R0, asm.R0, 0, asm.Byte), leave()},
			want: []string{"r1 is a number from the lowest to 9223372036854775804"}},
		{name: "round and round", insns: []any{value(), asm.Mov.Imm(asm.R1, 0), asm.Add.Imm(asm.R0, 8).WithSymbol("again"), asm.LoadMem(asm.R2, asm.R0, 0, asm.Byte), asm.Add.Imm(asm.R1, 1),
			asm.JLT.Imm(asm.R1, 100, "again"), leave()},
			want: []string{"r0 is computed with 8 (+)\nr0 is compared with 0"}},
	} {
		spec := &ebpf.ProgramSpec{Name: "p", Type: ebpf.SchedCLS, License: "GPL", Instructions: join(test.insns...)}
		r, err := Verify(&ebpf.CollectionSpec{Maps: twinMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": spec}}, "p", Linux6_18, Options{})
		if err != nil || r.Rejection == nil {
			t.Fatalf("%s: %+v %v", test.name, r, err)
		}
		all := r.Rejection.Text + "\n" + r.Rejection.Known + "\n"
		for _, c := range r.Rejection.Causes() {
			all += c.Text + "\n"
		}
		for _, e := range r.Rejection.Edits() {
			all += e.Text + "\n"
		}
		for _, want := range test.want {
			if !strings.Contains(all, want) || test.not != "" && strings.Contains(all, test.not) {
				t.Errorf("%s: %q is not in\n%s", test.name, want, all)
			}
		}
	}
}

// TestSlots asks for words for all that a slot may hold.
func TestSlots(t *testing.T) {
	for kind, want := range map[fill]string{fillZero: "8 bytes of zeros", fillDynptr: "8 bytes of a dynptr", fillIter: "8 bytes of an iterator", fillIRQ: "8 bytes of the state of interrupts"} {
		if is := (&slot{fill: allOf(kind)}).describe(); is != want {
			t.Errorf("%q is not %q", is, want)
		}
	}
}
