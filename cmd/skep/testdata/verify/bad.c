// Programs with one mistake each.
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(x) __attribute__((section(x), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static void *(*bpf_ringbuf_reserve)(void *, u64, u64) = (void *)131;
static void (*bpf_ringbuf_submit)(void *, u64) = (void *)132;
struct value { u32 hits; u8 data[60]; };
struct { __uint(type, 1); __uint(max_entries, 64); __type(key, u32); __type(value, struct value); } counts SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");
struct xdp_md { u32 data, data_end, data_meta, a, b, c; };

SEC("xdp") int null_check(struct xdp_md *ctx)
{
	u32 key = bpf_get_prandom_u32();
	struct value *v = bpf_map_lookup_elem(&counts, &key);
	v->hits++;
	return 2;
}

SEC("xdp") int bounds(struct xdp_md *ctx)
{
	u32 key = 1;
	struct value *v = bpf_map_lookup_elem(&counts, &key);
	if (!v)
		return 0;
	u32 i = v->hits;
	if (i > 60)
		return 0;
	return v->data[i];
}

SEC("xdp") int packet(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	if (data + 14 > end)
		return 1;
	if (data[12] == 8 && data[23] == 6)
		return 2;
	return 1;
}

SEC("xdp") int leak(struct xdp_md *ctx)
{
	u64 *r = bpf_ringbuf_reserve(&ring, 8, 0);
	if (!r)
		return 0;
	*r = 7;
	if (bpf_get_prandom_u32() == 1)
		return 1;
	bpf_ringbuf_submit(r, 0);
	return 0;
}

SEC("xdp") int heavy(struct xdp_md *ctx)
{
	u32 n = bpf_get_prandom_u32();
	u32 sum = 0;
	for (u32 i = 0; i < n; i++) {
		u32 key = i;
		struct value *v = bpf_map_lookup_elem(&counts, &key);
		if (v)
			sum += v->hits;
		if (sum == i)
			break;
	}
	return sum;
}
char _license[] SEC("license") = "GPL";
