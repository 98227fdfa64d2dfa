// Functions that are verified by themselves, and static ones; their arguments and what they return.
#include "kernel.h"

struct config { u32 mode, limit; u64 counts[8]; };
struct bpf_map;
MAP(configs, ARRAY, 4, u32, struct config);
struct config shared;
u64 total;

NEVER int add(int a, int b) { barrier(); return a + b + (int)total; }
NEVER int fill(struct config *c, u32 mode)
{
	if (!c)
		return -1;
	c->mode = mode;
	c->counts[mode & 7]++;
	return c->limit;
}
NEVER int fill_unchecked(struct config *c) { return c->mode; }
NEVER int fill_out(struct config *c, u32 i) { return c && i <= 8 ? c->counts[i] : 0; }
NEVER int packet_len(struct __sk_buff *skb) { return skb->len + (int)total; }
NEVER int pull(struct __sk_buff *skb) { return skb_pull_data(skb, 20); }
NEVER u64 wide(u64 v) { return v * 3 + total; }
NEVER int byte(u8 v) { return total ? v : 5; }
NEVER void none(u32 *v) { if (v) *v = 3; }
STATIC int walk(struct config *c, int n) { int s = 0; for (int i = 0; i < 8; i++) s += c->counts[(i + n) & 7]; return s; }
STATIC u64 *slot(struct config *c, u32 i) { return i < 8 ? &c->counts[i] : NULL; }
STATIC int local(u32 *p) { *p += 3; return *p; }
NEVER int deeper(struct __sk_buff *skb, struct config *c) { return c ? add(c->mode, 3) + packet_len(skb) : 0; }

SEC("tc") int numbers(struct __sk_buff *skb) { return add(skb->len, 3) + wide(skb->mark) + byte(skb->hash); }
SEC("tc") int memory_stack(struct __sk_buff *skb)
{
	struct config c = {.limit = 3};
	int n = fill(&c, skb->mark);
	return n + c.counts[3];
}
SEC("tc") int memory_map(struct __sk_buff *skb)
{
	u32 key = 1;
	struct config *c = map_lookup_elem(&configs, &key);
	return fill(c, 3) + fill(&shared, 2);
}
SEC("tc") int memory_null(struct __sk_buff *skb) { return fill(NULL, 3); }
SEC("tc") int memory_short_bad(struct __sk_buff *skb)
{
	u64 c = 3;
	return fill((void *)&c, skb->mark);
}
SEC("tc") int memory_unchecked_bad(struct __sk_buff *skb) { struct config c = {}; return fill_unchecked(&c); }
SEC("tc") int memory_out_bad(struct __sk_buff *skb) { struct config c = {}; return fill_out(&c, skb->len); }
SEC("tc") int context(struct __sk_buff *skb) { return packet_len(skb); }
SEC("tc") int context_bad(struct __sk_buff *skb) { return packet_len((void *)&shared); }
SEC("tc") int number_bad(struct __sk_buff *skb) { return wide((u64)skb); }
SEC("tc") int pulls(struct __sk_buff *skb)
{
	pull(skb);
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	return data + 1 <= end ? *data : 0;
}
SEC("tc") int pulls_bad(struct __sk_buff *skb)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 1 > end)
		return 0;
	pull(skb);
	return *data;
}
SEC("tc") int returns_nothing(struct __sk_buff *skb) { u32 v = 0; none(&v); return v; }
SEC("tc") int static_memory(struct __sk_buff *skb)
{
	u32 key = 1, n = skb->len;
	struct config *c = map_lookup_elem(&configs, &key);
	if (!c)
		return 0;
	u64 *s = slot(c, n);
	if (s)
		*s += 1;
	return walk(c, n) + local(&n);
}
SEC("tc") int static_null_bad(struct __sk_buff *skb)
{
	u32 key = 1, n = skb->len;
	struct config *c = map_lookup_elem(&configs, &key);
	if (!c)
		return 0;
	*slot(c, n) += 1;
	return 0;
}
SEC("tc") int nested(struct __sk_buff *skb) { struct config c = {}; return deeper(skb, &c); }
SEC("xdp") int result_as_index_bad(struct xdp_md *ctx) { return shared.counts[add(1, 2)]; }
SEC("xdp") int result_masked(struct xdp_md *ctx) { return shared.counts[add(1, 2) & 7]; }

NEVER int tagged(struct config *c TAG("arg:nonnull")) { return c->mode; }
SEC("tc") int tagged_nonnull(struct __sk_buff *skb) { return tagged(&shared); }
SEC("tc") int tagged_null_bad(struct __sk_buff *skb)
{
	u32 key = 1;
	return tagged(map_lookup_elem(&configs, &key));
}
NEVER int any_ctx(void *ctx TAG("arg:ctx")) { return ((struct __sk_buff *)ctx)->len; }
SEC("tc") int tagged_ctx(struct __sk_buff *skb) { return any_ctx(skb); }
NEVER int use_dynptr(struct bpf_dynptr *p)
{
	u32 v = 0;
	dynptr_read(&v, 4, p, 0, 0);
	return v;
}
SEC("tc") int pass_dynptr(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	dynptr_from_mem(&shared, sizeof(shared), 0, &p);
	return use_dynptr(&p);
}
NEVER int bounded(int n) { int s = 0; for (int i = 0; i < n && i < 100; i++) s += shared.counts[i & 7]; return s; }
SEC("tc") int loop_in_global(struct __sk_buff *skb) { return bounded(skb->len); }
NEVER int frame400(int n) { u64 a[50]; for (int i = 0; i < 50; i++) a[i] = n + i; barrier(); return a[n & 31]; }
NEVER int frame300(int n) { u64 a[38]; for (int i = 0; i < 38; i++) a[i] = n + i; barrier(); return a[n & 31] + frame400(n); }
SEC("tc") int stack_depth_bad(struct __sk_buff *skb) { return frame300(skb->len); }
SEC("tc") int frame_alone(struct __sk_buff *skb) { return frame400(skb->len); }
