package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"
)

// A graphCall is what a function does to a list or tree.
type graphCall uint8

const (
	adds  graphCall = iota + 1 // an element, which the program does not own any more
	takes                      // one out, or looks for one
)

// graphCalls are the functions of lists and trees. They are what may be called while a lock is held, and they need it.
var graphCalls = map[string]graphCall{
	"bpf_list_push_front_impl": adds, "bpf_list_push_back_impl": adds, "bpf_list_pop_front": takes, "bpf_list_pop_back": takes, "bpf_list_front": takes, "bpf_list_back": takes,
	"bpf_rbtree_add_impl": adds, "bpf_rbtree_remove": takes, "bpf_rbtree_first": takes, "bpf_rbtree_root": takes, "bpf_rbtree_left": takes, "bpf_rbtree_right": takes,
}

// worksLocked reports whether a function of the kernel may be called while a lock is held.
func (v *verifier) worksLocked(name string) bool {
	return graphCalls[name] != 0 || name == failingLockFunction || name == failingUnlockFunction || name == "bpf_refcount_acquire_impl" || v.rules.numbersLocked && strings.HasPrefix(name, "bpf_iter_num_")
}

// allocArg checks arguments that are about memory which the program allocates, and says whether this is one.
func (v *verifier) allocArg(c *kfuncCall, n int, r *reg, name string) bool {
	switch name {
	case "bpf_list_head", "bpf_rb_root":
		v.rootArg(c, n, r, name)
		return true
	case "bpf_list_node", "bpf_rb_node":
		v.nodeArg(c, n, r, name)
		return true
	}
	p := c.proto.Params[n-1]
	switch {
	case strings.HasSuffix(p.Name, "__alloc"):
		want := allocated
		if c.name == "bpf_percpu_obj_drop_impl" {
			want |= perCPU
		}
		if r.kind != ptrBTF || r.flags != want || r.ref == 0 {
			v.rejectReg(n, "argument", "r%d must be an object that the program has allocated for %s, and is %s", n, c.name, r.describe())
		}
		if f := v.fieldsAt(r); f != nil && len(f.roots)+len(f.nodes)+len(f.kptrs) > 0 && v.rules.noProbeDrops && v.isProbe() {
			v.rejectReg(n, "argument", "probes may not drop objects that own others or may be linked, as struct %s", r.typ.TypeName())
		}
		return true
	case strings.HasSuffix(p.Name, "__refcounted_kptr"):
		if v.rules.kernel < linux(6, 6) {
			v.unmodelled("counted references of allocated objects before Linux 6.6")
		}
		if r.kind != ptrBTF || r.flags&allocated == 0 {
			v.rejectReg(n, "argument", "r%d must be an object that the program has allocated for %s, and is %s", n, c.name, r.describe())
		}
		if f := v.fieldsAt(r); f == nil || len(f.counts) == 0 {
			v.rejectReg(n, "argument", "r%d points to struct %s, which has no bpf_refcount", n, r.typ.TypeName())
		}
		c.made, c.sure = r.typ, r.flags&nonOwning == 0
		return true
	}
	return false
}

// rootArg asks for the head of a list, or the root of a tree, whose lock is held.
func (v *verifier) rootArg(c *kfuncCall, n int, r *reg, name string) {
	object := r.kind == ptrBTF && r.flags == allocated
	if graphCalls[c.name] == 0 {
		v.unmodelled("kfunc " + c.name)
	}
	if !object && (r.kind != ptrMapValue || r.flags != 0) {
		v.rejectReg(n, "argument", "r%d must point into a map's value or an allocated object for %s, and is %s", n, c.name, r.describe())
	}
	if object && r.ref == 0 {
		v.rejectReg(n, "reference", "r%d is an object that the program does not own, and cannot be given to %s", n, c.name)
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "special field", "the offset of the %s is not known here", name)
	}
	f := v.fieldsAt(r)
	if f == nil {
		v.rejectReg(n, "special field", "%s has no %s that the kernel takes for one", r.describe(), name)
	}
	if f.other != "" {
		v.unmodelled("values with " + f.other)
	}
	at := int(r.off) + int(int64(r.bits.value))
	root, ok := f.roots[at]
	if !ok || (root.node == "bpf_list_node") != (name == "bpf_list_head") {
		v.rejectReg(n, "special field", "there is no %s at offset %d of what r%d points to", name, at, n)
	}
	if l := &v.cur.lock; !l.held || l.mp != r.mp || l.id != r.id {
		v.rejectReg(n, "lock", "the lock at offset %d must be held for %s", f.locks[0], c.name)
	}
	c.root, c.hasRoot = root, true
}

