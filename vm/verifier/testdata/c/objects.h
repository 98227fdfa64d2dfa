// What programs that keep allocated objects in lists and trees need.
#include "kernel.h"

#define CONTAINS(type, node) TAG("contains:" #type ":" #node)
#define PRIVATE(name) SEC(".data." #name) __attribute__((visibility("hidden"), aligned(8)))

KSYM void *bpf_obj_new_impl(u64 id, void *meta);
KSYM void bpf_obj_drop_impl(void *p, void *meta);
KSYM void *bpf_refcount_acquire_impl(void *p, void *meta);
KSYM int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off);
KSYM int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off);
KSYM struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head);
KSYM struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head);
KSYM int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node, bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off);
KSYM struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node);
KSYM struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root);
#define new(T) ((T *)bpf_obj_new_impl(__builtin_btf_type_id(*(T *)0, 0), NULL))
#define drop(p) bpf_obj_drop_impl(p, NULL)
#define again(p) ((typeof(p))bpf_refcount_acquire_impl(p, NULL))
#define push_front(head, node) bpf_list_push_front_impl(head, node, NULL, 0)
#define push_back(head, node) bpf_list_push_back_impl(head, node, NULL, 0)
#define add(root, node, less) bpf_rbtree_add_impl(root, node, less, NULL, 0)
