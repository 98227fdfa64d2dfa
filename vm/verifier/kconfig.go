package verifier

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

const kconfigName = ".kconfig"

// kconfigMap is the map behind the variables of the kernel's configuration. Programs cannot write it.
func kconfigMap(types *btf.Spec) (*mapDef, error) {
	if types == nil {
		return nil, errors.New("the variables of .kconfig have no types")
	}
	var section *btf.Datasec
	if err := types.TypeByName(kconfigName, &section); err != nil {
		return nil, fmt.Errorf("looking for the types of .kconfig: %w", err)
	}
	m := newMapDef(kconfigName, &ebpf.MapSpec{Name: kconfigName, Type: ebpf.Array, KeySize: 4, ValueSize: section.Size, MaxEntries: 1, Flags: rdonlyProg})
	m.kconfig = map[uint32]string{}
	for _, v := range section.Vars {
		m.kconfig[v.Offset] = v.Type.TypeName()
	}
	return m, nil
}

// kconfigValue gives a register what is known of a variable: the version of the kernel, and of its configuration nothing.
func (v *verifier) kconfigValue(x *reg, name string, size int) {
	if name == "LINUX_KERNEL_VERSION" && size == 4 {
		x.setNumber(uint64(v.rules.kernel))
		return
	}
	x.setUnknown()
}