// nodeArg asks for the part of an object that links it.
func (v *verifier) nodeArg(c *kfuncCall, n int, r *reg, name string) {
	if !c.hasRoot {
		v.unmodelled("kfunc " + c.name)
	}
	switch {
	case r.kind != ptrBTF || r.flags&allocated == 0 || r.flags&(perCPU|untrusted) != 0,
		graphCalls[c.name] == adds && r.flags != allocated:
		v.rejectReg(n, "argument", "r%d must be an allocated object for %s, and is %s", n, c.name, r.describe())
	case graphCalls[c.name] == adds:
		if r.ref == 0 {
			v.rejectReg(n, "reference", "r%d is an object that the program does not own, and cannot be given to %s", n, c.name)
		}
	default:
		if r.nullable() {
			v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.name)
		}
		if owned := r.ref != 0; r.flags&nonOwning == 0 && !(owned && v.rules.treeNodes) || owned && !v.rules.treeNodes {
			v.rejectReg(n, "reference", "r%d must be an element of a tree for %s", n, c.name)
		}
		if v.inTreeCallback() {
			v.reject("graph", "%s may not be called where elements of a tree are compared", c.name)
		}
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "special field", "the offset of the %s is not known here", name)
	}
	at := int(r.off) + int(int64(r.bits.value))
	f := v.fieldsAt(r)
	if f == nil || f.nodes[at] != name {
		v.rejectReg(n, "special field", "there is no %s at offset %d of struct %s", name, at, r.typ.TypeName())
	}
	if r.typ != c.root.to || at != c.root.at {
		v.rejectReg(n, "argument", "r%d is at offset %d of struct %s, and elements are linked at offset %d of struct %s", n, at, r.typ.TypeName(), c.root.at, c.root.to.Name)
	}
}

// inTreeCallback reports whether the function compares elements of a tree.
func (v *verifier) inTreeCallback() bool {
	f := v.cur.frame()
	return f.callback && graphCalls[v.prog.kfuncs[f.callsite]] == adds
}

// addElement gives an object to the list or tree: until the lock is given back it can still be used, though it is not owned.
func (v *verifier) addElement(c *kfuncCall) {
	if c.sub >= 0 {
		if !v.rules.callbackLoops {
			v.unmodelled("trees of allocated objects before Linux 6.8")
		}
		v.enterCallback(&c.helperCall, func(_, callee *frame) {
			v.element(&callee.regs[1], c.root)
			v.element(&callee.regs[2], c.root)
			v.disown(&callee.regs[1])
			v.disown(&callee.regs[2])
		}, 0, 1)
	}
	ref := v.regs()[2].ref
	v.cur.each(func(r *reg) {
		if r.ref == ref {
			r.ref = 0
			v.disown(r)
		}
	})
	v.cur.release(ref)
}

// element makes of a register a pointer to where an element is linked.
func (v *verifier) element(r *reg, of root) {
	r.setPointer(ptrBTF, allocated)
	r.typ, r.off = of.to, int32(of.at)
}

// disown makes of a pointer to an object one that is valid while the lock is held.
func (v *verifier) disown(r *reg) {
	r.flags |= nonOwning
	if f := v.fieldsAt(r); f != nil && len(f.counts) > 0 && v.rules.kernel >= linux(6, 6) {
		r.flags |= rcu
	}
}

// forgetElements ends what is valid while the lock is held.
func (v *verifier) forgetElements() {
	v.cur.each(func(r *reg) {
		if r.flags&nonOwning != 0 {
			life := r.life
			r.setUnknown()
			r.life = life
		}
	})
}

// fieldsAt are the special fields of what a pointer leads to; nil if it has none.
func (v *verifier) fieldsAt(r *reg) *fields {
	switch {
	case r.kind == ptrMapValue:
		return r.mp.fields
	case r.kind == ptrBTF && r.flags&allocated != 0:
		return v.objectFields(r.typ)
	}
	return nil
}

