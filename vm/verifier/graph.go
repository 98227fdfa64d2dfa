package verifier

import "github.com/cilium/ebpf/btf"

// A graphField is a list or a tree in a value, and what is in it.
type graphField struct {
	at, node int // offsets of the root, and of the node in what is in it
	of       btf.Type
	tree     bool
}

// graphArg checks arguments that are roots and nodes of lists and trees, and what is allocated.
func (v *verifier) graphArg(c *kfuncCall, n int, p btf.FuncParam, r *reg, name string) bool {
	switch name {
	case "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node":
		v.unmodelled("lists and trees of allocated objects")
	}
	switch c.name {
	case "bpf_obj_new_impl", "bpf_obj_drop_impl", "bpf_refcount_acquire_impl":
		v.unmodelled("allocated objects")
	}
	return false
}

func (v *verifier) graphReturns(c *kfuncCall, r *reg) bool { return false }

func (v *verifier) lessCallback(c *kfuncCall) {}

func (v *verifier) convertNodes(c *kfuncCall) {}
