package vm

import (
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

// TestVerifyOldRules loads what Linux 5.10 accepts by mistake: a record that is given back by a pointer into it.
func TestVerifyOldRules(t *testing.T) {
	m := machine(t, Options{KernelVersion: 5<<16 | 10<<8})
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"ring": {Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096}},
		Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R1, 0).WithReference("ring"), asm.Mov.Imm(asm.R2, 16), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R1, asm.R0), asm.Add.Imm(asm.R1, 8), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufSubmit.Call(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return(),
		}}},
	}
	c, err := m.Load(spec, &LoadOptions{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Programs["p"].Checked() {
		t.Error("what only old rules accept runs without checks")
	}
}
