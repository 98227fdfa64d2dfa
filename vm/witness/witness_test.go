package witness_test

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"skep/vm/verifier"
	"skep/vm/witness"
)

// TestFind asks for inputs of programs with one mistake each.
func TestFind(t *testing.T) {
	value := func(rest ...asm.Instruction) asm.Instructions {
		return append(asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, 0).WithReference("counts"), asm.FnMapLookupElem.Call(),
		}, rest...)
	}
	end := []asm.Instruction{asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()}
	for _, test := range []struct {
		name  string
		kind  ebpf.ProgramType
		maps  ebpf.MapType
		one   bool // element, which may lie next to a stack
		insns asm.Instructions
		want  witness.Witness
	}{
		{name: "null", kind: ebpf.SocketFilter, maps: ebpf.Hash, insns: append(value(asm.LoadMem(asm.R3, asm.R0, 0, asm.DWord)), end...),
			want: witness.Witness{Inputs: []string{"nothing in counts"}, Insn: 6, Fault: "reading 8 bytes at 0x0, where the program has no memory", Value: "r0 is null"}},
		{name: "bounds", kind: ebpf.SocketFilter, maps: ebpf.Hash, insns: append(value(asm.JEq.Imm(asm.R0, 0, "out"), asm.LoadMem(asm.R3, asm.R0, 0, asm.DWord),
			asm.JGT.Imm(asm.R3, 8, "out"), asm.Add.Reg(asm.R0, asm.R3), asm.LoadMem(asm.R3, asm.R0, 0, asm.Byte)), end...),
			want: witness.Witness{Inputs: []string{"what is looked up is in counts", "the value found in counts at offset 0: 08"}, Insn: 10,
				Fault: "an access of 1 bytes at offset 8 of a value of counts, which has 8 bytes"}},
		{name: "legal with zeros", kind: ebpf.SocketFilter, maps: ebpf.Array, one: true, insns: append(value(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R7, asm.R0), asm.FnGetPrandomU32.Call(),
			asm.And.Imm(asm.R0, 8), asm.Add.Reg(asm.R7, asm.R0), asm.LoadMem(asm.R3, asm.R7, 0, asm.Byte)), end...),
			want: witness.Witness{Inputs: []string{"bpf_get_prandom_u32 returns 8 (call 1)"}, Insn: 11,
				Fault: "an access of 1 bytes at offset 8 of a value of counts, which has 8 bytes"}},
		{name: "null on one path", kind: ebpf.SocketFilter, maps: ebpf.Array, one: true, insns: append(value(asm.Mov.Reg(asm.R7, asm.R0), asm.FnGetPrandomU32.Call(),
			asm.JEq.Imm(asm.R0, 0, "read"), asm.Mov.Imm(asm.R7, 0), asm.LoadMem(asm.R3, asm.R7, 0, asm.Byte).WithSymbol("read")), end...)},
		{name: "packet", kind: ebpf.XDP, maps: ebpf.Hash, insns: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14),
			asm.JGT.Reg(asm.R4, asm.R3, "out"), asm.LoadMem(asm.R0, asm.R2, 14, asm.Byte), end[0], end[1],
		}, want: witness.Witness{Inputs: []string{"a packet of 14 bytes"}, Insn: 5}},
		{name: "uninitialized", kind: ebpf.SocketFilter, maps: ebpf.Hash, insns: asm.Instructions{asm.Return()}, want: witness.Witness{Insn: 0}},
		{name: "endless", kind: ebpf.SocketFilter, maps: ebpf.Hash, insns: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.JEq.Imm(asm.R0, 0, "again").WithSymbol("again"), end[0], end[1]},
			want: witness.Witness{Insn: 1, Fault: "it has not ended after 1000000 instructions"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			coll := &ebpf.CollectionSpec{
				Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: test.kind, License: "GPL", Instructions: test.insns}},
				Maps:     map[string]*ebpf.MapSpec{"counts": {Name: "counts", Type: test.maps, KeySize: 4, ValueSize: 8, MaxEntries: 16}},
			}
			if test.one {
				coll.Maps["counts"].MaxEntries = 1
			}
			r, err := verifier.Verify(coll, "p", verifier.Linux6_18, verifier.Options{})
			if err != nil || r.Rejection == nil {
				t.Fatal(r, err)
			}
			w, err := witness.Find(coll, "p", r.Rejection, witness.Options{Kernel: verifier.Linux6_18})
			if test.name == "null on one path" {
				if w != nil && w.Value != "r7 is null" && w.Value != "r7 is 0" {
					t.Errorf("what is legal is said to be none: %+v", w)
				}
				return
			}
			if err != nil || w == nil {
				t.Fatalf("no input for %v: %v", r.Rejection, err)
			}
			if strings.Contains(w.Value, "0x") {
				w.Value = "" // an address
			}
			if test.name == "legal with zeros" && len(w.Inputs) == 1 && strings.HasPrefix(w.Inputs[0], "bpf_get_prandom_u32 returns ") {
				w.Inputs = test.want.Inputs // any number with that bit
			}
			if strings.Contains(w.Fault, "packet") {
				w.Fault = ""
			}
			if d := cmp.Diff(test.want, *w); d != "" {
				t.Error(d)
			}
		})
	}
}
