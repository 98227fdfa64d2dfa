package vm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm/code"
	"skep/vm/jit"
)

// TestVerify loads programs that the verifier accepts, rejects, and lets run with checks.
func TestVerify(t *testing.T) {
	m := machine(t, Options{})
	c, err := m.Load(readObject(t, "xdp"), &LoadOptions{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Programs["count"]; p.Checked() {
		t.Error("a program that the verifier accepts is checked as it runs")
	} else if ctx, err := m.NewMemory(nil); err != nil {
		t.Error(err)
	} else if _, err := thread(t, m).Run(p, ctx); err == nil || !strings.Contains(err.Error(), "is not the context of programs of type XDP") {
		t.Errorf("on a context that the verifier did not think of: %v", err)
	}
	if jit.Supported && !slices.ContainsFunc(c.Programs["count"].Code().Calls, func(c code.Call) bool { return c.Array != nil }) {
		t.Error("no look-up in an array was found")
	}
	if c, err = m.Load(readObject(t, "xdp"), nil); err != nil || !c.Programs["count"].Checked() {
		t.Errorf("a program that nobody verified is trusted (%v)", err)
	}

	load := func(t ebpf.ProgramType, insns ...asm.Instruction) (*Program, error) {
		spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
			Name: "p", Type: t, License: "GPL", Instructions: append(insns, asm.Mov.Imm(asm.R0, 0), asm.Return()),
		}}}
		c, err := m.Load(spec, &LoadOptions{Verify: true})
		if err != nil {
			return nil, err
		}
		return c.Programs["p"], nil
	}
	_, err = load(ebpf.XDP, asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word))
	if err == nil || !strings.HasPrefix(err.Error(), "verifying program p: instruction 1: ") {
		t.Errorf("a load of the packet without a comparison: %v", err)
	}
	p, err := load(ebpf.Kprobe, asm.FnGetCurrentTaskBtf.Call())
	if err != nil || !p.Checked() {
		t.Errorf("a program that may follow pointers of the kernel is not checked (%v)", err)
	}
}

// TestVerifiedFetch runs a program that kernels accept though it leaves its memory: they believe that r7 is 1 for packets of 60 bytes, too.
func TestVerifiedFetch(t *testing.T) {
	insns := asm.Instructions{
		asm.LoadMem(asm.R8, asm.R1, skbLen, asm.Word), asm.Mov.Imm(asm.R1, 1),
		asm.JEq.Imm(asm.R8, 60, "other"), asm.Mov.Imm(asm.R1, 1), asm.Ja.Label("join"),
		asm.Mov.Imm(asm.R1, 99999).WithSymbol("other"),
		asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord).WithSymbol("join"),
	}
	for i := range int32(6) { // so that the verifier remembers a state to compare with
		next := fmt.Sprint("next", i)
		insns = append(insns, asm.JEq.Imm(asm.R8, i, next), asm.Mov.Imm(asm.R2, 1), asm.Mov.Imm(asm.R3, 1).WithSymbol(next), asm.Mov.Imm(asm.R4, 1))
	}
	insns = append(insns, asm.Mov.Imm(asm.R1, 0), asm.Mov.Imm(asm.R7, 0), asm.FetchOr.Mem(asm.R10, asm.R7, asm.DWord, -8),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Reg(asm.R2, asm.R7), asm.Add.Imm(asm.R2, -16),
		asm.StoreMem(asm.R10, -16, asm.R1, asm.DWord), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord),
		asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), asm.Return())
	m := machine(t, Options{})
	c, err := m.Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Name: "p", Type: ebpf.SchedCLS, License: "GPL", Instructions: insns,
	}}}, &LoadOptions{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	packet, err := m.NewPacket(ebpf.SchedCLS, 60)
	if err != nil {
		t.Fatal(err)
	}
	if err := packet.SetData(make([]byte, 60)); err != nil {
		t.Fatal(err)
	}
	if r0, err := thread(t, m).Run(c.Programs["p"], packet); err == nil || !strings.Contains(err.Error(), "reading 1 bytes") {
		t.Errorf("the program reads what it was not given, and returns %d (%v)", r0, err)
	}
}
