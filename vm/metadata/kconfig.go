package metadata

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// KconfigName is the name of the section, and of the map, that has the variables of the kernel's configuration.
const KconfigName = ".kconfig"

// KconfigSection is what the types of an object say of these variables.
func KconfigSection(types *btf.Spec) (section *btf.Datasec, err error) {
	if types == nil {
		return nil, errors.New("the variables of .kconfig have no types")
	}
	if err := types.TypeByName(KconfigName, &section); err != nil {
		return nil, fmt.Errorf("looking for the types of .kconfig: %w", err)
	}
	if section.Size > 1<<20 {
		return nil, fmt.Errorf("section .kconfig has %d bytes", section.Size)
	}
	return section, nil
}

// KconfigSpec is the map behind the section: one value, which programs cannot write.
func KconfigSpec(section *btf.Datasec) *ebpf.MapSpec {
	const rdonlyProg = 1 << 7 // BPF_F_RDONLY_PROG
	return &ebpf.MapSpec{Name: KconfigName, Type: ebpf.Array, KeySize: 4, ValueSize: section.Size, MaxEntries: 1, Flags: rdonlyProg}
}
