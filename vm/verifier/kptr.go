package verifier

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// A kptr is a pointer of the kernel in a map's value.
type kptr struct {
	owned  bool // it owns a reference, and is exchanged only
	perCPU bool // to objects of which each CPU has its own
	to     btf.Type
}

// kptrOf reads the tag of a pointer in a value; other is its name if it is of a kind that is not modelled.
func (k *rules) kptrOf(p *btf.Pointer) (f kptr, is bool, other string) {
	tags := tagsOf(p.Target)
	if len(tags) == 0 || k.kernel < linux(5, 19) {
		return f, false, ""
	}
	f.to = btf.UnderlyingType(p.Target)
	names := [2]string{"kptr_untrusted", "kptr"}
	if k.kernel < linux(6, 4) {
		names = [2]string{"kptr", "kptr_ref"}
	}
	switch tags[0] {
	case names[0]:
		return f, true, ""
	case names[1]:
		f.owned = true
		return f, true, ""
	case "percpu_kptr":
		if k.kernel >= linux(6, 7) {
			f.owned, f.perCPU = true, true
			return f, true, ""
		}
	case "uptr":
		return f, true, tags[0]
	}
	return f, false, ""
}

// kptrTarget is the struct that a pointer in a value leads to: the kernel's, if it has one of that name. own is true for the program's.
func (v *verifier) kptrTarget(f kptr) (t btf.Type, own bool) {
	if v.opt.Types == nil {
		v.unmodelled("pointers of the kernel in values without its types (BTF)")
	}
	var s *btf.Struct
	if v.opt.Types.TypeByName(f.to.TypeName(), &s) == nil {
		return s, false
	}
	if v.rules.kernel < linux(6, 4) {
		v.unmodelled("pointers to structs of the program in values before Linux 6.4")
	}
	if own, ok := f.to.(*btf.Struct); ok {
		return v.prog.sameStruct(own), true
	}
	return f.to, true
}

// kptrAt finds the pointer that an access of a value hits, and asks that it is hit as a whole.
func (v *verifier) kptrAt(a access, r *reg, off int) (f kptr, hit bool) {
	if r.mp.fields == nil {
		return f, false
	}
	lo, hi := int64(off)+r.smin, int64(off)+int64(r.umax)+int64(a.size)
	for at, k := range r.mp.fields.kptrs {
		if lo >= int64(at+8) || int64(at) >= hi {
			continue
		}
		switch {
		case !r.bits.isConst():
			v.rejectReg(a.reg, "special field", "the access of %s with an unknown offset may hit a pointer of the kernel", r.mp.name)
		case lo != int64(at) || a.size != 8:
			v.rejectReg(a.reg, "special field", "the pointer of the kernel at offset %d of %s is read and written as a whole only", at, r.mp.name)
		case a.atomic:
			v.rejectReg(a.reg, "special field", "pointers of the kernel in a value are loaded and stored only")
		}
		return k, true
	}
	return f, false
}

// kptrAccess loads or stores a pointer in a map's value.
func (v *verifier) kptrAccess(a access, f kptr) {
	to, own := v.kptrTarget(f)
	if !a.write {
		if a.value < 0 {
			return
		}
		x := &v.regs()[a.value]
		life := x.life
		flag := maybeNull | untrusted
		if f.owned && v.inRCU() && v.rules.kernel >= linux(6, 4) && (own || f.perCPU || rcuProtected(to.TypeName(), v.rules)) {
			flag = maybeNull | rcu
			switch {
			case f.perCPU:
				flag |= perCPU
			case own:
				flag |= allocated
				if f := v.objectFields(to); f != nil && len(f.nodes) > 0 && v.rules.kernel >= linux(6, 8) {
					flag |= nonOwning
				}
			}
		}
		x.setPointer(ptrBTF, flag)
		x.life = life
		x.typ, x.id = to, v.newID()
		return
	}
	if f.owned {
		v.rejectReg(a.reg, "special field", "a pointer that owns a reference is exchanged by bpf_kptr_xchg, and not stored")
	}
	if a.value < 0 {
		if v.prog.insns[v.insn].Imm != 0 {
			v.rejectReg(a.reg, "special field", "only 0 can be stored where a pointer of the kernel is")
		}
		return
	}
	if r := &v.regs()[a.value]; !r.isNull() {
		v.kptrMatches(a.value, r, f)
	}
}

