// Lists of allocated objects.
#include "objects.h"

struct item { u64 n; struct bpf_list_node node; u32 tail; };
struct other { struct bpf_list_node node; u64 n; };
struct bin { struct bpf_spin_lock lock; u32 count; struct bpf_list_head head CONTAINS(item, node); };
struct outer { u64 n; struct bpf_spin_lock lock; struct bpf_list_head head CONTAINS(item, node); };
struct unlocked { u32 count; struct bpf_list_head head CONTAINS(item, node); };
struct untagged { struct bpf_spin_lock lock; struct bpf_list_head head; };
struct astray { struct bpf_spin_lock lock; struct bpf_list_head head CONTAINS(item, tail); };
struct bins { struct bpf_spin_lock lock; struct bpf_list_head heads[3] CONTAINS(item, node); u64 n; };
MAP(bins, ARRAY, 4, u32, struct bin);
MAP(hashed, HASH, 4, u32, struct bin);
MAP(unlockeds, ARRAY, 4, u32, struct unlocked);
MAP(untaggeds, ARRAY, 4, u32, struct untagged);
MAP(astrays, ARRAY, 4, u32, struct astray);
MAP(arrays, ARRAY, 4, u32, struct bins);

PRIVATE(a) struct bpf_spin_lock lock;
PRIVATE(a) struct bpf_list_head head CONTAINS(item, node);
PRIVATE(a) struct bpf_list_head head2 CONTAINS(item, node);
PRIVATE(b) struct bpf_spin_lock lock_b;
PRIVATE(b) struct bpf_list_head head_b CONTAINS(other, node);
u64 sum;

#define AT(map) \
	u32 key = 0; \
	struct bin *b = map_lookup_elem(&map, &key); \
	if (!b) \
		return 0

