package vm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm/helper"
	"skep/vm/verifier"
)

// verify asks package verifier about programs with their relocations done, and remembers which may run without checks. That one is
// rejected is an error.
func (l *loader) verify(names []string) error {
	l.verified = map[string]bool{}
	all := true
	for _, name := range names {
		accepted, err := l.verifyProgram(name)
		if err == nil && accepted {
			accepted, err = l.keepsNewestRules(name)
		}
		if err != nil {
			return fmt.Errorf("verifying program %s: %w", name, err)
		}
		l.verified[name] = accepted
		all = all && accepted
	}
	// Tail calls lead only to programs that are trusted as much as the caller.
	for _, m := range l.spec.Maps {
		if m.Type == ebpf.ProgramArray && !all {
			l.verified = nil
		}
	}
	return nil
}

func (l *loader) verifyProgram(name string) (bool, error) {
	spec := *l.spec.Programs[name]
	spec.Instructions = slices.Clone(l.relocated[name])
	one := &ebpf.CollectionSpec{
		Maps: l.spec.Maps, Programs: map[string]*ebpf.ProgramSpec{name: &spec}, Types: l.spec.Types, ByteOrder: l.spec.ByteOrder,
	}
	if err := l.nameKconfig(one, spec.Instructions); err != nil {
		return false, err
	}
	o := verifier.Options{CPUs: l.machine.CPUs()}
	if types := l.machine.options.KernelTypes; types != nil {
		o.Types = types
	}
	result, err := verifier.Verify(one, name, verifier.Kernel(l.machine.options.KernelVersion&^0xff), o)
	switch {
	case err != nil:
		return false, err
	case result.Verdict == verifier.Rejected:
		return false, result.Rejection
	}
	return result.Verdict == verifier.Accepted && len(l.options.Maps) == 0 && ContextSize(spec.Type) > 0 && !followsPointers(spec.Type) &&
		!meetsPointers(spec.Instructions), nil
}

// nameKconfig makes loads of variables of the kernel's configuration those of a map, as the linker does.
func (l *loader) nameKconfig(spec *ebpf.CollectionSpec, insns asm.Instructions) error {
	for i := range insns {
		offset, ok := kconfigOffset(&insns[i])
		if !ok {
			continue
		}
		section, err := l.kconfigSection()
		if err != nil {
			return err
		}
		spec.Maps = maps.Clone(spec.Maps)
		spec.Maps[kconfigName] = kconfigSpec(section)
		insns[i] = insns[i].WithReference(kconfigName)
		insns[i].Constant = int64(uint64(offset) << 32)
	}
	return nil
}

// meetsPointers reports whether the program calls what returns pointers into the kernel, which a verified program follows as it likes. It
// is the host who knows what is there, so that such loads are checked.
func meetsPointers(insns asm.Instructions) bool {
	for i := range insns {
		in := &insns[i]
		if in.IsKfuncCall() {
			return true
		}
		if !in.IsBuiltinCall() {
			continue
		}
		if h := helper.ByNumber(int32(uint32(in.Constant))); h != nil && returnsKernelPointer(h.Ret) {
			return true
		}
	}
	return false
}

func returnsKernelPointer(r helper.Ret) bool {
	switch r {
	case helper.Integer, helper.Void, helper.RetMapValue, helper.RetMapValueOrNull, helper.RetRingbufMemOrNull, helper.RetDynptrMemOrNull:
		return false
	}
	return true
}
