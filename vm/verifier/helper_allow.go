package verifier

import (
	"slices"

	"github.com/cilium/ebpf"

	"skep/vm/helper"
)

// allowsHelper reports whether programs of this type may call the helper.
func (v *verifier) allowsHelper(h *helper.Helper) bool {
	spec := v.prog.spec
	if !h.Programs.Has(spec.Type) {
		return false
	}
	switch spec.Type {
	case ebpf.Tracing:
		return v.tracingHelper(h)
	case ebpf.LSM:
		return v.lsmHelper(h)
	case ebpf.SchedCLS, ebpf.SchedACT:
		return true
	}
	if h.Name == "get_cgroup_classid" {
		v.unmodelled("bpf_get_cgroup_classid without a packet")
	}
	return true
}

// tracingHelper knows which of the helpers for tracing programs belong to which place.
func (v *verifier) tracingHelper(h *helper.Helper) bool {
	spec := v.prog.spec
	trampoline := spec.AttachType == ebpf.AttachTraceFEntry || spec.AttachType == ebpf.AttachTraceFExit || spec.AttachType == ebpf.AttachModifyReturn
	iter := spec.AttachType == ebpf.AttachTraceIter
	switch h.Name {
	case "seq_printf", "seq_write", "seq_printf_btf":
		return iter
	case "d_path":
		return iter || slices.Contains(pathFunctions, spec.AttachTo)
	case "get_func_ret", "get_func_arg", "get_func_arg_cnt", "get_func_ip":
		return trampoline
	case "get_attach_cookie":
		return trampoline || spec.AttachType == ebpf.AttachTraceRawTp && v.rules.kernel >= linux(6, 9)
	case "sk_storage_get", "sk_storage_delete":
		return v.rules.kernel >= linux(5, 11)
	case "setsockopt", "getsockopt":
		v.unmodelled("bpf_" + h.Name + " in tracing programs")
	case "get_cgroup_classid":
		return false
	}
	return true
}

// pathFunctions are where a path may be written as text.
var pathFunctions = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate", "vfs_truncate", "vfs_fallocate",
	"dentry_open", "vfs_getattr", "filp_close",
}

func (v *verifier) lsmHelper(h *helper.Helper) bool {
	spec := v.prog.spec
	switch h.Name {
	case "d_path":
		return sleepableHook(spec.AttachTo)
	case "setsockopt", "getsockopt", "get_retval", "set_retval":
		v.unmodelled("bpf_" + h.Name + " at security hooks")
	case "ima_inode_hash", "ima_file_hash":
		return sleepableHook(spec.AttachTo)
	case "get_cgroup_classid":
		return false
	}
	return true
}

// socketIsBTF reports whether helpers that take sockets take the kernel's own struct in programs of this type.
func (v *verifier) socketIsBTF() bool {
	return v.prog.spec.Type == ebpf.Tracing || v.prog.spec.Type == ebpf.LSM
}