SEC("tc") int push(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	i->n = ctx->len;
	spin_lock(&lock);
	push_front(&head, &i->node);
	i->tail = 1;
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_unlocked_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (i)
		push_front(&head, &i->node);
	return 0;
}
SEC("tc") int push_other_lock_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock_b);
	push_front(&head, &i->node);
	spin_unlock(&lock_b);
	return 0;
}
SEC("tc") int push_other_type_bad(struct __sk_buff *ctx)
{
	struct other *i = new(struct other);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_front(&head, &i->node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_null_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	spin_lock(&lock);
	push_front(&head, &i->node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_null_first_bad(struct __sk_buff *ctx)
{
	struct other *i = new(struct other);
	spin_lock(&lock_b);
	push_front(&head_b, &i->node);
	spin_unlock(&lock_b);
	return 0;
}
SEC("tc") int push_twice_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_front(&head, &i->node);
	push_front(&head2, &i->node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_node_offset_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_front(&head, (void *)i);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_head_offset_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_front((void *)&head + 4, &i->node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int push_use_after_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_back(&head, &i->node);
	spin_unlock(&lock);
	return i->n;
}
SEC("tc") int push_drop_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_back(&head, &i->node);
	spin_unlock(&lock);
	drop(i);
	return 0;
}
SEC("tc") int push_stack_bad(struct __sk_buff *ctx)
{
	struct item i = {};
	spin_lock(&lock);
	push_back(&head, &i.node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int pop(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	spin_unlock(&lock);
	if (!l)
		return 0;
	struct item *i = container_of(l, struct item, node);
	sum += i->n + i->tail;
	drop(i);
	return 0;
}
SEC("tc") int pop_back(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_back(&head);
	spin_unlock(&lock);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
SEC("tc") int pop_leak_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	spin_unlock(&lock);
	return l != NULL;
}
SEC("tc") int pop_drop_node_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	spin_unlock(&lock);
	if (l)
		drop(l);
	return 0;
}
SEC("tc") int pop_null_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	spin_unlock(&lock);
	drop(container_of(l, struct item, node));
	return 0;
}
SEC("tc") int pop_unlocked_bad(struct __sk_buff *ctx)
{
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
SEC("tc") int pop_drop_locked_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	if (l)
		drop(container_of(l, struct item, node));
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int move(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	if (l)
		push_back(&head2, l);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int move_unchecked_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_front(&head);
	push_back(&head2, l);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int new_locked_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	struct item *i = new(struct item);
	if (i)
		push_back(&head, &i->node);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int read_node_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	sum = *(volatile u64 *)&i->node;
	drop(i);
	return 0;
}
SEC("tc") int write_node_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	*(volatile u32 *)((void *)&i->node + 20) = 1;
	drop(i);
	return 0;
}
SEC("tc") int write_pointer(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	*(void *volatile *)&i->n = ctx;
	drop(i);
	return 0;
}
SEC("tc") int read_head_bad(struct __sk_buff *ctx)
{
	return *(volatile u64 *)&head;
}
SEC("tc") int in_value(struct __sk_buff *ctx)
{
	AT(bins);
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&b->lock);
	push_back(&b->head, &i->node);
	b->count++;
	spin_unlock(&b->lock);
	return 0;
}
SEC("tc") int in_value_hashed(struct __sk_buff *ctx)
{
	AT(hashed);
	spin_lock(&b->lock);
	struct bpf_list_node *l = bpf_list_pop_back(&b->head);
	spin_unlock(&b->lock);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
SEC("tc") int in_two_values_bad(struct __sk_buff *ctx)
{
	AT(bins);
	u32 key2 = 1;
	struct bin *b2 = map_lookup_elem(&bins, &key2);
	if (!b2)
		return 0;
	spin_lock(&b2->lock);
	struct bpf_list_node *l = bpf_list_pop_back(&b->head);
	spin_unlock(&b2->lock);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
SEC("tc") int in_unlocked_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct unlocked *b = map_lookup_elem(&unlockeds, &key);
	struct item *i = new(struct item);
	if (!i)
		return 0;
	if (!b) {
		drop(i);
		return 0;
	}
	push_back(&b->head, &i->node);
	return 0;
}
SEC("tc") int unlocked_is_data_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct unlocked *b = map_lookup_elem(&unlockeds, &key);
	return b ? *(volatile u64 *)&b->head : 0;
}
SEC("tc") int untagged_lock_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct untagged *b = map_lookup_elem(&untaggeds, &key);
	if (!b)
		return 0;
	spin_lock(&b->lock);
	spin_unlock(&b->lock);
	return 0;
}
SEC("tc") int astray_lock_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct astray *b = map_lookup_elem(&astrays, &key);
	if (!b)
		return 0;
	spin_lock(&b->lock);
	spin_unlock(&b->lock);
	return 0;
}
SEC("tc") int in_array(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct bins *b = map_lookup_elem(&arrays, &key);
	if (!b)
		return 0;
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&b->lock);
	push_back(&b->heads[2], &i->node);
	spin_unlock(&b->lock);
	return 0;
}
SEC("tc") int in_array_any_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct bins *b = map_lookup_elem(&arrays, &key);
	if (!b)
		return 0;
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&b->lock);
	push_back(&b->heads[ctx->len & 1], &i->node);
	spin_unlock(&b->lock);
	return 0;
}
SEC("tc") int in_object(struct __sk_buff *ctx)
{
	struct outer *o = new(struct outer);
	struct item *i;
	if (!o)
		return 0;
	i = new(struct item);
	if (!i) {
		drop(o);
		return 0;
	}
	spin_lock(&o->lock);
	push_back(&o->head, &i->node);
	spin_unlock(&o->lock);
	drop(o);
	return 0;
}
SEC("tc") int in_object_other_lock_bad(struct __sk_buff *ctx)
{
	struct outer *o = new(struct outer);
	struct item *i;
	if (!o)
		return 0;
	i = new(struct item);
	if (!i) {
		drop(o);
		return 0;
	}
	spin_lock(&lock);
	push_back(&o->head, &i->node);
	spin_unlock(&lock);
	drop(o);
	return 0;
}
SEC("tc") int in_object_lock_offset_bad(struct __sk_buff *ctx)
{
	struct outer *o = new(struct outer);
	if (!o)
		return 0;
	spin_lock((void *)&o->n);
	spin_unlock((void *)&o->n);
	drop(o);
	return 0;
}
SEC("tc") int rounds(struct __sk_buff *ctx)
{
	for (int i = 0; i < 8; i++) {
		struct item *n = new(struct item);
		if (!n)
			return 0;
		n->n = i;
		spin_lock(&lock);
		push_back(&head, &n->node);
		spin_unlock(&lock);
	}
	for (int i = 0; i < 8; i++) {
		spin_lock(&lock);
		struct bpf_list_node *l = bpf_list_pop_front(&head);
		spin_unlock(&lock);
		if (!l)
			return 0;
		struct item *n = container_of(l, struct item, node);
		sum += n->n;
		drop(n);
	}
	return 0;
}
SEC("tc") int still_locked_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	spin_lock(&lock);
	push_front(&head, &i->node);
	return 0;
}
SEC("tracepoint/sched/sched_switch") int probe_bad(void *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_back(&head);
	spin_unlock(&lock);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
SEC("tp_btf/task_newtask") int probe_btf(u64 *ctx)
{
	spin_lock(&lock);
	struct bpf_list_node *l = bpf_list_pop_back(&head);
	spin_unlock(&lock);
	if (l)
		drop(container_of(l, struct item, node));
	return 0;
}
