package verifier

import "github.com/cilium/ebpf/btf"

// enterGlobal gives a global function that is walked by itself its arguments: what its prototype promises and no more.
func (v *verifier) enterGlobal(s *subprogram, f *frame) {
	for i, p := range v.params(s) {
		r := &f.regs[i+1]
		switch {
		case p.ctx:
			r.setPointer(ptrCtx, 0)
		case p.memory > 0:
			r.setPointer(ptrMem, maybeNull)
			r.size = int32(p.memory)
			r.id = v.newID()
		default:
			r.setUnknown()
		}
	}
}

// A param is an argument of a global function: the context, memory of a size, or a number.
type param struct {
	ctx    bool
	memory int
}

func (v *verifier) params(s *subprogram) []param {
	if s.typ == nil {
		v.unmodelled("global functions without BTF")
	}
	if len(s.typ.Params) > 5 {
		v.reject("global function", "the function %s has more than 5 arguments", s.name)
	}
	var all []param
	for _, p := range s.typ.Params {
		switch t := btf.UnderlyingType(p.Type).(type) {
		case *btf.Int, *btf.Enum:
			all = append(all, param{})
		case *btf.Pointer:
			target := btf.UnderlyingType(t.Target)
			if st, ok := target.(*btf.Struct); ok && isCtxStruct(st.Name) {
				all = append(all, param{ctx: true})
				continue
			}
			if _, tagged := t.Target.(*btf.TypeTag); tagged {
				v.unmodelled("tagged arguments of global functions")
			}
			size, err := btf.Sizeof(target)
			if err != nil || size == 0 {
				v.unmodelled("arguments of global functions of unknown size")
			}
			all = append(all, param{memory: size})
		default:
			v.reject("global function", "the argument %s of the function %s is neither a number nor a pointer", p.Name, s.name)
		}
	}
	return all
}

func isCtxStruct(name string) bool {
	switch name {
	case "__sk_buff", "xdp_md", "bpf_perf_event_data", "pt_regs", "bpf_user_pt_regs_t", "bpf_raw_tracepoint_args", "bpf_sock", "bpf_sock_addr",
		"bpf_sockopt", "bpf_sysctl", "bpf_cgroup_dev_ctx", "bpf_sk_lookup", "bpf_sock_ops":
		return true
	}
	return false
}

// checkGlobalArgs checks what a global function is called with.
func (v *verifier) checkGlobalArgs(s *subprogram) {
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
			if r.isNull() {
				continue
			}
			v.unmodelled("memory given to global functions")
		default:
			if r.kind != scalar {
				v.rejectReg(n, "argument", "r%d must be a number for %s, and is %s", n, s.name, r.describe())
			}
		}
	}
}
