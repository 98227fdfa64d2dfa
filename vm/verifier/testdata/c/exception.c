// Exceptions: a program ends at once, wherever it is.
#include "objects.h"

struct item { u64 n; };
struct bpf_map_value { u32 n; struct bpf_spin_lock lock; };
MAP(values, ARRAY, 4, u32, struct bpf_map_value);
u64 sum;

KSYM void bpf_throw(u64 cookie);
KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
KSYM void bpf_preempt_disable(void);
KSYM void bpf_preempt_enable(void);

STATIC int throws(u64 n)
{
	if (n > 10)
		bpf_throw(n);
	return n;
}
NEVER int throws_globally(u64 n)
{
	if (n > 10)
		bpf_throw(n);
	return n + 1;
}
NEVER int throws_deep(u64 n) { return throws_globally(n) + throws(n); }
NEVER int throws_holding_bad_one(u64 n)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	throws(n);
	drop(i);
	return 0;
}
static int each(u32 i, void *ctx) { if (i > 3) bpf_throw(0); return 0; }

SEC("tc") int always(struct __sk_buff *ctx) { bpf_throw(0); return 0; }
SEC("tc") int sometimes(struct __sk_buff *ctx)
{
	if (ctx->len > 100)
		bpf_throw(ctx->len);
	return 0;
}
SEC("tc") int in_function(struct __sk_buff *ctx) { return throws(ctx->len); }
SEC("tc") int in_global(struct __sk_buff *ctx) { return throws_globally(ctx->len); }
SEC("tc") int in_deep(struct __sk_buff *ctx) { return throws_deep(ctx->len); }
SEC("tc") int in_loop_bad(struct __sk_buff *ctx) { loop(10, each, NULL, 0); return 0; }
SEC("tc") int while_holding_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	if (ctx->len > 100)
		bpf_throw(0);
	drop(i);
	return 0;
}
SEC("tc") int after_release(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	drop(i);
	if (ctx->len > 100)
		bpf_throw(0);
	return 0;
}
SEC("tc") int in_function_while_holding_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	throws(ctx->len);
	drop(i);
	return 0;
}
SEC("tc") int in_function_never_while_holding(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	throws(ctx->len & 7);
	drop(i);
	return 0;
}
SEC("tc") int in_global_while_holding(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	throws_globally(ctx->len);
	drop(i);
	return 0;
}
SEC("tc") int global_holds_bad(struct __sk_buff *ctx) { return throws_holding_bad_one(ctx->len); }
SEC("tc") int in_loop_while_holding_bad(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	loop(10, each, NULL, 0);
	drop(i);
	return 0;
}
SEC("tc") int locked_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct bpf_map_value *v = map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	spin_lock(&v->lock);
	bpf_throw(0);
	spin_unlock(&v->lock);
	return 0;
}
SEC("tc") int in_function_locked_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	struct bpf_map_value *v = map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	spin_lock(&v->lock);
	v->n = throws(v->n);
	spin_unlock(&v->lock);
	return 0;
}
SEC("tc") int in_section_bad(struct __sk_buff *ctx)
{
	bpf_rcu_read_lock();
	bpf_throw(0);
	bpf_rcu_read_unlock();
	return 0;
}
SEC("tc") int in_function_in_section_bad(struct __sk_buff *ctx)
{
	bpf_rcu_read_lock();
	throws(ctx->len);
	bpf_rcu_read_unlock();
	return 0;
}
SEC("tc") int in_global_in_section(struct __sk_buff *ctx)
{
	bpf_rcu_read_lock();
	throws_globally(ctx->len);
	bpf_rcu_read_unlock();
	return 0;
}
SEC("tc") int without_preemption_bad(struct __sk_buff *ctx)
{
	bpf_preempt_disable();
	bpf_throw(0);
	bpf_preempt_enable();
	return 0;
}
SEC("tc") int pointer_bad(struct __sk_buff *ctx) { bpf_throw((u64)ctx); return 0; }
SEC("cgroup_skb/ingress") int within_range(struct __sk_buff *ctx) { bpf_throw(ctx->len & 1); return 0; }
SEC("cgroup_skb/ingress") int outside_range_bad(struct __sk_buff *ctx) { bpf_throw(ctx->len); return 0; }
SEC("cgroup_skb/ingress") int outside_range_in_function_bad(struct __sk_buff *ctx) { return throws(ctx->len) & 1; }
SEC("socket") int other_type_bad(struct __sk_buff *ctx) { bpf_throw(0); return 0; }
SEC("xdp") int in_xdp(struct xdp_md *ctx) { bpf_throw(2); return 0; }
SEC("tp_btf/task_newtask") int probe(void *ctx) { bpf_throw(0); return 0; }
SEC("tp_btf/task_newtask") int probe_returns(void *ctx) { bpf_throw(1); return 0; }
SEC("iter/task") int in_iter(void *ctx) { bpf_throw(1); return 0; }
SEC("iter/task") int iter_range_bad(void *ctx) { bpf_throw(2); return 0; }
SEC("syscall") int in_call(void *ctx) { bpf_throw(-1); return 0; }
SEC("tc") int last(struct __sk_buff *ctx)
{
	for (u32 i = 0; i < 100; i++) {
		sum += i;
		if (sum > 1000)
			bpf_throw(i);
	}
	return 0;
}
SEC("cgroup_skb/ingress") int range_of_global(struct __sk_buff *ctx) { return throws_globally(ctx->len) & 1; }
SEC("tc") int in_deep_while_holding(struct __sk_buff *ctx)
{
	struct item *i = new(struct item);
	if (!i)
		return 0;
	throws_deep(ctx->len);
	drop(i);
	return 0;
}
static int each_globally(u32 i, void *ctx) { throws_globally(i); return 0; }
SEC("tc") int in_loop_globally_bad(struct __sk_buff *ctx) { loop(10, each_globally, NULL, 0); return 0; }
