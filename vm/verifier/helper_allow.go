package verifier

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"skep/vm/helper"
)

// allowsHelper reports whether programs of this type may call the helper.
func (v *verifier) allowsHelper(h *helper.Helper) bool {
	spec := v.prog.spec
	if h.Flags&helper.Sleeps != 0 {
		// Older kernels have them for programs only that may sleep.
		return h.Programs.Has(spec.Type) || v.rules.kernel >= Linux6_18 && (h.Name == "copy_from_user" || h.Name == "copy_from_user_task")
	}
	trampoline := spec.AttachType == ebpf.AttachTraceFEntry || spec.AttachType == ebpf.AttachTraceFExit || spec.AttachType == ebpf.AttachModifyReturn
	switch {
	case h.Name == "d_path" && spec.Type == ebpf.Tracing:
		return spec.AttachType == ebpf.AttachTraceIter && v.rules.kernel >= linux(5, 12) || slices.Contains(pathFunctions, spec.AttachTo)
	case h.Name == "d_path" && spec.Type == ebpf.LSM:
		return sleepableHook(spec.AttachTo) && v.rules.kernel >= linux(5, 11)
	case (h.Name == "setsockopt" || h.Name == "getsockopt" || h.Name == "get_retval" || h.Name == "set_retval") && (spec.Type == ebpf.Tracing || spec.Type == ebpf.LSM),
		h.Name == "get_cgroup_classid" && spec.Type != ebpf.SchedCLS && spec.Type != ebpf.SchedACT:
		if may, known := v.measured(h); known && !may {
			return false
		}
		v.unmodelled("bpf_" + h.Name + " in programs of type " + spec.Type.String())
	case (h.Name == "sk_storage_get" || h.Name == "sk_storage_delete") && trampoline && strings.HasPrefix(spec.AttachTo, "bpf_sk_storage"):
		return false
	}
	if may, known := v.measured(h); known {
		return may
	}
	if spec.Type == ebpf.StructOps {
		return h.Programs.Has(spec.Type)
	}
	v.unmodelled("helpers of programs of type " + spec.Type.String())
	return false
}

// pathFunctions are where a path may be written as text.
var pathFunctions = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate", "vfs_truncate", "vfs_fallocate",
	"dentry_open", "vfs_getattr", "filp_close",
}

// socketIsBTF reports whether helpers that take sockets take the kernel's own struct in programs of this type.
func (v *verifier) socketIsBTF() bool {
	return v.prog.spec.Type == ebpf.Tracing || v.prog.spec.Type == ebpf.LSM
}