// objectFields are the special fields of one of the program's structs.
func (v *verifier) objectFields(t btf.Type) *fields {
	if f, ok := v.objects[t]; ok {
		return f
	}
	f, err := v.prog.fieldsOf(v.rules, t, inObject)
	if err == nil && f != nil {
		err = v.ownsInCircles(f)
	}
	if err != nil {
		v.reject("type", "the kernel does not take struct %s: %v", t.TypeName(), err)
	}
	if s, ok := t.(*btf.Struct); ok && f != nil && !f.direct(s) {
		v.unmodelled("special fields in structs in allocated objects")
	}
	if f != nil && len(f.failing) > 0 {
		v.unmodelled("bpf_res_spin_lock in allocated objects")
	}
	if v.objects == nil {
		v.objects = map[btf.Type]*fields{}
	}
	v.objects[t] = f
	return f
}

// direct reports whether a field is a member of the struct itself.
func (f *fields) direct(s *btf.Struct) bool {
	for _, m := range s.Members {
		at := int(m.Offset.Bytes())
		_, kptr := f.kptrs[at]
		if f.size[at] > 0 || kptr {
			if t, ok := m.Type.(*btf.Struct); !ok || specialStructs[t.Name].size > 0 {
				return true
			}
		}
	}
	return false
}

// ownsInCircles asks that what can be an element and has elements has none which have elements, too.
func (v *verifier) ownsInCircles(f *fields) error {
	if len(f.nodes) == 0 {
		return nil
	}
	for _, r := range f.roots {
		if to, err := v.prog.fieldsOf(v.rules, r.to, inObject); err != nil || to != nil && len(to.roots) > 0 {
			return invalidFields("lists and trees could own each other in a circle")
		}
	}
	return nil
}

// newObject gives r0 what the program has allocated.
func (v *verifier) newObject(c *kfuncCall, r *reg) {
	s, ok := v.prog.localType(c.size).(*btf.Struct)
	if !ok {
		v.unmodelled("allocated objects whose type is not known")
	}
	r.setPointer(ptrBTF, allocated)
	r.typ = v.prog.sameStruct(s)
	f := v.objectFields(r.typ)
	if f != nil && f.other != "" {
		v.unmodelled("allocated objects with " + f.other)
	}
	if c.name != "bpf_percpu_obj_new_impl" {
		return
	}
	r.flags |= perCPU
	if s.Size > maxPerCPUObject {
		v.reject("type", "struct %s has %d bytes, objects of which each CPU has its own have at most %d", s.Name, s.Size, maxPerCPUObject)
	}
	if f != nil || !plainMemory(s, 0) {
		v.reject("type", "struct %s has more than numbers in it, and each CPU cannot have its own", s.Name)
	}
}

const maxPerCPUObject = 512

// structNamed is one of the program's structs; nil if there is none.
func (p *program) structNamed(name string) *btf.Struct {
	if p.local == nil || name == "" {
		return nil
	}
	all, err := p.local.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range all {
		if s, ok := t.(*btf.Struct); ok {
			return s
		}
	}
	return nil
}

// sameStruct is the one by which a struct of the program is told from others, of which there may be copies.
func (p *program) sameStruct(s *btf.Struct) *btf.Struct {
	if one := p.structNamed(s.Name); one != nil && one.Size == s.Size && len(one.Members) == len(s.Members) {
		return one
	}
	return s
}

// objectAccess reads or writes a member of what the program has allocated.
func (v *verifier) objectAccess(a access, r *reg, off int) {
	if r.flags&untrusted != 0 && !a.write && r.flags&nonOwning != 0 && v.rules.releasesDiffer {
		v.unmodelled("elements that are read after the section of RCU in which they were found")
	}
	if r.flags&untrusted != 0 {
		v.rejectReg(a.reg, "rcu", "r%d is %s, of a section of RCU that has been left", a.reg, r.describe())
	}
	if f := v.objectFields(r.typ); f != nil {
		hit := func(at, n int) {
			if off < at+n && at < off+a.size {
				v.rejectReg(a.reg, "special field", "the special field at offset %d of struct %s can be used by its functions only", at, r.typ.TypeName())
			}
		}
		for at, n := range f.size {
			hit(at, n)
		}
		for at := range f.kptrs {
			hit(at, 8)
		}
	}
	v.member(a.reg, r.typ, off, a.size, 0)
	v.loaded(a)
}
