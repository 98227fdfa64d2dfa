// Package metadata reads what the loader of objects keeps to itself about instructions.
package metadata

import (
	"debug/elf"
	"reflect"

	"github.com/cilium/ebpf/asm"
)

// cilium/ebpf keeps where a .kconfig variable is, and whether a kernel symbol is weak, in metadata of the instruction under keys of its
// own, and has no functions that tell. What follows only reads, by name; vm.TestMetadata notices if a new version has other names.

// KconfigOffset is where in the section .kconfig the variable is whose address the instruction loads.
func KconfigOffset(in *asm.Instruction) (uint32, bool) {
	if in.Src != asm.PseudoMapValue || in.Reference() != "" {
		return 0, false
	}
	if meta := of(in, "kconfigMeta"); meta.IsValid() {
		if f := meta.FieldByName("Offset"); f.IsValid() && f.CanUint() {
			return uint32(f.Uint()), true
		}
	}
	return 0, false
}

// Weak reports whether the kernel symbol that the instruction refers to may be missing.
func Weak(in *asm.Instruction) bool {
	for _, name := range []string{"ksymMeta", "kfuncMeta"} {
		if meta := of(in, name); meta.IsValid() {
			f := meta.FieldByName("Binding")
			return f.IsValid() && f.CanInt() && elf.SymBind(f.Int()) == elf.STB_WEAK
		}
	}
	return false
}

// of finds a value by the name of its type, in the linked list that metadata is.
func of(in *asm.Instruction, typeName string) reflect.Value {
	e := reflect.ValueOf(&in.Metadata).Elem().FieldByName("head")
	for e.IsValid() && e.Kind() == reflect.Pointer && !e.IsNil() {
		value := e.Elem().FieldByName("value")
		if value.IsValid() && value.Kind() == reflect.Interface && !value.IsNil() {
			if v := value.Elem(); v.Kind() == reflect.Pointer && v.Type().Elem().Name() == typeName && !v.IsNil() {
				return v.Elem()
			}
		}
		e = e.Elem().FieldByName("next")
	}
	return reflect.Value{}
}
