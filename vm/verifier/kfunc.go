package verifier

import (
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// A kfuncCall is a call of a function of the kernel, and what its arguments tell about it.
type kfuncCall struct {
	helperCall
	kfunc
	name  string
	proto *btf.FuncProto

	releaseReg int // the argument that gives its reference away
	size       uint64
	hasSize    bool // a constant size, of what is returned or made
	object     iterator
	root       root // of the list or tree that the call is about
	hasRoot    bool
	made       btf.Type // the object of which another reference is returned
	sure       bool     // it is never null
}

// kfuncProto is the kernel's prototype of a function; nil if it has none of that name.
func (v *verifier) kfuncProto(name string) *btf.FuncProto {
	if v.opt.Types == nil {
		if p := plainProto(name); p != nil {
			return p
		}
		v.unmodelled("kfunc " + name + " without the kernel's types (BTF)")
	}
	var f *btf.Func
	if v.opt.Types.TypeByName(name, &f) != nil {
		return nil
	}
	return protoOf(f)
}

// kfuncAt finds out what is called; known is false if the kernel has no such function.
func (v *verifier) kfuncAt(at int) (c *kfuncCall, known bool) {
	name := v.prog.kfuncs[at]
	k, ok := kfuncOf(name)
	if !ok {
		v.unmodelled("kfunc " + name)
	}
	c = &kfuncCall{kfunc: k, name: name, releaseReg: -1}
	c.helperCall = helperCall{Helper: &helper.Helper{Name: name}, function: name, fillReg: -1, sub: -1}
	if v.rules.allTrusted && k.flags&kfRCU == 0 {
		c.flags |= kfTrusted
	}
	if k.flags&kfSlept != 0 && !v.rules.arenasAwake {
		c.flags |= kfSleeps
	}
	if k.since > v.rules.kernel {
		return c, false
	}
	c.proto = v.kfuncProto(name)
	return c, c.proto != nil
}

// kfuncArgs is how many registers a call reads.
func (v *verifier) kfuncArgs(at int) int {
	k, ok := kfuncOf(v.prog.kfuncs[at])
	if !ok || v.opt.Types == nil && plainProto(v.prog.kfuncs[at]) == nil || k.since > v.rules.kernel {
		return 5
	}
	if p := v.kfuncProto(v.prog.kfuncs[at]); p != nil {
		return len(p.Params)
	}
	return 5
}

// iterates reports whether a call asks an iterator for its next element.
func (v *verifier) iterates(at int) bool {
	k, _ := kfuncOf(v.prog.kfuncs[at])
	return v.prog.insns[at].isKfunc() && k.flags&kfIterNext != 0
}

// callKfunc walks a call of a function of the kernel.
func (v *verifier) callKfunc() (end bool) {
	at := v.insn
	if !gplCompatible(v.prog.spec.License) {
		v.reject("license", "functions of the kernel may be called by programs with a GPL-compatible license only")
	}
	c, known := v.kfuncAt(at)
	if !known {
		v.reject("kfunc", "Linux %s has no function %s for programs", v.rules.kernel, c.name)
	}
	if c.hooks&hookAll == 0 && c.hooks&v.rules.hookOf(v.prog.spec.Type) == 0 {
		v.reject("kfunc", "programs of type %s may not call %s", v.prog.spec.Type, c.name)
	}
	if c.flags&kfSleeps != 0 {
		if !v.sleeps() {
			v.reject("sleep", "%s may sleep, this program may not", c.name)
		}
		v.noSleepHere(c.name)
	}
	if c.name == failingLockFunction {
		v.failToLock()
	}
	for i := 0; i < len(c.proto.Params); i++ {
		i += v.kfuncArg(c, i)
	}
	if c.flags&kfRelease != 0 && c.releaseReg < 0 {
		v.reject("reference", "%s must be given something that was acquired", c.name)
	}
	if c.name == throwFunction {
		v.throw()
		return true
	}
	v.enterRegions(c)
	if c.name == "bpf_wq_set_callback_impl" {
		v.asyncCallback(&c.helperCall, v.elemOf(c.mp, c.mapReg.uid))
	}
	if graphCalls[c.name] == adds {
		v.addElement(c)
	}
	if c.releaseReg >= 0 {
		v.cur.release(c.ref)
		v.forgetReference(c.ref)
	}
	regs := v.regs()
	for r := range 6 {
		regs[r].setNotInit()
		regs[r].life.marks |= liveWritten
	}
	v.kfuncReturns(c, &regs[0])
	v.insn = at + 1
	if c.flags&kfIterNext != 0 {
		v.nextElement(c, at)
	}
	return false
}

// resultOf is the struct that a pointer to it is returned of, without modifiers.
func resultOf(t btf.Type) (target btf.Type, isPointer bool) {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return nil, false
	}
	return btf.UnderlyingType(p.Target), true
}

