// Pointers of the kernel in maps' values, allocated objects and work queues.
#include "kernel.h"

KERNEL_TYPES
struct task_struct { int pid, tgid; struct task_struct *real_parent; };
struct cgroup { int level; };
END_KERNEL_TYPES
struct bpf_cpumask { u64 bits[1]; };

struct own { u64 n; u32 data[4]; };
struct holder { u64 used; struct task_struct KPTR *task; };
struct weak { struct task_struct POINTER("kptr_untrusted") *task; u64 n; };
struct owner { struct own KPTR *p; u32 n; };
struct queued { u32 n; struct bpf_wq work; };
MAP(holders, ARRAY, 4, u32, struct holder);
MAP(weaks, HASH, 4, u32, struct weak);
MAP(owners, ARRAY, 4, u32, struct owner);
MAP(queue, ARRAY, 4, u32, struct queued);
u64 sum;

KSYM struct task_struct *bpf_task_acquire(struct task_struct *p);
KSYM void bpf_task_release(struct task_struct *p);
KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
KSYM void *bpf_obj_new_impl(u64 id, void *meta);
KSYM void bpf_obj_drop_impl(void *p, void *meta);
KSYM int bpf_wq_init(struct bpf_wq *wq, void *map, u32 flags);
KSYM int bpf_wq_start(struct bpf_wq *wq, u32 flags);
KSYM int bpf_wq_set_callback_impl(struct bpf_wq *wq, int(*callback)(void *map, int *key, void *value), u32 flags, void *aux);
#define new(T) ((T *)bpf_obj_new_impl(__builtin_btf_type_id(*(T *)0, 0), NULL))
#define drop(p) bpf_obj_drop_impl(p, NULL)

SEC("tp_btf/task_newtask") int keep(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept, *old;
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	kept = bpf_task_acquire(t);
	if (!kept)
		return 0;
	old = kptr_xchg(&h->task, kept);
	if (old)
		bpf_task_release(old);
	h->used++;
	return 0;
}
SEC("tp_btf/task_newtask") int keep_leak_bad(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	kept = bpf_task_acquire(t);
	if (!kept)
		return 0;
	kptr_xchg(&h->task, kept);
	return 0;
}
SEC("tp_btf/task_newtask") int keep_unowned_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	struct task_struct *old = kptr_xchg(&h->task, (void *)ctx[0]);
	if (old)
		bpf_task_release(old);
	return 0;
}
SEC("tp_btf/task_newtask") int take(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	struct task_struct *old = kptr_xchg(&h->task, NULL);
	if (!old)
		return 0;
	sum += old->pid;
	bpf_task_release(old);
	return 0;
}
SEC("tp_btf/task_newtask") int take_offset_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	struct task_struct *old = kptr_xchg(&h->used, NULL);
	if (old)
		bpf_task_release(old);
	return 0;
}
SEC("tp_btf/task_newtask") int peek(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	struct task_struct *t = h->task;
	if (!t)
		return 0;
	t = bpf_task_acquire(t);
	if (!t)
		return 0;
	sum += t->pid;
	bpf_task_release(t);
	return 0;
}
SEC("tp_btf/task_newtask") int peek_null_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (!h)
		return 0;
	struct task_struct *t = bpf_task_acquire(h->task);
	if (t)
		bpf_task_release(t);
	return 0;
}
SEC("tp_btf/task_newtask") int store_owned_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (h)
		h->task = (void *)ctx[0];
	return 0;
}
SEC("tp_btf/task_newtask") int part_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	return h ? *(u32 *)&h->task : 0;
}
SEC("tp_btf/task_newtask") int helper_bad(u64 *ctx)
{
	u32 key = 0;
	struct holder *h = map_lookup_elem(&holders, &key);
	if (h)
		get_current_comm(h, 16);
	return 0;
}
SEC("tp_btf/task_newtask") int store_weak(u64 *ctx)
{
	u32 key = 0;
	struct weak *h = map_lookup_elem(&weaks, &key);
	if (!h)
		return 0;
	struct task_struct *old = h->task;
	if (old)
		sum += old->pid;
	h->task = (void *)ctx[0];
	h->n++;
	return 0;
}
SEC("tp_btf/task_newtask") int store_weak_type_bad(u64 *ctx)
{
	u32 key = 0;
	struct weak *h = map_lookup_elem(&weaks, &key);
	if (h)
		h->task = (void *)&sum;
	return 0;
}
SEC("tp_btf/task_newtask") int acquire_weak_bad(u64 *ctx)
{
	u32 key = 0;
	struct weak *h = map_lookup_elem(&weaks, &key);
	if (!h || !h->task)
		return 0;
	struct task_struct *t = bpf_task_acquire(h->task);
	if (t)
		bpf_task_release(t);
	return 0;
}
SEC("tc") int fresh(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	if (!p)
		return 0;
	p->n = skb->len;
	p->data[3] = 1;
	sum += p->n + p->data[2];
	drop(p);
	return 0;
}
SEC("tc") int fresh_leak_bad(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	if (p)
		p->n = 1;
	return 0;
}
SEC("tc") int fresh_null_bad(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	p->n = 1;
	drop(p);
	return 0;
}
SEC("tc") int fresh_after_bad(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	if (!p)
		return 0;
	drop(p);
	return p->n;
}
SEC("tc") int fresh_far_bad(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	if (!p)
		return 0;
	((u64 *)p)[3] = 1;
	drop(p);
	return 0;
}
SEC("tc") int work(struct __sk_buff *skb);
static int worked(void *map, int *key, void *value) { sum++; return 0; }
static int worked_returns(void *map, int *key, void *value) { return sum; }
SEC("tc") int work(struct __sk_buff *skb)
{
	u32 key = 0;
	struct queued *q = map_lookup_elem(&queue, &key);
	if (!q)
		return 0;
	if (bpf_wq_init(&q->work, &queue, 0) || bpf_wq_set_callback_impl(&q->work, worked, 0, NULL))
		return 0;
	return bpf_wq_start(&q->work, 0);
}
STATIC int worked_sleeping(void *map, int *key, void *value)
{
	u32 n = 0;
	copy_from_user(&n, sizeof(n), (void *)8);
	return 0;
}
SEC("tc") int work_sleeps(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct queued *q = map_lookup_elem(&queue, &key);
	if (!q || bpf_wq_init(&q->work, &queue, 0))
		return 0;
	bpf_wq_set_callback_impl(&q->work, worked_sleeping, 0, NULL);
	return 0;
}
SEC("tc") int sleeps_bad(struct __sk_buff *ctx)
{
	u32 n = 0;
	copy_from_user(&n, sizeof(n), (void *)8);
	return n;
}
SEC("tc") int work_returns_bad(struct __sk_buff *skb)
{
	u32 key = 0;
	struct queued *q = map_lookup_elem(&queue, &key);
	if (q)
		bpf_wq_set_callback_impl(&q->work, worked_returns, 0, NULL);
	return 0;
}
SEC("tc") int work_offset_bad(struct __sk_buff *skb)
{
	u32 key = 0;
	struct queued *q = map_lookup_elem(&queue, &key);
	if (q)
		bpf_wq_start((void *)&q->n, 0);
	return 0;
}
#define OWNER \
	u32 key = 0; \
	struct owner *h = map_lookup_elem(&owners, &key); \
	if (!h) \
		return 0; \
	struct own *p

