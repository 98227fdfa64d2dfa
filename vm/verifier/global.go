package verifier

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// enterGlobal gives a global function that is walked by itself its arguments: what its prototype promises and no more.
func (v *verifier) enterGlobal(s *subprogram, f *frame) {
	for i, p := range v.params(s) {
		r := &f.regs[i+1]
		switch {
		case p.ctx:
			r.setPointer(ptrCtx, 0)
		case p.memory > 0:
			r.setPointer(ptrMem, maybeNull)
			if p.nonNull {
				r.flags = 0
			}
			r.size = int32(p.memory)
			r.id = v.newID()
		case p.dynptr:
			r.setPointer(ptrDynptr, 0)
			r.what = uint8(dynptrLocal)
			r.id = v.newID()
		case p.object != nil:
			r.setPointer(ptrBTF, trusted)
			r.typ = p.object
			if p.nullable {
				r.flags |= maybeNull
				r.id = v.newID()
			}
		default:
			r.setUnknown()
		}
	}
}

// A param is an argument of a global function: the context, memory of a size, something of the kernel, or a number.
type param struct {
	ctx      bool
	memory   int
	nonNull  bool
	nullable bool
	dynptr   bool
	object   *btf.Struct
}

func (v *verifier) params(s *subprogram) []param {
	if s.typ == nil {
		v.unmodelled("global functions without BTF")
	}
	if len(s.typ.Params) > 5 {
		v.reject("global function", "the function %s has more than 5 arguments", s.name)
	}
	switch btf.UnderlyingType(s.typ.Return).(type) {
	case *btf.Int, *btf.Enum:
	case *btf.Void:
		if !v.rules.voidGlobals {
			v.reject("global function", "the function %s must return a number, as all global functions before Linux 7.2", s.name)
		}
	default:
		v.reject("global function", "the function %s must return a number, as all global functions", s.name)
	}
	var all []param
	for i, p := range s.typ.Params {
		var tags []string
		if f := v.prog.funcs[s.start]; f != nil && i < len(f.ParamTags) && v.rules.kernel >= linux(6, 8) {
			tags = f.ParamTags[i]
		}
		all = append(all, v.param(s, p, tags))
	}
	return all
}

func (v *verifier) param(s *subprogram, p btf.FuncParam, tags []string) param {
	has := func(tag string) bool { return slices.Contains(tags, "arg:"+tag) }
	pointer, ok := btf.UnderlyingType(p.Type).(*btf.Pointer)
	if !ok {
		switch btf.UnderlyingType(p.Type).(type) {
		case *btf.Int, *btf.Enum:
			if len(tags) > 0 {
				v.unmodelled("tagged numbers as arguments of global functions")
			}
			return param{}
		}
		v.reject("global function", "the argument %s of the function %s is neither a number nor a pointer", p.Name, s.name)
	}
	if has("arena") || has("untrusted") {
		v.unmodelled("tagged arguments of global functions")
	}
	target := btf.UnderlyingType(pointer.Target)
	name := target.TypeName()
	if has("ctx") || isContext(v.prog.spec.Type, pointer.Target) {
		return param{ctx: true}
	}
	if v.rules.kernel < linux(5, 12) {
		v.reject("global function", "the argument %s of the function %s must be the context or a number in Linux %s", p.Name, s.name, v.rules.kernel)
	}
	if name == "bpf_dynptr" && v.rules.kernel >= linux(6, 8) {
		return param{dynptr: true}
	}
	if has("trusted") {
		if v.opt.Types == nil {
			v.unmodelled("arguments that are structs of the kernel, without its types (BTF)")
		}
		var st *btf.Struct
		if v.opt.Types.TypeByName(name, &st) != nil {
			v.reject("global function", "the argument %s of the function %s is a struct that the kernel has not", p.Name, s.name)
		}
		return param{object: st, nullable: has("nullable")}
	}
	if _, tagged := pointer.Target.(*btf.TypeTag); tagged {
		v.unmodelled("tagged arguments of global functions")
	}
	size, err := btf.Sizeof(target)
	if err != nil || size == 0 {
		v.reject("global function", "the argument %s of the function %s points to something of which no size is known", p.Name, s.name)
	}
	return param{memory: size, nonNull: has("nonnull")}
}

// isContext reports whether a pointer to this type is the context of programs of a type.
func isContext(t ebpf.ProgramType, target btf.Type) bool {
	for {
		switch u := target.(type) {
		case *btf.Const:
			target = u.Type
			continue
		case *btf.Volatile:
			target = u.Type
			continue
		case *btf.Typedef:
			if t == ebpf.Kprobe && u.Name == "bpf_user_pt_regs_t" {
				return true
			}
			target = u.Type
			continue
		case *btf.Struct:
			return slices.Contains(ctxStructs(t), u.Name)
		}
		return false
	}
}