// kfuncReturns gives r0 what the function returns.
func (v *verifier) kfuncReturns(c *kfuncCall, r *reg) {
	target, pointer := resultOf(c.proto.Return)
	if !pointer {
		if _, void := btf.UnderlyingType(c.proto.Return).(*btf.Void); !void {
			r.setUnknown()
		}
		if c.name == failingLockFunction {
			r.setNumber(0)
		}
		return
	}
	switch {
	case c.name == "bpf_cast_to_kern_ctx":
		r.setPointer(ptrBTF, trusted)
		r.typ = v.kernelStruct(kernelContext(v.prog.spec.Type))
	case c.name == "bpf_rdonly_cast":
		v.castTo(c, r)
	case c.name == "bpf_obj_new_impl", c.name == "bpf_percpu_obj_new_impl":
		v.newObject(c, r)
	case c.hasRoot:
		v.element(r, c.root)
	case c.made != nil:
		r.setPointer(ptrBTF, allocated)
		r.typ = c.made
	case strings.HasPrefix(c.name, "bpf_dynptr_slice"):
		if !c.hasSize {
			v.unmodelled("kfunc " + c.name)
		}
		f := v.sliceFlags(c.dynptr.kind)
		if c.name == "bpf_dynptr_slice" {
			f |= readOnly
		} else if !writesPackets(v.prog.spec.Type) {
			v.reject("read only", "programs of type %s cannot write into the packet, as what %s returns may be", v.prog.spec.Type, c.name)
		}
		r.setPointer(ptrMem, f)
		r.size, r.dyn = int32(c.size), c.dynptr.id
	default:
		switch t := target.(type) {
		case *btf.Void:
			r.setUnknown()
		case *btf.Struct:
			r.setPointer(ptrBTF, v.resultTrust(c))
			r.typ = t
		default:
			size, err := btf.Sizeof(target)
			if c.hasSize {
				size, err = int(c.size), nil
			}
			if err != nil || size == 0 {
				v.unmodelled("kfunc " + c.name)
			}
			r.setPointer(ptrMem, readOnly)
			r.size = int32(size)
			if c.ref != 0 {
				r.ref = c.ref
			}
		}
	}
	null := c.flags&kfRetNull != 0 && !c.sure
	if null {
		r.flags |= maybeNull
		r.id = v.newID()
	}
	if c.flags&kfAcquire != 0 {
		id := v.acquire()
		if null {
			r.id = id
		}
		r.ref = id
	} else if c.hasRoot {
		v.disown(r)
	}
	if v.mayHoldLock(r) && r.id == 0 {
		r.id = v.newID()
	}
}

// resultTrust is how far a struct returned may be trusted.
func (v *verifier) resultTrust(c *kfuncCall) flags {
	switch {
	case c.flags&kfIterNext != 0:
		if c.object.rcu {
			return rcu
		}
		return trusted
	case c.flags&kfRCUProtected != 0:
		return rcu
	}
	return 0
}

// castTo gives r0 a struct of the kernel that the program says it is: it may be read, and no more.
func (v *verifier) castTo(c *kfuncCall, r *reg) {
	spec, ok := v.opt.Types.(*btf.Spec)
	if !ok || !c.hasSize {
		v.unmodelled("kfunc " + c.name)
	}
	t, err := spec.TypeByID(btf.TypeID(c.size))
	s, isStruct := t.(*btf.Struct)
	if err != nil || !isStruct {
		v.unmodelled("casts to what is no struct")
	}
	r.setPointer(ptrBTF, untrusted)
	r.typ = s
}

// kernelContext is the struct that the context of a program is made of.
func kernelContext(t ebpf.ProgramType) string {
	switch t {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local, ebpf.SkSKB:
		return "sk_buff"
	case ebpf.XDP:
		return "xdp_buff"
	case ebpf.CGroupSock:
		return "sock"
	case ebpf.CGroupSockAddr:
		return "bpf_sock_addr_kern"
	case ebpf.SockOps:
		return "bpf_sock_ops_kern"
	case ebpf.SkMsg:
		return "sk_msg"
	case ebpf.Kprobe:
		return "pt_regs"
	case ebpf.PerfEvent:
		return "bpf_perf_event_data_kern"
	}
	return ""
}
