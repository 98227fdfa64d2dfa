package verifier

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
)

// encode is the opposite of decode.
func encode(insns []insn) []byte {
	var b bytes.Buffer
	for _, in := range insns {
		b.WriteByte(in.Op)
		b.WriteByte(in.Regs)
		_ = binary.Write(&b, binary.LittleEndian, in.Off)
		_ = binary.Write(&b, binary.LittleEndian, in.Imm)
	}
	return b.Bytes()
}

// FuzzVerify asks that no program makes the verifier fail or hang, whatever its bytes.
func FuzzVerify(f *testing.F) {
	for _, s := range twinPrograms() {
		f.Add(encode(s.prog.insns), uint8(s.prog.spec.Type))
	}
	maps := map[string]*mapDef{}
	for name, spec := range twinMaps() {
		maps[name] = newMapDef(name, spec)
	}
	names := []string{"array", "one", "hash", "ring", "progs", "locked", "outer", "queue"}
	f.Fuzz(func(t *testing.T, code []byte, kind uint8) {
		if len(code) > 4096 {
			return
		}
		p := &program{name: "fuzz", spec: &ebpf.ProgramSpec{Type: ebpf.ProgramType(kind), License: "GPL"}, insns: decode(code), maps: map[int]*mapDef{}}
		for i, in := range p.insns {
			if in.Op == loadImm64 && in.Src() != 0 {
				p.maps[i] = maps[names[uint(in.Imm)%uint(len(names))]]
			}
		}
		for _, k := range Kernels {
			r := verify(p, k, Options{Steps: 20000})
			if r.Verdict == Rejected && r.Rejection.Text == "" {
				t.Error("a rejection without a reason")
			}
			if r.Rejection != nil && k == Linux6_18 {
				r.Rejection.Edits()
				r.Rejection.Causes()
				r.Rejection.Walk()
			}
		}
	})
}
