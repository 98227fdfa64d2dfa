package verifier

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// A hookArg is an argument of what a program is attached to, where the kernel says more of it than its type does.
type hookArg struct {
	kind  kind
	flags flags
	known bool
}

// findAttachType finds the prototype of what a program with typed arguments is attached to.
func (v *verifier) findAttachType() {
	spec := v.prog.spec
	if v.opt.Types == nil {
		v.unmodelled("tracing programs without the kernel's types (BTF)")
	}
	switch spec.Type {
	case ebpf.LSM:
		v.findLSMHook()
		return
	case ebpf.StructOps:
		v.findOperation()
		return
	case ebpf.Netfilter:
		v.hookArgs = nil
		return
	}
	switch spec.AttachType {
	case ebpf.AttachTraceRawTp:
		v.findTracepoint()
	case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
		v.hook = v.functionHook(spec.AttachTo)
		if spec.AttachType == ebpf.AttachModifyReturn && !strings.HasPrefix(spec.AttachTo, "security_") {
			if !v.mayFail(spec.AttachTo) {
				v.unmodelled("programs that change what " + spec.AttachTo + " returns")
			}
		}
		if spec.Flags&sleepable != 0 && !v.mayFail(spec.AttachTo) {
			v.unmodelled("programs that may sleep at " + spec.AttachTo)
		}
		v.hookArgs = v.hook.Params
	case ebpf.AttachTraceIter:
		v.hook = v.functionHook("bpf_iter_" + spec.AttachTo)
		v.hookArgs = v.hook.Params
		v.findIterator(spec.AttachTo)
	default:
		v.unmodelled("tracing programs of type " + spec.AttachType.String())
	}
	for _, p := range v.hookArgs {
		if _, ok := btf.UnderlyingType(p.Type).(*btf.Struct); ok {
			v.unmodelled("arguments that are structs")
		}
	}
}

// mayFail reports whether the kernel lets programs end a function with an error: system calls are such functions.
func (v *verifier) mayFail(name string) bool {
	return strings.HasPrefix(name, "__x64_sys_") || strings.HasPrefix(name, "bpf_fentry_test") || name == "bpf_modify_return_test"
}

func (v *verifier) findTracepoint() {
	spec := v.prog.spec
	var t *btf.Typedef
	if v.opt.Types.TypeByName("btf_trace_"+spec.AttachTo, &t) != nil {
		v.unmodelled("tracepoint " + spec.AttachTo + ", which the kernel's types have not")
	}
	p, _ := btf.UnderlyingType(t).(*btf.Pointer)
	if p != nil {
		v.hook, _ = btf.UnderlyingType(p.Target).(*btf.FuncProto)
	}
	if v.hook == nil || len(v.hook.Params) == 0 {
		v.unmodelled("prototype of tracepoint " + spec.AttachTo)
	}
	v.hookArgs = v.hook.Params[1:] // the first is for the kernel's own use
}

func (v *verifier) functionHook(name string) *btf.FuncProto {
	var f *btf.Func
	if v.opt.Types.TypeByName(name, &f) != nil {
		v.unmodelled("function " + name + ", which the kernel's types have not")
	}
	p := protoOf(f)
	if p == nil {
		v.unmodelled("prototype of " + name)
	}
	return p
}

// findIterator says of an iterator's arguments what its authors do.
func (v *verifier) findIterator(name string) {
	trust := func(since Kernel) flags {
		if v.rules.kernel >= since {
			return maybeNull | trusted
		}
		return maybeNull
	}
	set := func(i int, k kind, f flags) { v.hookHints[i] = hookArg{k, f, true} }
	v.hookHints = map[int]hookArg{}
	switch name {
	case "task":
		set(1, ptrBTF, trust(linux(6, 3)))
	case "task_file":
		set(1, ptrBTF, maybeNull)
		set(3, ptrBTF, trust(linux(6, 12)))
	case "task_vma":
		set(1, ptrBTF, maybeNull)
		set(2, ptrBTF, maybeNull)
	case "bpf_map":
		set(1, ptrBTF, trust(linux(6, 6)))
	case "bpf_prog", "bpf_link", "ksym", "netlink", "ipv6_route":
		set(1, ptrBTF, maybeNull)
	case "bpf_map_elem":
		set(1, ptrBTF, maybeNull)
		set(2, ptrBuffer, maybeNull|readOnly)
		set(3, ptrBuffer, maybeNull)
		if v.rules.kernel >= linux(6, 6) {
			delete(v.hookHints, 1)
		}
	case "tcp", "udp", "unix":
		set(1, ptrBTF, trust(linux(6, 6)))
	case "cgroup":
		set(1, ptrBTF, trust(linux(6, 2)))
	default:
		v.unmodelled("iterators over " + name)
	}
}

// findOperation finds the prototype of a member of a struct of operations.
func (v *verifier) findOperation() {
	if !gplCompatible(v.prog.spec.License) {
		v.reject("license", "operations of the kernel must have a GPL-compatible license")
	}
	ops, member, ok := strings.Cut(v.prog.spec.AttachTo, ":")
	if !ok {
		v.unmodelled("programs of a struct of operations that is not named")
	}
	if ops != "tcp_congestion_ops" {
		v.unmodelled("operations of struct " + ops)
	}
	for _, m := range v.kernelStruct(ops).Members {
		if m.Name != member {
			continue
		}
		target, _ := resultOf(m.Type)
		v.hook, _ = target.(*btf.FuncProto)
	}
	if v.hook == nil {
		v.reject("attach", "struct %s has no operation %s", ops, member)
	}
	v.hookArgs = v.hook.Params
}

