package verifier

import (
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// plainProtos are prototypes of functions that need none of the kernel's own structs, so that programs which call no others can be verified
// without the kernel's types: what is returned, and then the arguments, as in C, with the size behind the name of a struct.
var plainProtos = map[string]string{
	"bpf_iter_num_new":      "int, bpf_iter_num/8* it, int start, int end",
	"bpf_iter_num_next":     "int*, bpf_iter_num/8* it",
	"bpf_iter_num_destroy":  "void, bpf_iter_num/8* it",
	"bpf_iter_bits_new":     "int, bpf_iter_bits/16* it, u64* unsafe_ptr__ign, u32 nr_words",
	"bpf_iter_bits_next":    "int*, bpf_iter_bits/16* it",
	"bpf_iter_bits_destroy": "void, bpf_iter_bits/16* it",
	"bpf_rcu_read_lock":     "void",
	"bpf_rcu_read_unlock":   "void",
	"bpf_preempt_disable":   "void",
	"bpf_preempt_enable":    "void",
	"bpf_local_irq_save":    "void, u64* flags__irq_flag",
	"bpf_local_irq_restore": "void, u64* flags__irq_flag",
	"bpf_dynptr_from_skb":   "int, __sk_buff/192* s, u64 flags, bpf_dynptr/16* ptr__uninit",
	"bpf_dynptr_from_xdp":   "int, xdp_md/24* x, u64 flags, bpf_dynptr/16* ptr__uninit",
	"bpf_dynptr_slice":      "void*, bpf_dynptr/16* p, u64 offset, void* buffer__opt, u64 buffer__szk",
	"bpf_dynptr_slice_rdwr": "void*, bpf_dynptr/16* p, u64 offset, void* buffer__opt, u64 buffer__szk",
	"bpf_dynptr_adjust":     "int, bpf_dynptr/16* p, u64 start, u64 end",
	"bpf_dynptr_is_null":    "int, bpf_dynptr/16* p",
	"bpf_dynptr_is_rdonly":  "int, bpf_dynptr/16* p",
	"bpf_dynptr_size":       "u64, bpf_dynptr/16* p",
	"bpf_dynptr_clone":      "int, bpf_dynptr/16* p, bpf_dynptr/16* clone__uninit",
	"bpf_wq_init":           "int, bpf_wq/16* wq, void* p__map, u32 flags",
	"bpf_wq_start":          "int, bpf_wq/16* wq, u32 flags",
}

// plainProto is the prototype of a function that needs no types of the kernel; nil if it does.
func plainProto(name string) *btf.FuncProto {
	text, ok := plainProtos[name]
	if !ok {
		return nil
	}
	p := &btf.FuncProto{}
	for i, part := range strings.Split(text, ", ") {
		typ, arg, _ := strings.Cut(part, " ")
		if t := plainType(typ); i == 0 {
			p.Return = t
		} else {
			p.Params = append(p.Params, btf.FuncParam{Name: arg, Type: t})
		}
	}
	return p
}

func plainType(text string) btf.Type {
	if target, ok := strings.CutSuffix(text, "*"); ok {
		return &btf.Pointer{Target: plainType(target)}
	}
	switch text {
	case "void":
		return &btf.Void{}
	case "int", "u32":
		return &btf.Int{Name: text, Size: 4}
	case "u64":
		return &btf.Int{Name: text, Size: 8}
	}
	name, size, _ := strings.Cut(text, "/")
	n, _ := strconv.ParseUint(size, 10, 32)
	return &btf.Struct{Name: name, Size: uint32(n)}
}
