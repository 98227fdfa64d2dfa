// Timers, callbacks of loops and of maps' elements, and formats.
#include "kernel.h"

struct elem { u64 hits; struct bpf_timer timer; };
struct late { struct bpf_timer timer; struct bpf_spin_lock lock; u32 n; };
MAP(elems, HASH, 64, u32, struct elem);
MAP(others, ARRAY, 4, u32, struct elem);
MAP(plain, ARRAY, 4, u32, u64);
u64 fired;
u32 rounds = 10;
u8 bytes[64];

static int expire(void *map, u32 *key, struct elem *e)
{
	fired++;
	e->hits += *key;
	if (e->hits < 100)
		timer_start(&e->timer, 1000000, 0);
	return 0;
}
static int expire_returns(void *map, u32 *key, struct elem *e) { return e->hits; }
static int expire_wide(void *map, u32 *key, struct elem *e) { return *(u64 *)((void *)e + 24) != 0 && fired ? 0 : 0; }
static int expire_deletes(void *map, u32 *key, struct elem *e) { map_delete_elem(map, key); return 0; }

SEC("tc") int arm(struct __sk_buff *skb)
{
	u32 key = skb->ifindex;
	struct elem *e = map_lookup_elem(&elems, &key), fresh = {};
	if (!e) {
		map_update_elem(&elems, &key, &fresh, 1);
		e = map_lookup_elem(&elems, &key);
		if (!e)
			return 0;
	}
	if (timer_init(&e->timer, &elems, 1))
		return 0;
	timer_set_callback(&e->timer, expire);
	timer_start(&e->timer, 1000000000, 0);
	return 0;
}
SEC("tc") int arm_deletes(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_set_callback(&e->timer, expire_deletes);
	return 0;
}
SEC("tc") int arm_returns_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_set_callback(&e->timer, expire_returns);
	return 0;
}
SEC("tc") int arm_wide_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_set_callback(&e->timer, expire_wide);
	return 0;
}
SEC("tc") int arm_other_map_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_init(&e->timer, &others, 1);
	return 0;
}
SEC("tc") int arm_offset_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_cancel((void *)&e->hits);
	return 0;
}
SEC("tc") int arm_null_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	timer_cancel(&e->timer);
	return 0;
}
SEC("tc") int touch_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	return e ? e->timer.opaque[0] : 0;
}
SEC("tracepoint/sched/sched_switch") int trace_bad(void *ctx)
{
	u32 key = 1;
	struct elem *e = map_lookup_elem(&elems, &key);
	if (e)
		timer_cancel(&e->timer);
	return 0;
}

struct sum { u64 total; u32 max; };
static int each_round(u32 i, struct sum *s) { s->total += i; if (i < 64) s->total += bytes[i]; return s->total > 1000; }
static int each_round_wide(u32 i, struct sum *s) { s->total += bytes[i]; return 0; }
static int each_round_returns(u32 i, struct sum *s) { return 2; }
static long each_elem(void *map, u32 *key, u64 *value, struct sum *s) { s->total += *value; *value = *key; return s->total > s->max; }
static long each_elem_key(void *map, u32 *key, u64 *value, struct sum *s) { *key = 3; return 0; }
SEC("xdp") int looped(struct xdp_md *ctx)
{
	struct sum s = {};
	loop(rounds, each_round, &s, 0);
	return s.total & 1 ? 1 : 2;
}
SEC("xdp") int looped_wide_bad(struct xdp_md *ctx) { struct sum s = {}; loop(64, each_round_wide, &s, 0); return 1; }
SEC("xdp") int looped_returns_bad(struct xdp_md *ctx) { struct sum s = {}; loop(64, each_round_returns, &s, 0); return 1; }
SEC("xdp") int looped_ctx_bad(struct xdp_md *ctx) { loop(64, each_round, NULL, 0); return 1; }
SEC("xdp") int elements(struct xdp_md *ctx)
{
	struct sum s = {.max = 100};
	for_each_map_elem(&plain, each_elem, &s, 0);
	return s.total ? 1 : 2;
}
SEC("xdp") int elements_key_bad(struct xdp_md *ctx) { struct sum s = {}; for_each_map_elem(&plain, each_elem_key, &s, 0); return 1; }
static int outer_round(u32 i, struct sum *s) { loop(5, each_round, s, 0); return 0; }
SEC("xdp") int nested_loops(struct xdp_md *ctx) { struct sum s = {}; loop(5, outer_round, &s, 0); return s.total & 3; }

SEC("tc") int formats(struct __sk_buff *skb)
{
	char text[64];
	u64 args[3] = {1, 2, (u64)"three"};
	static const char fmt[] = "%d %llx %s\n";
	return snprintf(text, sizeof(text), fmt, args, sizeof(args));
}
SEC("tc") int formats_few_bad(struct __sk_buff *skb)
{
	char text[64];
	u64 args[2] = {1, 2};
	static const char fmt[] = "%d %d %d";
	return snprintf(text, sizeof(text), fmt, args, sizeof(args));
}
SEC("tc") int formats_many(struct __sk_buff *skb)
{
	char text[64];
	u64 args[2] = {1, 2};
	static const char fmt[] = "%d";
	return snprintf(text, sizeof(text), fmt, args, sizeof(args));
}
SEC("tc") int formats_unknown_bad(struct __sk_buff *skb)
{
	char text[64];
	u64 args[1] = {1};
	static const char fmt[] = "%f";
	return snprintf(text, sizeof(text), fmt, args, sizeof(args));
}
SEC("tc") int compare(struct __sk_buff *skb)
{
	static const char want[] = "eth0";
	char text[16] = {};
	get_current_comm(text, sizeof(text));
	return strncmp(text, sizeof(text), want);
}
SEC("tc") int print(struct __sk_buff *skb)
{
	static const char fmt[] = "%d %d";
	u64 args[4] = {1, 2, 3, 4};
	trace_printk(fmt, sizeof(fmt), 1, 2);
	return trace_vprintk(fmt, sizeof(fmt), args, 16);
}
