package verifier

import (
	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// Types are the kernel's own types; a [btf.Spec] is.
type Types interface {
	TypeByName(name string, typ any) error
}

const btfGlobal = btf.GlobalFunc

func protoOf(f *btf.Func) *btf.FuncProto {
	p, _ := f.Type.(*btf.FuncProto)
	return p
}

// btfAccess reads a member of a kernel struct.
func (v *verifier) btfAccess(a access, r *reg, off int) {
	if r.nullable() {
		v.rejectReg(a.reg, "null", "r%d may be null (%s): compare it with 0 first", a.reg, r.describe())
	}
	if !gplCompatible(v.prog.spec.License) {
		v.reject("license", "structs of the kernel may be read by programs with a GPL-compatible license only")
	}
	if !r.bits.isConst() {
		v.rejectReg(a.reg, "bounds", "r%d: the offset in struct %s must be known", a.reg, r.typ.TypeName())
	}
	off += int(int64(r.bits.value))
	if off < 0 {
		v.rejectReg(a.reg, "bounds", "r%d: the offset %d is before the start of struct %s", a.reg, off, r.typ.TypeName())
	}
	if r.flags&perCPU != 0 {
		v.rejectReg(a.reg, "argument", "r%d is %s: bpf_this_cpu_ptr or bpf_per_cpu_ptr gives its address", a.reg, r.describe())
	}
	if r.flags&allocated != 0 {
		v.objectAccess(a, r, off)
		return
	}
	if a.write && !v.operationWrites(r, off, a.size) {
		v.rejectReg(a.reg, "read only", "structs of the kernel cannot be written")
	}
	if a.write {
		return
	}
	target, field := v.member(a.reg, r.typ, off, a.size, 0)
	if a.value < 0 {
		return
	}
	x := &v.regs()[a.value]
	if target == nil {
		x.setUnknown()
		return
	}
	life := x.life
	if _, ok := target.(*btf.Void); ok {
		x.setPointer(ptrMem, readOnly|untrusted)
		x.life = life
		return
	}
	f := v.walkedFlags(r, field)
	x.setPointer(ptrBTF, f)
	x.life = life
	x.typ = target
	if x.nullable() {
		x.id = v.newID()
	}
}

// A memberName is a field as rules about trust name it.
type memberName struct{ of, name string }

// trustedFields, rcuFields and their nullable kin keep the trust of the struct that they are read from.
var (
	trustedFields       = []memberName{{"bpf_iter_meta", "seq"}, {"bpf_iter__task", "meta"}, {"bpf_iter__task", "task"}, {"linux_binprm", "file"}, {"file", "f_inode"}}
	trustedOrNullFields = []memberName{{"socket", "sk"}, {"vm_area_struct", "vm_mm"}, {"vm_area_struct", "vm_file"}, {"dentry", "d_inode"}}
	rcuFields           = []memberName{{"task_struct", "cpus_ptr"}, {"task_struct", "cgroups"}, {"task_struct", "real_parent"}, {"task_struct", "group_leader"},
		{"cgroup", "kn"}, {"css_set", "dfl_cgrp"}, {"cgroup_subsys_state", "cgroup"}}
	rcuOrNullFields = []memberName{{"mm_struct", "exe_file"}, {"sk_buff", "sk"}, {"request_sock", "sk"}, {"vm_area_struct", "vm_mm"}}
)

func (m memberName) in(list []memberName) bool {
	for _, x := range list {
		if x == m {
			return true
		}
	}
	return false
}

// walkedFlags is how far a pointer read from a struct may be trusted.
func (v *verifier) walkedFlags(r *reg, field memberName) flags {
	switch {
	case r.flags&untrusted != 0:
		return untrusted
	case !r.trusted() && r.flags&rcu == 0:
		return 0
	case !v.rules.trustedArgs:
		return 0
	case field.in(trustedFields):
		return trusted
	case field.in(trustedOrNullFields) && v.rules.kernel >= linux(6, 5):
		return trusted | maybeNull
	case !v.inRCU() || r.nullable():
		return untrusted
	case field.in(rcuFields):
		return rcu
	case field.in(rcuOrNullFields):
		return rcu | maybeNull
	}
	return 0
}

// member finds what an access of a struct reads: a pointer to the struct target, or to something else if that is void, or a number if it is nil.
func (v *verifier) member(at int, t btf.Type, off, size, depth int) (target btf.Type, field memberName) {
	outside := func() {
		v.rejectReg(at, "bounds", "%d bytes at offset %d do not lie in a member of struct %s", size, off, t.TypeName())
	}
	var members []btf.Member
	length, union := 0, false
	switch s := t.(type) {
	case *btf.Struct:
		members, length = s.Members, int(s.Size)
	case *btf.Union:
		members, length, union = s.Members, int(s.Size), len(s.Members) > 1
	default:
		v.unmodelled("BTF pointers to what is no struct")
	}
	if depth > 16 {
		v.unmodelled("deeply nested structs")
	}
	if off+size > length {
		if n := len(members); n > 0 {
			if arr, ok := btf.UnderlyingType(members[n-1].Type).(*btf.Array); ok && arr.Nelems <= 1 {
				v.unmodelled("flexible arrays in structs of the kernel")
			}
		}
		outside()
	}
	for _, m := range members {
		start := int(m.Offset.Bytes())
		if m.BitfieldSize > 0 {
			if off >= start && off < (int(m.Offset)+int(m.BitfieldSize)+7)/8 {
				return nil, memberName{}
			}
			if off+size > start && off < start {
				outside()
			}
			continue
		}
		n, err := btf.Sizeof(m.Type)
		if err != nil || off >= start+n {
			continue
		}
		if off < start {
			if off+size <= start {
				continue
			}
			outside()
		}
		mt := btf.UnderlyingType(m.Type)
		base := start
		for {
			arr, ok := mt.(*btf.Array)
			if !ok {
				break
			}
			mt = btf.UnderlyingType(arr.Type)
			e, err := btf.Sizeof(mt)
			if err != nil || e == 0 {
				v.unmodelled("arrays of unknown size")
			}
			base += (off - base) / e * e
		}
		switch mt := mt.(type) {
		case *btf.Struct, *btf.Union:
			return v.member(at, mt, off-base, size, depth+1)
		case *btf.Pointer:
			if size != 8 || off != base {
				outside()
			}
			for _, tag := range tagsOf(mt.Target) {
				v.unmodelled("pointers with the tag " + tag)
			}
			switch u := btf.UnderlyingType(mt.Target).(type) {
			case *btf.Struct, *btf.Union:
				return u, memberName{t.TypeName(), m.Name}
			}
			if v.rules.voidCasts {
				return &btf.Void{}, memberName{}
			}
			return nil, memberName{}
		}
		if off+size > start+n {
			if union {
				continue // another view of the same bytes may be wide enough
			}
			outside()
		}
		return nil, memberName{}
	}
	outside()
	return nil, memberName{}
}

func tagsOf(t btf.Type) (all []string) {
	for {
		switch u := t.(type) {
		case *btf.TypeTag:
			all = append(all, u.Value)
			t = u.Type
		case *btf.Const:
			t = u.Type
		case *btf.Volatile:
			t = u.Type
		default:
			return all
		}
	}
}

// checkBTFArg asks for a pointer to the struct that the helper wants.
func (v *verifier) checkBTFArg(c *helperCall, n int, a helper.Arg, r *reg) {
	switch r.kind {
	case ptrBTF, ptrSocket, ptrSockCommon, ptrTCPSock:
	default:
		v.rejectReg(n, "argument", "r%d must be a pointer to struct %s for %s, and is %s", n, c.BTF, c.title(), r.describe())
	}
	if r.nullable() && (!a.Has(helper.MaybeNull) || a.Has(helper.Release)) {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.title())
	}
	if r.flags&(untrusted|perCPU) != 0 {
		v.rejectReg(n, "argument", "r%d was read from memory that may have changed, and cannot be given to %s", n, c.title())
	}
	if r.kind != ptrBTF {
		v.unmodelled("sockets as BTF pointers")
	}
	if r.flags&(allocated|nonOwning) != 0 || !v.isStruct(r, c.BTF, false) {
		v.rejectReg(n, "argument", "r%d must be a pointer to struct %s for %s, and is %s", n, c.BTF, c.title(), r.describe())
	}
}

// kernelStruct finds a struct of the kernel.
func (v *verifier) kernelStruct(name string) *btf.Struct {
	if v.opt.Types == nil {
		v.unmodelled("structs of the kernel without its types (BTF)")
	}
	var s *btf.Struct
	if name == "" || v.opt.Types.TypeByName(name, &s) != nil {
		v.unmodelled("struct " + name + ", which the kernel's types have not")
	}
	return s
}

// returnedBTF gives r0 the struct that the helper returns.
func (v *verifier) returnedBTF(c *helperCall, r *reg) {
	if c.hasKptr {
		to, own := v.kptrTarget(c.kptr)
		r.setPointer(ptrBTF, maybeNull)
		if own {
			r.flags |= allocated
		}
		if c.kptr.perCPU {
			r.flags |= perCPU
		}
		r.typ = to
		return
	}
	s := v.kernelStruct(c.RetBTF)
	f := flags(0)
	if v.rules.trustedArgs && (c.Name == "get_current_task_btf" || c.Name == "task_pt_regs") {
		f = trusted
	}
	if c.Ret == helper.RetBTFOrNull {
		f |= maybeNull
	}
	r.setPointer(ptrBTF, f)
	r.typ = s
}
