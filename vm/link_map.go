package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	gomaps "maps"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/vm/maps"
	"skep/vm/metadata"
)

// mapOf is the map that an immediate load is of.
func (k *linker) mapOf(in *asm.Instruction) (maps.Map, error) {
	if in.Map() != nil {
		return nil, errors.New("the map is one of the kernel's")
	}
	if ref := in.Reference(); ref != "" {
		if m := k.collection.Maps[ref]; m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("map %s is not defined", ref)
	}
	number := uint32(uint64(in.Constant))
	if in.Src == pseudoMapIndex || in.Src == pseudoMapIndexVal {
		names := slices.Sorted(gomaps.Keys(k.collection.Maps))
		if uint64(number) >= uint64(len(names)) {
			return nil, fmt.Errorf("there is no map %d among %d", number, len(names))
		}
		return k.collection.Maps[names[number]], nil
	}
	if m := k.machine.objects.mapOf(number); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("the machine has no map %d", number)
}

// mapValue is the address within the only value of an array, as that of a section of global data is.
func (k *linker) mapValue(m maps.Map, offset uint32) (uint64, error) {
	if m.Type() != ebpf.Array || m.MaxEntries() != 1 {
		return 0, fmt.Errorf("map %s is not an array of one value, so that the address of its value is not known", m.Name())
	}
	if int64(offset) >= int64(m.ValueSize()) {
		return 0, fmt.Errorf("offset %d is outside of the value of map %s, which has %d bytes", offset, m.Name(), m.ValueSize())
	}
	return m.Lookup(0, make([]byte, 4)) + uint64(offset), nil
}

// kconfigMap makes the map behind the variables of the kernel's configuration.
func (k *linker) kconfigMap() (maps.Map, error) {
	if k.kconfig != nil {
		return k.kconfig, nil
	}
	section, err := metadata.KconfigSection(k.spec.Types)
	if err != nil {
		return nil, err
	}
	data := make([]byte, section.Size)
	for _, v := range section.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok || uint64(v.Offset)+uint64(v.Size) > uint64(len(data)) {
			return nil, errors.New("section .kconfig is malformed")
		}
		value, err := k.machine.kconfig(variable.Name)
		if err == nil {
			err = putKconfig(data[v.Offset:v.Offset+v.Size], variable.Type, value)
		}
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
	}
	spec := metadata.KconfigSpec(section)
	spec.Contents = []ebpf.MapKV{{Key: uint32(0), Value: data}}
	m, err := k.machine.newMap(spec, k.collection)
	if err != nil {
		return nil, err
	}
	k.collection.own = append(k.collection.own, m)
	k.collection.use(spec.Name, m)
	k.kconfig = m
	return m, nil
}

// kconfig is the text of a variable.
func (m *Machine) kconfig(name string) (string, error) {
	switch name {
	case "LINUX_KERNEL_VERSION":
		return fmt.Sprint(m.options.KernelVersion), nil
	case "LINUX_HAS_SYSCALL_WRAPPER", "LINUX_HAS_BPF_COOKIE":
		return "1", nil
	}
	value, ok := m.options.Kconfig[name]
	if !ok {
		return "", errors.New("the machine's kernel configuration does not have it")
	}
	return value, nil
}

// putKconfig stores a value of the kernel's configuration in a variable of the type.
func putKconfig(to []byte, t btf.Type, value string) error {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		// A string is cut so that it ends with 0.
		if len(to) == 0 {
			return errors.New("the variable has no room for a text")
		}
		copy(to[:len(to)-1], value[1:len(value)-1])
		return nil
	}
	var n uint64
	switch value {
	case "n":
	case "y":
		n = 1
	case "m":
		if !isTristate(t) && !isChar(t) {
			return errors.New("the option is a module, which the variable cannot say")
		}
		n = 2 // of enum libbpf_tristate
	default:
		v, err := strconv.ParseInt(value, 0, 64)
		n = uint64(v)
		if err != nil {
			if n, err = strconv.ParseUint(value, 0, 64); err != nil {
				return fmt.Errorf("%q is no value", value)
			}
		}
	}
	if bits := 8 * len(to); bits > 0 && bits < 64 && n>>bits != 0 && int64(n)>>(bits-1) != -1 {
		return fmt.Errorf("%s does not fit a variable of %d bytes", value, len(to))
	}
	switch len(to) {
	case 1:
		to[0] = byte(n)
		if isChar(t) && (value == "y" || value == "n" || value == "m") {
			to[0] = value[0]
		}
	case 2:
		binary.NativeEndian.PutUint16(to, uint16(n))
	case 4:
		binary.NativeEndian.PutUint32(to, uint32(n))
	case 8:
		binary.NativeEndian.PutUint64(to, n)
	default:
		return fmt.Errorf("a number does not fit a variable of %d bytes", len(to))
	}
	return nil
}

func isTristate(t btf.Type) bool {
	e, ok := btf.UnderlyingType(t).(*btf.Enum)
	return ok && e.Name == "libbpf_tristate"
}

// isChar reports whether the variable wants the letter of y, n or m.
func isChar(t btf.Type) bool {
	i, ok := btf.UnderlyingType(t).(*btf.Int)
	return ok && i.Encoding != btf.Bool && i.Size == 1
}
