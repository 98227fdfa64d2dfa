package verifier

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// findLSMHook finds the prototype of a hook of the security modules.
func (v *verifier) findLSMHook() {
	spec := v.prog.spec
	if spec.AttachType == ebpf.AttachLSMCgroup && v.rules.kernel < linux(6, 0) {
		v.reject("attach", "security hooks of control groups exist since Linux 6.0")
	}
	if !gplCompatible(spec.License) {
		v.reject("license", "programs at security hooks must have a GPL-compatible license")
	}
	v.hook = v.functionHook("bpf_lsm_" + spec.AttachTo)
	v.hookArgs = v.hook.Params
	if slices.Contains(disabledHooks, spec.AttachTo) && v.rules.kernel >= linux(6, 12) {
		v.reject("attach", "programs cannot be attached to the hook %s", spec.AttachTo)
	}
	if spec.Flags&sleepable != 0 && !sleepableHook(spec.AttachTo) {
		v.reject("sleep", "programs at the hook %s may not sleep", spec.AttachTo)
	}
}

// lsmReturn is what a program at a security hook may return; limited is false if that is anything.
func (v *verifier) lsmReturn() (lo, hi int64, limited bool) {
	_, void := btf.UnderlyingType(v.hook.Return).(*btf.Void)
	if v.prog.spec.AttachType == ebpf.AttachLSMCgroup {
		if void {
			return 1, 1, true
		}
		return 0, 1, true
	}
	switch {
	case void, v.rules.kernel < linux(6, 12):
		return 0, 0, false
	case v.prog.spec.AttachTo == "audit_rule_known", v.prog.spec.AttachTo == "inode_xattr_skipcap":
		return 0, 1, true
	}
	return -4095, 0, true
}

// untrustedHook are hooks whose arguments are being made or unmade.
func untrustedHook(name string) bool {
	switch name {
	case "bpf_map_free", "bpf_map_free_security", "bpf_prog_free", "bpf_prog_free_security", "file_alloc_security", "file_free_security",
		"sk_alloc_security", "sk_free_security", "task_free":
		return true
	}
	return false
}

// disabledHooks are those whose results mean more than an error.
var disabledHooks = []string{
	"vm_enough_memory", "inode_need_killpriv", "inode_getsecurity", "inode_listsecurity", "inode_copy_up_xattr", "getselfattr", "getprocattr",
	"setprocattr", "ismaclabel", "key_getsecurity", "socket_getpeersec_stream", "xfrm_state_pol_flow_match", "audit_rule_match", "secctx_to_secid",
}

// sleepableHook are hooks at which programs may sleep.
func sleepableHook(name string) bool {
	for _, prefix := range []string{"bprm_", "sb_", "path_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(strings.Fields(`bpf bpf_map capget capset cred_prepare d_instantiate file_ioctl file_lock file_open file_post_open file_receive
		inode_create inode_free_security inode_getattr inode_getxattr inode_mknod inode_post_setxattr inode_post_removexattr inode_readlink
		inode_removexattr inode_remove_acl inode_rename inode_rmdir inode_setattr inode_setxattr inode_set_acl inode_setsecurity inode_symlink
		inode_unlink kernel_module_request kernel_read_file kernfs_init_security mmap_file netlink_send post_notification quota_on release_secctx
		socket_accept socket_bind socket_connect socket_create socket_getpeername socket_getpeersec_dgram socket_getsockname socket_getsockopt
		socket_listen socket_post_create socket_recvmsg socket_sendmsg socket_shutdown socket_socketpair syslog task_alloc task_getsecid_obj
		task_prctl task_setscheduler task_to_inode userns_create current_getsecid_subj`), name)
}
