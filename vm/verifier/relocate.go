package verifier

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// relocate fits the program to the kernel's own types, as loaders do. missing tells why that cannot be.
func (p *program) relocate(insns asm.Instructions, types Types) (missing string) {
	var relos []*btf.CORERelocation
	var at []*asm.Instruction
	for i := range insns {
		if r := btf.CORERelocationMetadata(&insns[i]); r != nil {
			relos, at = append(relos, r), append(at, &insns[i])
		}
	}
	if len(relos) == 0 {
		return ""
	}
	kernel, _ := types.(*btf.Spec)
	if kernel == nil {
		return "relocations without the kernel's types (BTF)"
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{kernel}, binary.LittleEndian, p.typeNumber)
	if err != nil {
		return fmt.Sprintf("a relocation (%v)", err)
	}
	for i, f := range fixups {
		if err := f.Apply(at[i]); err != nil {
			return fmt.Sprintf("a relocation (%v)", err)
		}
	}
	return ""
}
