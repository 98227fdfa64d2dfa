package verifier

import (
	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// Types are the kernel's own types.
type Types interface {
	// TypeByName finds a type as [btf.Spec.TypeByName] does.
	TypeByName(name string, typ any) error
}

const btfGlobal = btf.GlobalFunc

func protoOf(f *btf.Func) *btf.FuncProto {
	p, _ := f.Type.(*btf.FuncProto)
	return p
}

func (v *verifier) findAttachType() { v.unmodelled("tracing programs") }

func btfField(v *verifier, a ctxField) bool { return false }

func (v *verifier) loadedBTF(x *reg, off int) {}

func (v *verifier) btfAccess(a access, r *reg, off int) { v.unmodelled("BTF pointers") }

func (v *verifier) ctxIsBTF(c *helperCall, r *reg) bool { return false }

func (v *verifier) checkBTFArg(c *helperCall, n int, a helper.Arg, r *reg) {
	v.unmodelled("bpf_" + c.Name)
}

func (v *verifier) returnedBTF(c *helperCall, r *reg) { v.unmodelled("bpf_" + c.Name) }

func (v *verifier) allowsHelper(h *helper.Helper) bool { return h.Programs.Has(v.prog.spec.Type) }