SEC("tc") int own_keep(struct __sk_buff *skb)
{
	OWNER = new(struct own);
	if (!p)
		return 0;
	p = kptr_xchg(&h->p, p);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int own_use_after_keep_bad(struct __sk_buff *skb)
{
	OWNER = new(struct own), *q;
	if (!p)
		return 0;
	q = kptr_xchg(&h->p, p);
	if (q)
		drop(q);
	return p->n;
}
SEC("tc") int own_keep_moved_bad(struct __sk_buff *skb)
{
	OWNER = new(struct own);
	if (!p)
		return 0;
	p = kptr_xchg(&h->p, (void *)p + 8);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int own_peek(struct __sk_buff *skb)
{
	OWNER = h->p;
	if (p) {
		p->n++;
		sum = p->data[1];
	}
	return 0;
}
SEC("tc") int own_peek_far_bad(struct __sk_buff *skb)
{
	OWNER = h->p;
	return p ? ((u64 *)p)[3] : 0;
}
SEC("tc") int own_peek_keep_bad(struct __sk_buff *skb)
{
	OWNER = h->p;
	if (!p)
		return 0;
	p = kptr_xchg(&h->p, p);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int own_left_section_bad(struct __sk_buff *skb)
{
	OWNER;
	bpf_rcu_read_lock();
	p = h->p;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	return p->n;
}
SEC("tc") int own_left_section_write_bad(struct __sk_buff *skb)
{
	OWNER;
	bpf_rcu_read_lock();
	p = h->p;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	p->n = 1;
	return 0;
}
SEC("tc") int own_in_own(struct __sk_buff *skb);
struct box { u64 n; struct own KPTR *p; };
struct locked_box { u64 n; struct own KPTR *p; struct bpf_spin_lock lock; };
SEC("tc") int own_in_own(struct __sk_buff *skb)
{
	struct box *b = new(struct box);
	struct own *p;
	if (!b)
		return 0;
	p = new(struct own);
	if (p) {
		p = kptr_xchg(&b->p, p);
		if (p)
			drop(p);
	}
	drop(b);
	return 0;
}
SEC("tc") int own_in_locked(struct __sk_buff *skb)
{
	struct locked_box *b = new(struct locked_box);
	struct own *p;
	if (!b)
		return 0;
	p = kptr_xchg(&b->p, NULL);
	if (p)
		drop(p);
	drop(b);
	return 0;
}
SEC("tc") int own_in_own_read_bad(struct __sk_buff *skb)
{
	struct locked_box *b = new(struct locked_box);
	if (!b)
		return 0;
	sum = *(volatile u64 *)&b->p;
	drop(b);
	return 0;
}
SEC("tc") int own_in_own_type_bad(struct __sk_buff *skb)
{
	struct box *b = new(struct box), *c;
	struct own *p;
	if (!b)
		return 0;
	c = new(struct box);
	if (c) {
		p = kptr_xchg(&b->p, c);
		if (p)
			drop(p);
	}
	drop(b);
	return 0;
}
SEC("tc") int own_in_own_offset_bad(struct __sk_buff *skb)
{
	struct box *b = new(struct box);
	struct own *p;
	if (!b)
		return 0;
	p = kptr_xchg(&b->n, NULL);
	if (p)
		drop(p);
	drop(b);
	return 0;
}
SEC("tc") int own_given_bad(struct __sk_buff *skb)
{
	struct own *p = new(struct own);
	if (!p)
		return 0;
	skb_load_bytes(skb, 0, p, 8);
	drop(p);
	return 0;
}
