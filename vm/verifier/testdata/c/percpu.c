// Objects of which each CPU has its own.
#include "objects.h"

struct tally { u64 n, sum; };
struct pointing { u64 n; void *p; };
struct noded { u64 n; struct bpf_list_node node; };
struct large { u64 n[80]; };
struct largest { u64 n[64]; };
struct stats { struct tally POINTER("percpu_kptr") *p; u64 n; };
struct plain_stats { struct tally KPTR *p; u64 n; };
MAP(all, ARRAY, 4, u32, struct stats);
MAP(hashed, HASH, 4, u32, struct stats);
MAP(percpu, PERCPU_ARRAY, 4, u32, struct stats);
MAP(plains, ARRAY, 4, u32, struct plain_stats);
u64 sum;

KSYM void *bpf_percpu_obj_new_impl(u64 id, void *meta);
KSYM void bpf_percpu_obj_drop_impl(void *p, void *meta);
KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
#define new_each(T) ((T *)bpf_percpu_obj_new_impl(__builtin_btf_type_id(*(T *)0, 0), NULL))
#define drop_each(p) bpf_percpu_obj_drop_impl(p, NULL)

#define AT(map) \
	u32 key = 0; \
	struct stats *s = map_lookup_elem(&map, &key); \
	if (!s) \
		return 0; \
	struct tally *p

#define FRESH(name, T) \
	SEC("tc") int name(struct __sk_buff *ctx) \
	{ \
		struct T *p = new_each(struct T); \
		if (p) \
			drop_each(p); \
		return 0; \
	}
FRESH(fresh, tally)
FRESH(fresh_pointing_bad, pointing)
FRESH(fresh_noded_bad, noded)
FRESH(fresh_large_bad, large)
FRESH(fresh_largest, largest)
SEC("tc") int fresh_leak_bad(struct __sk_buff *ctx) { return new_each(struct tally) != NULL; }
SEC("tc") int fresh_read_bad(struct __sk_buff *ctx)
{
	struct tally *p = new_each(struct tally);
	if (!p)
		return 0;
	sum = p->n;
	drop_each(p);
	return 0;
}
SEC("tc") int fresh_drop_one_bad(struct __sk_buff *ctx)
{
	struct tally *p = new_each(struct tally);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int one_drop_each_bad(struct __sk_buff *ctx)
{
	struct tally *p = new(struct tally);
	if (p)
		drop_each(p);
	return 0;
}
SEC("tc") int fresh_this_cpu_bad(struct __sk_buff *ctx)
{
	struct tally *p = new_each(struct tally);
	if (!p)
		return 0;
	struct tally *q = this_cpu_ptr(p);
	q->n = 1;
	drop_each(p);
	return 0;
}
SEC("tc") int keep(struct __sk_buff *ctx)
{
	AT(all) = new_each(struct tally);
	if (!p)
		return 0;
	p = kptr_xchg(&s->p, p);
	if (p)
		drop_each(p);
	return 0;
}
SEC("tc") int keep_percpu(struct __sk_buff *ctx)
{
	AT(percpu) = new_each(struct tally);
	if (!p)
		return 0;
	p = kptr_xchg(&s->p, p);
	if (p)
		drop_each(p);
	return 0;
}
SEC("tc") int keep_one_bad(struct __sk_buff *ctx)
{
	AT(all) = new(struct tally);
	if (!p)
		return 0;
	p = kptr_xchg(&s->p, p);
	if (p)
		drop_each(p);
	return 0;
}
SEC("tc") int keep_each_as_one_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct plain_stats *s = map_lookup_elem(&plains, &key);
	if (!s)
		return 0;
	struct tally *p = new_each(struct tally);
	if (!p)
		return 0;
	p = kptr_xchg(&s->p, p);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int keep_drop_one_bad(struct __sk_buff *ctx)
{
	AT(all) = kptr_xchg(&s->p, NULL);
	if (p)
		drop(p);
	return 0;
}
SEC("tc") int count(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	if (!p)
		return 0;
	p = this_cpu_ptr(p);
	p->n++;
	p->sum += ctx->len;
	return 0;
}
SEC("tc") int total(struct __sk_buff *ctx)
{
	AT(hashed) = s->p;
	u64 all = 0;
	if (!p)
		return 0;
	for (int i = 0; i < 4; i++) {
		struct tally *q = per_cpu_ptr(p, i);
		all += q->n;
	}
	return all;
}
SEC("tc") int total_checked(struct __sk_buff *ctx)
{
	AT(hashed) = s->p;
	if (!p)
		return 0;
	p = per_cpu_ptr(p, 1);
	return p ? p->n : 0;
}
SEC("tc") int count_far_bad(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	if (!p)
		return 0;
	p = this_cpu_ptr(p);
	p[1].n++;
	return 0;
}
SEC("tc") int count_null_bad(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	p = this_cpu_ptr(p);
	p->n++;
	return 0;
}
SEC("tc") int count_directly_bad(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	if (p)
		p->n++;
	return 0;
}
SEC("tc") int count_moved_bad(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	if (!p)
		return 0;
	u64 *q = this_cpu_ptr(&p->sum);
	*q = 1;
	return 0;
}
SEC("tc") int count_plain_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct plain_stats *s = map_lookup_elem(&plains, &key);
	if (!s)
		return 0;
	struct tally *p = s->p;
	if (!p)
		return 0;
	p = this_cpu_ptr(p);
	p->n++;
	return 0;
}
SEC("tc") int count_drop_bad(struct __sk_buff *ctx)
{
	AT(all) = s->p;
	if (p)
		drop_each(p);
	return 0;
}
SEC("tc") int count_left_section_bad(struct __sk_buff *ctx)
{
	AT(all);
	bpf_rcu_read_lock();
	p = s->p;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	p = this_cpu_ptr(p);
	p->n++;
	return 0;
}
SEC("tc") int count_after_keep(struct __sk_buff *ctx)
{
	AT(all) = new_each(struct tally), *q;
	if (!p)
		return 0;
	q = kptr_xchg(&s->p, p);
	if (q)
		drop_each(q);
	p = this_cpu_ptr(p);
	p->n = 1;
	return 0;
}
SEC("tc") int drop_after_keep_bad(struct __sk_buff *ctx)
{
	AT(all) = new_each(struct tally), *q;
	if (!p)
		return 0;
	q = kptr_xchg(&s->p, p);
	if (q)
		drop_each(q);
	drop_each(p);
	return 0;
}
SEC("tp_btf/task_newtask") int probe(void *ctx)
{
	AT(all) = s->p;
	if (!p)
		return 0;
	p = this_cpu_ptr(p);
	p->n++;
	return 0;
}