// rcuProtected reports whether structs of that name stay valid in sections of RCU.
func rcuProtected(name string, k *rules) bool {
	switch name {
	case "cgroup":
		return k.kernel >= linux(6, 4)
	case "bpf_cpumask", "task_struct":
		return k.kernel >= linux(6, 7)
	case "bpf_crypto_ctx":
		return k.kernel >= linux(6, 10)
	}
	return false
}

// kptrMatches asks that a pointer may be kept in the value.
func (v *verifier) kptrMatches(n int, r *reg, f kptr) {
	to, own := v.kptrTarget(f)
	allowed := maybeNull | trusted | rcu
	if own {
		allowed = maybeNull | allocated
	}
	if f.perCPU {
		allowed |= perCPU
	}
	if !f.owned {
		allowed |= untrusted
	}
	if r.kind != ptrBTF || r.flags&^allowed != 0 || own != (r.flags&allocated != 0) {
		v.rejectReg(n, "argument", "r%d must be a pointer to struct %s, and is %s", n, to.TypeName(), r.describe())
	}
	if f.perCPU && own && r.flags&perCPU == 0 {
		if v.rules.releasesDiffer {
			v.unmodelled("objects that are not per CPU, kept where those per CPU are")
		}
		v.rejectReg(n, "argument", "r%d is %s, of which each CPU must have its own", n, r.describe())
	}
	if f.owned && r.off != 0 || r.bits != (tnum{}) || !v.isStruct(r, to.TypeName(), f.owned) {
		v.rejectReg(n, "argument", "r%d must be a pointer to struct %s, and is %s", n, to.TypeName(), r.describe())
	}
}

// exchanged checks the field that bpf_kptr_xchg changes.
func (v *verifier) exchanged(c *helperCall, n int, r *reg) {
	object := r.kind == ptrBTF && r.flags&allocated != 0 && v.rules.objectKptrs
	if object && r.flags&^maybeNull != allocated {
		v.unmodelled("pointers of the kernel in objects that the program does not own")
	}
	if r.kind != ptrMapValue && !object {
		v.rejectReg(n, "argument", "r%d must be a pointer into a map's value for %s, and is %s", n, c.title(), r.describe())
	}
	if r.nullable() {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.title())
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "special field", "the offset of the pointer in the value is not known here")
	}
	all := v.fieldsAt(r)
	if all == nil {
		v.rejectReg(n, "special field", "there is no pointer of the kernel in what r%d points to, or no BTF that tells", n)
	}
	if all.other != "" {
		v.unmodelled("values with " + all.other)
	}
	f, ok := all.kptrs[int(r.off)+int(int64(r.bits.value))]
	if !ok || !f.owned {
		v.rejectReg(n, "special field", "r%d does not point to a pointer in the value that owns a reference", n)
	}
	c.kptr, c.hasKptr = f, true
}

// exchangedFor checks what bpf_kptr_xchg puts there.
func (v *verifier) exchangedFor(c *helperCall, n int, a helper.Arg, r *reg) {
	if r.isNull() {
		return
	}
	if r.nullable() {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.title())
	}
	v.kptrMatches(n, r, c.kptr)
}

// localType is a struct of the program by the number that its instructions have for it.
func (p *program) localType(n uint64) btf.Type {
	if n < localTypes || n-localTypes >= uint64(len(p.types)) {
		return nil
	}
	return p.types[n-localTypes]
}

// localTypes is the first number that the program's own types are given here; the kernel has others.
const localTypes = 0x7f000000

// typeNumber is the number for one of the program's types.
func (p *program) typeNumber(t btf.Type) (btf.TypeID, error) {
	i := slices.Index(p.types, t)
	if i < 0 {
		i = len(p.types)
		p.types = append(p.types, t)
	}
	return btf.TypeID(localTypes + i), nil
}
