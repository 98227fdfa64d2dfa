// Trees of allocated objects, and counted references of these.
#include "objects.h"

struct leaf { u64 key; struct bpf_rb_node node; u64 data; };
struct shared { u64 key; struct bpf_list_node list; struct bpf_rb_node node; struct bpf_refcount count; };
struct uncounted { u64 key; struct bpf_list_node list; struct bpf_rb_node node; };
struct leaf_kept { struct leaf KPTR *p; };
struct shared_kept { struct shared KPTR *p; };
MAP(kept, ARRAY, 4, u32, struct leaf_kept);
MAP(kept_shared, ARRAY, 4, u32, struct shared_kept);

PRIVATE(a) struct bpf_spin_lock lock;
PRIVATE(a) struct bpf_rb_root root CONTAINS(leaf, node);
PRIVATE(a) struct bpf_rb_root root2 CONTAINS(leaf, node);
PRIVATE(b) struct bpf_spin_lock lock_b;
PRIVATE(b) struct bpf_rb_root shared_root CONTAINS(shared, node);
PRIVATE(b) struct bpf_list_head shared_head CONTAINS(shared, list);
u64 sum;

KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
KSYM struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root);
KSYM struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node);
KSYM struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node);
KSYM struct bpf_list_node *bpf_list_front(struct bpf_list_head *head);
#define LEAF(n) container_of(n, struct leaf, node)
#define SHARED(n) container_of(n, struct shared, node)

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return LEAF(a)->key < LEAF(b)->key; }
static bool less_shared(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return SHARED(a)->key < SHARED(b)->key; }
STATIC bool less_unlocks(struct bpf_rb_node *a, const struct bpf_rb_node *b) { spin_unlock(&lock); return 0; }
STATIC bool less_adds(struct bpf_rb_node *a, const struct bpf_rb_node *b) { bpf_rbtree_remove(&root, a); return 0; }
STATIC bool less_first(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return bpf_rbtree_first(&root) == a; }
STATIC bool less_writes(struct bpf_rb_node *a, const struct bpf_rb_node *b) { LEAF(a)->data = 1; return 1; }
STATIC bool less_calls(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return ktime_get_ns() & 1; }
static int less_wide(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return LEAF(a)->key; }
static int less_two(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return 2; }

#define ADD(name, by) \
	SEC("tc") int name(struct __sk_buff *ctx) \
	{ \
		struct leaf *l = new(struct leaf); \
		if (!l) \
			return 0; \
		l->key = ctx->len; \
		spin_lock(&lock); \
		add(&root, &l->node, (void *)by); \
		spin_unlock(&lock); \
		return 0; \
	}
ADD(add_one, less)
ADD(add_unlocks_bad, less_unlocks)
ADD(add_in_compare_bad, less_adds)
ADD(add_first, less_first)
ADD(add_writes, less_writes)
ADD(add_calls_bad, less_calls)
ADD(add_wide_bad, less_wide)
ADD(add_two_bad, less_two)

