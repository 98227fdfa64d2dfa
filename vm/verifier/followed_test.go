package verifier

import (
	"testing"

	"github.com/cilium/ebpf"

	"skep/vm/code"
)

// TestNoRegister walks instructions of all classes with registers that do not exist.
func TestNoRegister(t *testing.T) {
	for _, op := range []uint8{classLDX | modeMEM, classSTX | modeMEM, classST | modeMEM, classSTX | modeATOMIC | 0x18, classALU64 | opMOV | 8, classALU | opADD, classJMP | jEQ | 8, classJMP32 | jEQ} {
		for _, regs := range []uint8{0xb0, 0x0b, 0xff} {
			p := &program{
				spec: &ebpf.ProgramSpec{Type: ebpf.SocketFilter}, maps: map[int]*mapDef{},
				insns: []insn{newInsn(classALU64|opMOV, 0, 0, 0, 0), {code.Insn{Op: op, Regs: regs}}, newInsn(classJMP|jEXIT, 0, 0, 0, 0)}, lines: make([]*Line, 3),
			}
			r := verify(p, Linux6_18, Options{})
			if r.Verdict != Rejected {
				t.Errorf("opcode %#x with registers %#x is %v", op, regs, r.Verdict)
			}
		}
	}
}
