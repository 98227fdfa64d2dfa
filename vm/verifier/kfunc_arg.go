package verifier

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// kfuncArg checks argument i and returns how many more have been checked with it.
func (v *verifier) kfuncArg(c *kfuncCall, i int) (more int) {
	p, n := c.proto.Params[i], i+1
	has := func(suffix string) bool { return strings.HasSuffix(p.Name, suffix) }
	if has("__ign") || has("__prog") {
		return 0
	}
	r := v.read(uint8(n))
	target, pointer := resultOf(p.Type)
	if !pointer {
		v.kfuncNumber(c, n, p, r)
		return 0
	}
	if c.flags&(kfTrusted|kfRCU|kfRelease) != 0 && (r.isNull() || r.nullable()) && !has("__nullable") && !has("__opt") {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.name)
	}
	if r.ref != 0 {
		if c.flags&kfRelease != 0 {
			if c.releaseReg >= 0 {
				v.rejectReg(n, "reference", "%s can be given one acquired pointer only", c.name)
			}
			if r.off != 0 || r.bits != (tnum{}) {
				v.rejectReg(n, "reference", "r%d must be as it was acquired, and not moved", n)
			}
			c.releaseReg = n
		}
		c.ref = r.ref
	}
	sized := i+1 < len(c.proto.Params) && sizeSuffix(c.proto.Params[i+1].Name)
	name := target.TypeName()
	switch {
	case c.name == "bpf_cast_to_kern_ctx", isContext(v.prog.spec.Type, target), v.isKernelContext(name):
		if r.kind != ptrCtx {
			v.rejectReg(n, "argument", "r%d must be the context for %s, and is %s", n, c.name, r.describe())
		}
		v.plainCtx(n)
	case has("__nullable") && r.isNull() && !sized:
	case v.allocArg(c, n, r, name):
	case name == "bpf_dynptr" || name == "bpf_dynptr_kern":
		v.kfuncDynptr(c, n, r, has("__uninit"))
	case v.isIterator(c, i):
		v.iteratorArg(c, n, r, target)
	case has("__str"):
		if r.kind != ptrMapValue {
			v.rejectReg(n, "argument", "r%d must be a constant string in a read-only map for %s, and is %s", n, c.name, r.describe())
		}
		v.constString(n, r)
	case has("__map"):
		if r.kind != constMap {
			v.rejectReg(n, "argument", "r%d must be a map for %s, and is %s", n, c.name, r.describe())
		}
		v.checkTimerMap(&c.helperCall, n, r)
	case name == "bpf_wq":
		if r.kind != ptrMapValue {
			v.rejectReg(n, "argument", "r%d must be a pointer into a map's value for %s, and is %s", n, c.name, r.describe())
		}
		v.notNullArg(c, n, r)
		var at []int
		if r.mp.fields != nil {
			at = r.mp.fields.queues
		}
		v.timer(&c.helperCall, n, r, at, "work queue")
	case name == "bpf_res_spin_lock":
		v.failingLock(c, n, r)
	case has("__irq_flag"):
		v.irqArg(c, n, r)
	case r.kind == ptrBTF || r.kind == ptrSocket || r.kind == ptrSockCommon || r.kind == ptrTCPSock:
		v.kfuncObject(c, n, r, target)
	case isFunction(target):
		if r.kind != ptrFunc {
			v.rejectReg(n, "argument", "r%d must be a function for %s, and is %s", n, c.name, r.describe())
		}
		c.sub = int(r.size)
	case sized:
		v.kfuncMemory(c, i, r)
		return 1
	default:
		size, err := btf.Sizeof(target)
		if err != nil || size == 0 || !plainMemory(target, 0) {
			v.rejectReg(n, "argument", "r%d must be a pointer to struct %s for %s, and is %s", n, name, c.name, r.describe())
		}
		v.memoryArg(&c.helperCall, n, size)
	}
	return 0
}

func sizeSuffix(name string) bool {
	return strings.HasSuffix(name, "__sz") || strings.HasSuffix(name, "__szk")
}

func isFunction(t btf.Type) bool { _, ok := t.(*btf.FuncProto); return ok }

// isKernelContext reports whether a struct of the kernel stands for the program's context.
func (v *verifier) isKernelContext(name string) bool {
	user := map[string]string{"sk_buff": "__sk_buff", "xdp_buff": "xdp_md", "bpf_sock_addr_kern": "bpf_sock_addr", "bpf_sock_ops_kern": "bpf_sock_ops"}[name]
	if strings.HasSuffix(name, "_kern") && v.prog.spec.Type != ebpf.CGroupSockAddr && v.prog.spec.Type != ebpf.SockOps {
		return false
	}
	return user != "" && slices.Contains(ctxStructs(v.prog.spec.Type), user)
}