SEC("tc") int add_unlocked_bad(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	if (l)
		add(&root, &l->node, less);
	return 0;
}
SEC("tc") int add_after(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	if (!l)
		return 0;
	spin_lock(&lock);
	add(&root, &l->node, less);
	l->data = l->key;
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int add_after_unlock_bad(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	if (!l)
		return 0;
	spin_lock(&lock);
	add(&root, &l->node, less);
	spin_unlock(&lock);
	l->data = 1;
	return 0;
}
SEC("tc") int add_twice_bad(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	if (!l)
		return 0;
	spin_lock(&lock);
	add(&root, &l->node, less);
	add(&root2, &l->node, less);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int add_two(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf), *m;
	if (!l)
		return 0;
	m = new(struct leaf);
	if (!m) {
		drop(l);
		return 0;
	}
	spin_lock(&lock);
	add(&root, &l->node, less);
	add(&root, &m->node, less);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int add_list_root_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared);
	if (!s)
		return 0;
	spin_lock(&lock_b);
	push_back((void *)&shared_root, &s->list);
	spin_unlock(&lock_b);
	return 0;
}
SEC("tc") int remove_first(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (!n) {
		spin_unlock(&lock);
		return 0;
	}
	n = bpf_rbtree_remove(&root, n);
	spin_unlock(&lock);
	if (!n)
		return 0;
	sum += LEAF(n)->data;
	drop(LEAF(n));
	return 0;
}
SEC("tc") int remove_unchecked_first_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	n = bpf_rbtree_remove(&root, n);
	spin_unlock(&lock);
	if (n)
		drop(LEAF(n));
	return 0;
}
SEC("tc") int remove_leak_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (n)
		bpf_rbtree_remove(&root, n);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int remove_null_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (!n) {
		spin_unlock(&lock);
		return 0;
	}
	n = bpf_rbtree_remove(&root, n);
	spin_unlock(&lock);
	drop(LEAF(n));
	return 0;
}
SEC("tc") int remove_owned(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	struct bpf_rb_node *n;
	if (!l)
		return 0;
	spin_lock(&lock);
	n = bpf_rbtree_remove(&root, &l->node);
	spin_unlock(&lock);
	drop(l);
	if (n)
		drop(LEAF(n));
	return 0;
}
SEC("tc") int remove_added(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	struct bpf_rb_node *n;
	if (!l)
		return 0;
	spin_lock(&lock);
	add(&root, &l->node, less);
	n = bpf_rbtree_remove(&root, &l->node);
	l->data = 2;
	spin_unlock(&lock);
	if (n)
		drop(LEAF(n));
	return 0;
}
SEC("tc") int remove_other_offset_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (n)
		n = bpf_rbtree_remove(&root, (void *)n + 8);
	spin_unlock(&lock);
	if (n)
		drop(LEAF(n));
	return 0;
}
SEC("tc") int move(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (n) {
		n = bpf_rbtree_remove(&root, n);
		if (n)
			add(&root2, n, less);
	}
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int first_read(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	u64 key = 0;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (n)
		key = LEAF(n)->key;
	spin_unlock(&lock);
	return key;
}
SEC("tc") int first_read_unlocked_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	spin_unlock(&lock);
	return n ? LEAF(n)->key : 0;
}
SEC("tc") int first_read_null_bad(struct __sk_buff *ctx)
{
	spin_lock(&lock);
	u64 key = LEAF(bpf_rbtree_first(&root))->key;
	spin_unlock(&lock);
	return key;
}
SEC("tc") int first_drop_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (n)
		drop(LEAF(n));
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int walk(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	u64 key = 0;
	spin_lock(&lock);
	n = bpf_rbtree_root(&root);
	for (int i = 0; i < 8 && n; i++) {
		key += LEAF(n)->key;
		n = LEAF(n)->data & 1 ? bpf_rbtree_left(&root, n) : bpf_rbtree_right(&root, n);
	}
	spin_unlock(&lock);
	return key;
}
SEC("tc") int walk_unchecked_bad(struct __sk_buff *ctx)
{
	struct bpf_rb_node *n;
	spin_lock(&lock);
	n = bpf_rbtree_root(&root);
	n = bpf_rbtree_left(&root, n);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int peek(struct __sk_buff *ctx)
{
	struct bpf_list_node *n;
	u64 key = 0;
	spin_lock(&lock_b);
	n = bpf_list_front(&shared_head);
	if (n)
		key = container_of(n, struct shared, list)->key;
	spin_unlock(&lock_b);
	return key;
}
SEC("tc") int peek_drop_bad(struct __sk_buff *ctx)
{
	struct bpf_list_node *n;
	spin_lock(&lock_b);
	n = bpf_list_front(&shared_head);
	spin_unlock(&lock_b);
	if (n)
		drop(container_of(n, struct shared, list));
	return 0;
}
SEC("tc") int both(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared), *t;
	if (!s)
		return 0;
	t = again(s);
	spin_lock(&lock_b);
	add(&shared_root, &s->node, less_shared);
	push_back(&shared_head, &t->list);
	s->key = t->key;
	spin_unlock(&lock_b);
	return 0;
}
SEC("tc") int both_later(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared), *t;
	if (!s)
		return 0;
	spin_lock(&lock_b);
	add(&shared_root, &s->node, less_shared);
	t = again(s);
	spin_unlock(&lock_b);
	if (t)
		drop(t);
	return 0;
}
SEC("tc") int both_later_unchecked_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared), *t;
	if (!s)
		return 0;
	spin_lock(&lock_b);
	add(&shared_root, &s->node, less_shared);
	t = again(s);
	spin_unlock(&lock_b);
	drop(t);
	return 0;
}
SEC("tc") int both_after_unlock_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared), *t;
	if (!s)
		return 0;
	spin_lock(&lock_b);
	add(&shared_root, &s->node, less_shared);
	spin_unlock(&lock_b);
	t = again(s);
	if (t)
		drop(t);
	return 0;
}
SEC("tc") int again_leak_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared);
	if (!s)
		return 0;
	again(s);
	drop(s);
	return 0;
}
SEC("tc") int again_uncounted_bad(struct __sk_buff *ctx)
{
	struct leaf *l = new(struct leaf);
	if (!l)
		return 0;
	struct leaf *m = again(l);
	drop(l);
	drop(m);
	return 0;
}
SEC("tc") int again_null_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared), *t = again(s);
	if (t)
		drop(t);
	if (s)
		drop(s);
	return 0;
}
SEC("tc") int uncounted_bad(struct __sk_buff *ctx)
{
	struct uncounted *u = new(struct uncounted);
	if (u)
		drop(u);
	return 0;
}
SEC("tc") int count_read_bad(struct __sk_buff *ctx)
{
	struct shared *s = new(struct shared);
	if (!s)
		return 0;
	sum = *(volatile u32 *)&s->count;
	drop(s);
	return 0;
}
#define STASH(name, section) \
	SEC(section) int name(void *ctx) \
	{ \
		u32 key = 0; \
		struct leaf_kept *h = map_lookup_elem(&kept, &key); \
		struct leaf *l; \
		if (!h) \
			return 0; \
		l = new(struct leaf); \
		if (!l) \
			return 0; \
		l = kptr_xchg(&h->p, l); \
		if (l) \
			drop(l); \
		return 0; \
	}
