package vm

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

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