func ctxStructs(t ebpf.ProgramType) []string {
	switch t {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local, ebpf.SkSKB, ebpf.FlowDissector:
		return []string{"__sk_buff"}
	case ebpf.XDP:
		return []string{"xdp_md"}
	case ebpf.CGroupSock:
		return []string{"bpf_sock"}
	case ebpf.CGroupSockAddr:
		return []string{"bpf_sock_addr"}
	case ebpf.SockOps:
		return []string{"bpf_sock_ops"}
	case ebpf.SkMsg:
		return []string{"sk_msg_md"}
	case ebpf.Kprobe:
		return []string{"pt_regs", "bpf_user_pt_regs_t"}
	case ebpf.PerfEvent:
		return []string{"bpf_perf_event_data"}
	case ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		return []string{"bpf_raw_tracepoint_args"}
	case ebpf.CGroupDevice:
		return []string{"bpf_cgroup_dev_ctx"}
	case ebpf.CGroupSysctl:
		return []string{"bpf_sysctl"}
	case ebpf.CGroupSockopt:
		return []string{"bpf_sockopt"}
	case ebpf.SkReuseport:
		return []string{"sk_reuseport_md"}
	case ebpf.SkLookup:
		return []string{"bpf_sk_lookup"}
	case ebpf.Netfilter:
		return []string{"bpf_nf_ctx"}
	}
	return nil
}

// checkGlobalArgs checks what a global function is called with.
func (v *verifier) checkGlobalArgs(s *subprogram) {
	c := &helperCall{Helper: &helper.Helper{Name: s.name, BTF: ""}, function: s.name, fillReg: -1, sub: -1}
	for i, p := range v.params(s) {
		n := i + 1
		r := v.read(uint8(n))
		switch {
		case p.ctx:
			if r.kind != ptrCtx {
				v.rejectReg(n, "argument", "r%d must be the context for %s, and is %s", n, s.name, r.describe())
			}
			v.plainCtx(n)
		case p.memory > 0:
			v.memoryArg(c, n, p.memory)
			if p.nonNull && (r.nullable() || r.isNull()) {
				v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), s.name)
			}
		case p.dynptr:
			v.dynptrArg(n, r, dynptrNone, true, s.name)
		case p.object != nil:
			if p.nullable && r.isNull() {
				continue
			}
			c.BTF = p.object.Name
			a := helper.BTF
			if p.nullable {
				a |= helper.MaybeNull
			}
			v.checkBTFArg(c, n, a, r)
			if r.flags&trusted == 0 {
				v.rejectReg(n, "argument", "r%d must be a trusted pointer for %s", n, s.name)
			}
		default:
			if r.kind != scalar {
				v.rejectReg(n, "argument", "r%d must be a number for %s, and is %s", n, s.name, r.describe())
			}
		}
	}
}

// memoryArg asks that a function may read and write memory of a known size; null is checked inside.
func (v *verifier) memoryArg(c *helperCall, n, size int) {
	r := &v.regs()[n]
	if r.isNull() {
		return
	}
	saved := *r
	if r.nullable() {
		markNotNull(r)
	}
	switch r.kind {
	case ptrStack, ptrPacket, ptrPacketMeta, ptrMapKey, ptrMapValue, ptrMem:
	default:
		v.rejectReg(n, "argument", "r%d must be a pointer to %d bytes of memory for %s, and is %s", n, size, c.title(), r.describe())
	}
	if r.isPacket() && !v.ctx.writesPacket {
		v.rejectReg(n, "read only", "programs of this type cannot write into the packet, which %s may do", c.title())
	}
	v.helperMemory(c, n, size, reads, false, true)
	v.helperMemory(c, n, size, clobber, true, true)
	life := r.life
	*r = saved
	r.life = life
}

// findEffects notes which functions may move the packet or throw, by themselves or by what they call.
func (v *verifier) findEffects() {
	for changed := true; changed; {
		changed = false
		for _, s := range v.subs {
			before := s.effects
			for i := s.start; i < s.end; i++ {
				in := v.prog.insns[i]
				switch {
				case in.isHelper():
					h := helper.ByNumber(in.Imm)
					s.changesData = s.changesData || h != nil && (h.Flags&helper.ChangesData != 0 || h.Number == helperTailCall)
				case in.isKfunc():
					s.changesData = s.changesData || v.prog.kfuncs[i] == "bpf_xdp_pull_data"
					s.throws = s.throws || v.prog.kfuncs[i] == throwFunction
				case in.isSubcall(), in.isFuncRef():
					callee := v.subs[v.subprogramAt(i+1+int(in.Imm))]
					s.changesData = s.changesData || callee.changesData
					s.throws = s.throws || callee.throws
				}
			}
			changed = changed || s.effects != before
		}
	}
}