STASH(stash, "tc")
STASH(stash_iter, "iter/task")
STASH(stash_probe, "tp_btf/task_newtask")
#define PEEK(name, section) \
	SEC(section) int name(void *ctx) \
	{ \
		u32 key = 0; \
		struct leaf_kept *h = map_lookup_elem(&kept, &key); \
		struct leaf *l; \
		if (!h) \
			return 0; \
		l = h->p; \
		return l ? l->data & 1 : 0; \
	}
PEEK(stashed_peek_probe, "tp_btf/task_newtask")
PEEK(stashed_peek_point, "tracepoint/sched/sched_switch")
SEC("tc") int stash_type_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	struct shared *l;
	if (!h)
		return 0;
	l = new(struct shared);
	if (!l)
		return 0;
	struct leaf *m = kptr_xchg(&h->p, l);
	if (m)
		drop(m);
	return 0;
}
SEC("tc") int stash_leak_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	struct leaf *l;
	if (!h)
		return 0;
	l = new(struct leaf);
	if (l)
		kptr_xchg(&h->p, l);
	return 0;
}
SEC("tc") int unstash_add(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	if (!h)
		return 0;
	struct leaf *l = kptr_xchg(&h->p, NULL);
	if (!l)
		return 0;
	spin_lock(&lock);
	add(&root, &l->node, less);
	spin_unlock(&lock);
	return 0;
}
SEC("tc") int stashed_read(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	if (!h)
		return 0;
	struct leaf *l = h->p;
	return l ? l->key : 0;
}
SEC("tc") int stashed_write(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	if (!h)
		return 0;
	struct leaf *l = h->p;
	if (l)
		l->data = 1;
	return 0;
}
SEC("tc") int stashed_remove(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	if (!h)
		return 0;
	struct leaf *l = h->p;
	struct bpf_rb_node *n;
	if (!l)
		return 0;
	spin_lock(&lock);
	n = bpf_rbtree_remove(&root, &l->node);
	spin_unlock(&lock);
	if (n)
		drop(LEAF(n));
	return 0;
}
SEC("tc") int stashed_again(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct shared_kept *h = map_lookup_elem(&kept_shared, &key);
	if (!h)
		return 0;
	struct shared *s = h->p;
	if (!s)
		return 0;
	s = again(s);
	if (s)
		drop(s);
	return 0;
}
SEC("tc") int stashed_again_unchecked_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct shared_kept *h = map_lookup_elem(&kept_shared, &key);
	if (!h)
		return 0;
	struct shared *s = h->p;
	if (!s)
		return 0;
	drop(again(s));
	return 0;
}
SEC("tc") int stashed_drop_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct leaf_kept *h = map_lookup_elem(&kept, &key);
	if (!h)
		return 0;
	struct leaf *l = h->p;
	if (l)
		drop(l);
	return 0;
}
SEC("tc") int stashed_left_section_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct shared_kept *h = map_lookup_elem(&kept_shared, &key);
	if (!h)
		return 0;
	bpf_rcu_read_lock();
	struct shared *s = h->p;
	if (!s) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	return s->key;
}
SEC("tc") int stashed_left_section_write_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct shared_kept *h = map_lookup_elem(&kept_shared, &key);
	if (!h)
		return 0;
	bpf_rcu_read_lock();
	struct shared *s = h->p;
	if (!s) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	s->key = 1;
	return 0;
}
struct counted { u64 n; struct bpf_refcount count; };
struct locked { u64 n; struct bpf_spin_lock lock; };
struct holding { u64 n; struct leaf KPTR *p; struct bpf_refcount count; };
struct plain { u64 n; };
#define FRESH(name, section, T) \
	SEC(section) int name(void *ctx) \
	{ \
		struct T *p = new(struct T); \
		if (p) \
			drop(p); \
		return 0; \
	}
FRESH(fresh_counted, "tp_btf/task_newtask", counted)
FRESH(fresh_locked, "tp_btf/task_newtask", locked)
FRESH(fresh_holding, "tp_btf/task_newtask", holding)
FRESH(fresh_plain, "tp_btf/task_newtask", plain)
FRESH(fresh_leaf, "tp_btf/task_newtask", leaf)
FRESH(fresh_leaf_probe, "tracepoint/sched/sched_switch", leaf)
FRESH(fresh_leaf_perf, "perf_event", leaf)
FRESH(fresh_leaf_entry, "fentry/bpf_fentry_test1", leaf)
FRESH(fresh_leaf_xdp, "xdp", leaf)
FRESH(fresh_leaf_lsm, "lsm/file_open", leaf)
FRESH(fresh_leaf_iter, "iter/task", leaf)
