package verifier

import (
	"github.com/cilium/ebpf/btf"

	"skep/vm/metadata"
)

// kconfigMap is the map behind the variables of the kernel's configuration. Programs cannot write it.
func kconfigMap(types *btf.Spec) (*mapDef, error) {
	section, err := metadata.KconfigSection(types)
	if err != nil {
		return nil, err
	}
	m := newMapDef(metadata.KconfigName, metadata.KconfigSpec(section))
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
