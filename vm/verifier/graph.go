package verifier

import (
	"github.com/cilium/ebpf/btf"
)

// allocArg checks arguments that are about memory which the program allocates, and says whether this is one.
func (v *verifier) allocArg(c *kfuncCall, n int, r *reg, name string) bool {
	switch name {
	case "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node":
		v.unmodelled("lists and trees of allocated objects")
	}
	switch c.name {
	case "bpf_obj_drop_impl":
		if r.kind != ptrBTF || r.flags != allocated || r.ref == 0 {
			v.rejectReg(n, "argument", "r%d must be an object that the program has allocated for %s, and is %s", n, c.name, r.describe())
		}
		return true
	case "bpf_refcount_acquire_impl":
		v.unmodelled("counted references of allocated objects")
	}
	return false
}

// newObject gives r0 what the program has allocated.
func (v *verifier) newObject(c *kfuncCall, r *reg) {
	s, ok := v.prog.localType(c.size).(*btf.Struct)
	if !ok {
		v.unmodelled("allocated objects whose type is not known")
	}
	f := v.rules.fieldsOf(s)
	if f != nil {
		v.unmodelled("special fields in allocated objects")
	}
	r.setPointer(ptrBTF, allocated)
	r.typ = s
}

// objectAccess reads or writes a member of what the program has allocated.
func (v *verifier) objectAccess(a access, r *reg, off int) {
	if a.write && (r.flags&(untrusted|rcu) != 0 || a.value >= 0 && v.regs()[a.value].isPointer()) {
		v.rejectReg(a.reg, "read only", "r%d is %s, which cannot be written so", a.reg, r.describe())
	}
	v.member(a.reg, r.typ, off, a.size, 0)
	v.loaded(a)
}
