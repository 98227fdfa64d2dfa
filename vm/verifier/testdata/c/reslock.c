// Locks that may not be had: whoever takes one is told so.
#include "objects.h"

struct counter { u64 n; struct bpf_res_spin_lock lock; };
struct plain { u64 n; struct bpf_spin_lock lock; };
struct own { u64 n; struct bpf_res_spin_lock lock; };
MAP(counters, ARRAY, 4, u32, struct counter);
MAP(hashed, HASH, 4, u32, struct counter);
MAP(plains, ARRAY, 4, u32, struct plain);
MAP(percpu, PERCPU_ARRAY, 4, u32, u64);
u64 sum;

KSYM int bpf_res_spin_lock(struct bpf_res_spin_lock *lock);
KSYM void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock);

#define AT(map) \
	u32 key = 0; \
	struct counter *c = map_lookup_elem(&map, &key); \
	if (!c) \
		return 0

#define COUNT(name, section, map) \
	SEC(section) int name(void *ctx) \
	{ \
		AT(map); \
		if (bpf_res_spin_lock(&c->lock)) \
			return 0; \
		c->n++; \
		bpf_res_spin_unlock(&c->lock); \
		return 0; \
	}
COUNT(count, "tc", counters)
COUNT(count_hashed, "tc", hashed)
COUNT(count_probe, "tp_btf/task_newtask", counters)
COUNT(count_point_bad, "tracepoint/sched/sched_switch", counters)
COUNT(count_socket_bad, "socket", counters)
COUNT(count_perf_bad, "perf_event", counters)
SEC("tc") int unchecked_bad(struct __sk_buff *ctx)
{
	AT(counters);
	bpf_res_spin_lock(&c->lock);
	c->n++;
	bpf_res_spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int held_bad(struct __sk_buff *ctx)
{
	AT(counters);
	return bpf_res_spin_lock(&c->lock);
}
SEC("tc") int unheld_bad(struct __sk_buff *ctx)
{
	AT(counters);
	bpf_res_spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int failed_unlock_bad(struct __sk_buff *ctx)
{
	AT(counters);
	if (bpf_res_spin_lock(&c->lock))
		bpf_res_spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int call_bad(struct __sk_buff *ctx)
{
	AT(counters);
	if (bpf_res_spin_lock(&c->lock))
		return 0;
	c->n = ktime_get_ns();
	bpf_res_spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int offset_bad(struct __sk_buff *ctx)
{
	AT(counters);
	if (bpf_res_spin_lock((void *)&c->n))
		return 0;
	bpf_res_spin_unlock((void *)&c->n);
	return 0;
}
SEC("tc") int read_bad(struct __sk_buff *ctx)
{
	AT(counters);
	return *(volatile u32 *)&c->lock;
}
SEC("tc") int null_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct counter *c = map_lookup_elem(&hashed, &key);
	if (bpf_res_spin_lock((void *)c))
		return 0;
	bpf_res_spin_unlock((void *)c);
	return 0;
}
SEC("tc") int plain_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct plain *c = map_lookup_elem(&plains, &key);
	if (!c || bpf_res_spin_lock((void *)&c->lock))
		return 0;
	bpf_res_spin_unlock((void *)&c->lock);
	return 0;
}
SEC("tc") int as_plain_bad(struct __sk_buff *ctx)
{
	AT(counters);
	spin_lock(&c->lock);
	spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int other_unlock_bad(struct __sk_buff *ctx)
{
	AT(counters);
	u32 key2 = 1;
	struct counter *d = map_lookup_elem(&counters, &key2);
	if (!d || bpf_res_spin_lock(&c->lock))
		return 0;
	bpf_res_spin_unlock(&d->lock);
	return 0;
}
SEC("tc") int plain_unlock_bad(struct __sk_buff *ctx)
{
	AT(counters);
	if (bpf_res_spin_lock(&c->lock))
		return 0;
	spin_unlock(&c->lock);
	return 0;
}
SEC("tc") int errors(struct __sk_buff *ctx)
{
	AT(counters);
	u32 a[4] = {}, e = bpf_res_spin_lock(&c->lock);
	if (!e) {
		bpf_res_spin_unlock(&c->lock);
		return 0;
	}
	return (int)e < -4095 ? *(volatile u32 *)0 : 0;
}
SEC("tc") int in_object(struct __sk_buff *ctx)
{
	struct own *o = new(struct own);
	if (!o)
		return 0;
	if (!bpf_res_spin_lock(&o->lock)) {
		o->n = 1;
		bpf_res_spin_unlock(&o->lock);
	}
	drop(o);
	return 0;
}
SEC("tc") int on_stack_bad(struct __sk_buff *ctx)
{
	struct bpf_res_spin_lock lock = {};
	return bpf_res_spin_lock(&lock);
}
