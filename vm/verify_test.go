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
