package vm

import (
	"fmt"
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
	o := verifier.Options{CPUs: l.machine.CPUs()}
	if types := l.machine.options.KernelTypes; types != nil {
		o.Types = types
	}
	result, err := verifier.Verify(one, name, verifier.Kernel(l.machine.options.KernelVersion), o)
	switch {
	case err != nil:
		return false, err
	case result.Verdict == verifier.Rejected:
		return false, result.Rejection
	}
	return result.Verdict == verifier.Accepted && len(l.options.Maps) == 0 && ContextSize(spec.Type) > 0 && !followsPointers(spec.Type) &&
		!meetsPointers(spec.Instructions) && !fetches(spec.Instructions), nil
}

// fetches reports whether the program has atomic operations that return the old number. Of one that is fetched from the stack, verifiers up
// to that of Linux 6.18 know the range, but do not remember that they have relied on what was stored there. They skip paths on which
// another number was stored, and so accept programs that leave their memory.
func fetches(insns asm.Instructions) bool {
	for i := range insns {
		switch insns[i].OpCode.AtomicOp() {
		case asm.FetchAdd, asm.FetchAnd, asm.FetchOr, asm.FetchXor, asm.Xchg, asm.CmpXchg:
			return true
		}
	}
	return false
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