// plainMemory reports whether a type has numbers only.
func plainMemory(t btf.Type, depth int) bool {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Int, *btf.Enum:
		return true
	case *btf.Array:
		return plainMemory(t.Type, depth+1)
	case *btf.Struct:
		if depth > 4 {
			return false
		}
		for _, m := range t.Members {
			if !plainMemory(m.Type, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

func (v *verifier) notNullArg(c *kfuncCall, n int, r *reg) {
	if r.nullable() {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.name)
	}
}

// kfuncNumber checks an argument that is a number.
func (v *verifier) kfuncNumber(c *kfuncCall, n int, p btf.FuncParam, r *reg) {
	if r.kind != scalar {
		v.rejectReg(n, "argument", "r%d must be a number for %s, and is %s", n, c.name, r.describe())
	}
	constant := strings.HasSuffix(p.Name, "__k") || p.Name == "rdonly_buf_size" || p.Name == "rdwr_buf_size"
	if !constant {
		return
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "constant", "r%d must be a known number for %s", n, c.name)
	}
	v.markPrecise(n)
	c.size, c.hasSize = r.bits.value, true
}

// kfuncMemory checks memory and the argument after it, which is its size.
func (v *verifier) kfuncMemory(c *kfuncCall, i int, r *reg) {
	p, n := c.proto.Params[i], i+1
	size := v.read(uint8(n + 1))
	if size.kind != scalar {
		v.rejectReg(n+1, "argument", "r%d must be a number for %s, and is %s", n+1, c.name, size.describe())
	}
	if !((strings.HasSuffix(p.Name, "__opt") || strings.HasSuffix(p.Name, "__nullable")) && r.isNull()) {
		saved := *r
		if r.nullable() {
			markNotNull(r)
		}
		switch {
		case size.smin < 0:
			v.rejectReg(n+1, "size", "the size in r%d may be negative", n+1)
		case size.umax >= maxVarOffset:
			v.rejectReg(n+1, "size", "the size in r%d has no upper bound", n+1)
		}
		if r.isPacket() && !v.ctx.writesPacket {
			v.rejectReg(n, "read only", "programs of this type cannot write into the packet, which %s may do", c.name)
		}
		how := reads
		v.helperMemory(&c.helperCall, n, int(size.umax), how, false, true)
		v.helperMemory(&c.helperCall, n, int(size.umax), clobber, true, true)
		v.markPrecise(n + 1)
		life := r.life
		*r = saved
		r.life = life
	}
	if strings.HasSuffix(c.proto.Params[i+1].Name, "__szk") {
		if !size.bits.isConst() {
			v.rejectReg(n+1, "constant", "r%d must be a known number for %s", n+1, c.name)
		}
		v.markPrecise(n + 1)
		c.size, c.hasSize = size.bits.value, true
	}
}

// kfuncDynptr checks a dynptr, or makes one.
func (v *verifier) kfuncDynptr(c *kfuncCall, n int, r *reg, uninit bool) {
	if !uninit {
		c.dynptr = v.dynptrArg(n, r, dynptrNone, r.kind == ptrDynptr, c.name)
		return
	}
	kind, ref := dynptrNone, uint32(0)
	switch c.name {
	case "bpf_dynptr_from_skb":
		kind = dynptrSKB
	case "bpf_dynptr_from_xdp":
		kind = dynptrXDP
	case "bpf_dynptr_clone":
		kind, ref = c.dynptr.kind, c.dynptr.ref
	default:
		v.unmodelled("kfunc " + c.name)
	}
	v.initDynptr(n, r, kind, ref, c.name)
}

// kfuncObject asks for a pointer to a struct of the kernel.
func (v *verifier) kfuncObject(c *kfuncCall, n int, r *reg, target btf.Type) {
	want, ok := target.(*btf.Struct)
	if !ok {
		v.rejectReg(n, "argument", "r%d is %s, which is not what %s takes", n, r.describe(), c.name)
	}
	if c.flags&(kfTrusted|kfRCU|kfRelease) != 0 && !r.trusted() {
		if c.flags&kfRCU == 0 {
			v.rejectReg(n, "argument", "r%d must be trusted or acquired for %s", n, c.name)
		}
		if r.flags&rcu == 0 {
			v.rejectReg(n, "argument", "r%d must be protected by RCU for %s", n, c.name)
		}
	}
	strict := c.flags&kfAcquire != 0 || c.flags&kfRelease != 0 && r.ref != 0
	if !v.isStruct(r, want.Name, strict) {
		v.rejectReg(n, "argument", "r%d must be a pointer to struct %s for %s, and is %s", n, want.Name, c.name, r.describe())
	}
}

// trusted reports whether the kernel vouches for the pointer.
func (r *reg) trusted() bool {
	if r.ref != 0 {
		return true
	}
	switch r.kind {
	case ptrSocket, ptrSockCommon, ptrTCPSock:
		return true
	}
	return r.flags&(trusted|allocated|nonOwning) != 0 && r.flags&(untrusted|maybeNull|rcu|perCPU) == 0
}

// isStruct reports whether the pointer is to a struct of that name, as it is or as the first of its members.
func (v *verifier) isStruct(r *reg, name string, strict bool) bool {
	t := r.typ
	switch r.kind {
	case ptrSocket:
		t = v.kernelStruct("sock")
	case ptrSockCommon:
		t = v.kernelStruct("sock_common")
	case ptrTCPSock:
		t = v.kernelStruct("tcp_sock")
	}
	if !r.bits.isConst() {
		return false
	}
	off := int(r.off) + int(int64(r.bits.value))
	return structIs(t, off, name, strict)
}

func structIs(t btf.Type, off int, name string, strict bool) bool {
	for {
		if off == 0 && (t.TypeName() == name || name == "__sk_buff" && t.TypeName() == "sk_buff") {
			return true
		}
		if strict {
			return false
		}
		var members []btf.Member
		switch s := t.(type) {
		case *btf.Struct:
			members = s.Members
		case *btf.Union:
			members = s.Members
		}
		next := btf.Type(nil)
		for _, m := range members {
			u := btf.UnderlyingType(m.Type)
			size, err := btf.Sizeof(u)
			at := int(m.Offset.Bytes())
			if err != nil || off < at || off >= at+size {
				continue
			}
			switch u.(type) {
			case *btf.Struct, *btf.Union:
				next, off = u, off-at
			}
			break
		}
		if next == nil {
			return false
		}
		t = next
	}
}