// argType is the type of what is at an offset of a tracing program's context; false if there is none.
func (v *verifier) argType(off int) (btf.Type, bool) {
	i := off / 8
	switch {
	case i < len(v.hookArgs):
		return btf.UnderlyingType(v.hookArgs[i].Type), true
	case i == len(v.hookArgs) && v.hasResult():
		return btf.UnderlyingType(v.hook.Return), true
	}
	return nil, false
}

// hasResult reports whether what the hook returns comes after its arguments.
func (v *verifier) hasResult() bool {
	switch v.prog.spec.AttachType {
	case ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
		return true
	}
	return v.prog.spec.Type == ebpf.LSM
}

// argTrust is how far pointers among the arguments may be trusted.
func (v *verifier) argTrust(i int) flags {
	spec := v.prog.spec
	if !v.rules.trustedArgs {
		return 0
	}
	switch spec.Type {
	case ebpf.LSM:
		if untrustedHook(spec.AttachTo) && v.rules.kernel >= linux(6, 3) {
			return 0
		}
		return trusted
	case ebpf.StructOps:
		return trusted
	case ebpf.Tracing:
		switch spec.AttachType {
		case ebpf.AttachTraceIter:
			return trusted
		case ebpf.AttachTraceRawTp:
			if v.nullableArg(i) {
				return trusted | maybeNull
			}
			return trusted
		}
	}
	return 0
}

func btfField(v *verifier, a ctxField) bool {
	if a.write || a.off%8 != 0 {
		return false
	}
	i := a.off / 8
	t, ok := v.argType(a.off)
	if !ok {
		return false
	}
	switch t := t.(type) {
	case *btf.Int:
		return t.Size <= 8
	case *btf.Enum:
		return true
	case *btf.Pointer:
		return a.size == 8 && v.pointerField(a, i, t)
	}
	return false
}

// pointerField gives an argument that is a pointer its kind.
func (v *verifier) pointerField(a ctxField, i int, t *btf.Pointer) bool {
	hint := v.hookHints[i]
	if hint.known && hint.kind == ptrBuffer {
		*a.kind, *a.flags = hint.kind, hint.flags
		return true
	}
	for _, tag := range tagsOf(t.Target) {
		if tag == "user" || tag == "percpu" {
			v.unmodelled("arguments with the tag " + tag)
		}
	}
	switch u := btf.UnderlyingType(t.Target).(type) {
	case *btf.Void, *btf.Int:
		return true
	case *btf.Struct, *btf.Union:
		if v.prog.spec.AttachType == ebpf.AttachTraceRawTp && weakArgs[v.prog.spec.AttachTo].number>>i&1 != 0 {
			return true
		}
		*a.kind, *a.flags = ptrBTF, v.argTrust(i)
		if hint.known {
			*a.flags = hint.flags
		}
		if v.prog.spec.Type == ebpf.StructOps && v.stubNullable(i) {
			*a.flags |= maybeNull
		}
		_ = u
		return true
	}
	return false
}

// stubNullable reports whether the kernel says of an operation's argument that it may be null.
func (v *verifier) stubNullable(i int) bool {
	var f *btf.Func
	name := strings.Replace(v.prog.spec.AttachTo, ":", "__", 1)
	if v.opt.Types.TypeByName(name, &f) != nil {
		return false
	}
	p := protoOf(f)
	return p != nil && i < len(p.Params) && strings.HasSuffix(p.Params[i].Name, "__nullable")
}

// nullableArg reports whether the kernel says of a tracepoint's argument that it may be null.
func (v *verifier) nullableArg(i int) bool {
	if v.rules.kernel < linux(6, 13) {
		return false
	}
	if strings.HasSuffix(v.hookArgs[i].Name, "__nullable") {
		return true
	}
	return weakArgs[v.prog.spec.AttachTo].null>>i&1 != 0
}

// netfilterField is struct bpf_nf_ctx.
func netfilterField(v *verifier, a ctxField) bool {
	return (a.off == 0 || a.off == 8) && a.pointer(ptrBTF, trusted, 8)
}

// loadedBTF gives a pointer loaded from the context its type.
func (v *verifier) loadedBTF(x *reg, off int) {
	if v.prog.spec.Type == ebpf.Netfilter {
		x.typ = v.kernelStruct([]string{"nf_hook_state", "sk_buff"}[off/8])
		return
	}
	t, _ := v.argType(off)
	x.typ = btf.UnderlyingType(t.(*btf.Pointer).Target)
	if v.prog.spec.Type == ebpf.StructOps && x.typ.TypeName() == "sock" {
		x.typ = v.kernelStruct("tcp_sock") // congestion control is of TCP
	}
}

// operationWrites reports whether programs for congestion control may write a member of the socket.
func (v *verifier) operationWrites(r *reg, off, size int) bool {
	if v.prog.spec.Type != ebpf.StructOps || r.typ.TypeName() != "tcp_sock" {
		return false
	}
	// Both structs that it begins with are at its start.
	for name, writable := range map[string][]string{
		"tcp_sock":             {"snd_cwnd", "snd_cwnd_cnt", "snd_cwnd_stamp", "snd_ssthresh", "ecn_flags", "app_limited"},
		"inet_connection_sock": {"icsk_ca_priv", "icsk_ack"},
		"sock":                 {"sk_pacing_rate", "sk_pacing_status"},
	} {
		for _, m := range v.kernelStruct(name).Members {
			n, err := btf.Sizeof(m.Type)
			if m.Name == "icsk_ack" {
				n = 1 // its first member
			}
			if at := int(m.Offset.Bytes()); err == nil && slices.Contains(writable, m.Name) && off >= at && off+size <= at+n {
				return true
			}
		}
	}
	return false
}
