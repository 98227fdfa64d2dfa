// Dynptrs: over values of maps, records of ring buffers and packets, what is taken of them, and what must be given back.
#include "kernel.h"

struct event { u32 pid, len; u8 data[56]; };
RING(ring, 65536);
MAP(values, ARRAY, 1, u32, struct event);
struct { NUMBER(type, USER_RINGBUF); NUMBER(max_entries, 65536); } commands SEC(".maps");
u32 size = 40;
u64 total;

KSYM int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr);
KSYM int bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *ptr);
KSYM void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 size);
KSYM void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 size);
KSYM u32 bpf_dynptr_size(const struct bpf_dynptr *ptr);
KSYM int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, u32 start, u32 end);
KSYM int bpf_dynptr_clone(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone);
KSYM bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr);
KSYM bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr);

SEC("tc") int reserve(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 len = size & 63;
	if (ringbuf_reserve_dynptr(&ring, 8 + len, 0, &p)) {
		ringbuf_discard_dynptr(&p, 0);
		return 0;
	}
	u64 now = ktime_get_ns();
	dynptr_write(&p, 0, &now, 8, 0);
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_leak_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	if (ringbuf_reserve_dynptr(&ring, 8, 0, &p))
		return 0;
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_twice_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	ringbuf_submit_dynptr(&p, 0);
	ringbuf_discard_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_data(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, sizeof(struct event), 0, &p);
	struct event *e = dynptr_data(&p, 0, sizeof(*e));
	if (e)
		e->pid = 3;
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_data_after_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, sizeof(struct event), 0, &p);
	struct event *e = dynptr_data(&p, 0, sizeof(*e));
	if (!e) {
		ringbuf_discard_dynptr(&p, 0);
		return 0;
	}
	ringbuf_submit_dynptr(&p, 0);
	e->pid = 3;
	return 0;
}
SEC("tc") int reserve_data_wide_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, sizeof(struct event), 0, &p);
	struct event *e = dynptr_data(&p, 0, 8);
	if (e)
		e->data[0] = 3;
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_data_null_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, sizeof(struct event), 0, &p);
	struct event *e = dynptr_data(&p, 0, sizeof(*e));
	e->pid = 3;
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int reserve_overwritten_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	ringbuf_reserve_dynptr(&ring, sizeof(struct event), 0, &p);
	*(volatile u64 *)&p = 0;
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int read_opaque_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 key = 0;
	void *v = map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	dynptr_from_mem(v, sizeof(struct event), 0, &p);
	return *(volatile u64 *)&p;
}
SEC("tc") int from_value(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 key = 0, x = 0;
	void *v = map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	if (dynptr_from_mem(v, sizeof(struct event), 0, &p))
		return 0;
	dynptr_read(&x, 4, &p, size, 0);
	x++;
	dynptr_write(&p, size, &x, 4, 0);
	return x;
}
SEC("tc") int from_stack_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u64 v[2] = {};
	dynptr_from_mem(v, sizeof(v), 0, &p);
	return 0;
}
SEC("tc") int from_value_wide_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 key = 0;
	void *v = map_lookup_elem(&values, &key);
	if (v)
		dynptr_from_mem(v, sizeof(struct event) + 1, 0, &p);
	return 0;
}
SEC("tc") int uninitialized_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 x;
	dynptr_read(&x, 4, &p, 0, 0);
	return x;
}
SEC("tc") int wrong_kind_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	dynptr_from_mem(&total, 8, 0, &p);
	ringbuf_submit_dynptr(&p, 0);
	return 0;
}
SEC("tc") int again(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	dynptr_from_mem(&total, 8, 0, &p);
	dynptr_from_mem(&size, 4, 0, &p);
	return bpf_dynptr_size(&p);
}
SEC("tc") int overwritten_slice_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	dynptr_from_mem(&total, 8, 0, &p);
	u64 *v = dynptr_data(&p, 0, 8);
	if (!v)
		return 0;
	dynptr_from_mem(&size, 4, 0, &p);
	return *v;
}

SEC("tc") int packet(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct ethhdr buf, *eth;
	struct iphdr ipbuf, *ip;
	if (bpf_dynptr_from_skb(skb, 0, &p))
		return 0;
	eth = bpf_dynptr_slice(&p, 0, &buf, sizeof(buf));
	if (!eth)
		return 2;
	if (eth->h_proto != htons(0x0800))
		return 0;
	ip = bpf_dynptr_slice_rdwr(&p, sizeof(*eth), &ipbuf, sizeof(ipbuf));
	if (!ip)
		return 2;
	ip->ttl--;
	if (ip == &ipbuf)
		dynptr_write(&p, sizeof(*eth), ip, sizeof(*ip), 0);
	return 0;
}
SEC("tc") int packet_no_buffer(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	bpf_dynptr_from_skb(skb, 0, &p);
	struct ethhdr *eth = bpf_dynptr_slice(&p, 0, NULL, sizeof(*eth));
	return eth ? eth->h_proto : 0;
}
SEC("tc") int packet_null_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	bpf_dynptr_from_skb(skb, 0, &p);
	struct ethhdr *eth = bpf_dynptr_slice(&p, 0, NULL, sizeof(*eth));
	return eth->h_proto;
}
SEC("tc") int packet_write_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct ethhdr buf;
	bpf_dynptr_from_skb(skb, 0, &p);
	struct ethhdr *eth = bpf_dynptr_slice(&p, 0, &buf, sizeof(buf));
	if (eth)
		eth->h_proto = 3;
	return 0;
}
SEC("tc") int packet_variable_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u8 buf[16];
	bpf_dynptr_from_skb(skb, 0, &p);
	u8 *b = bpf_dynptr_slice(&p, 0, buf, size & 15);
	return b ? b[0] : 0;
}
SEC("tc") int packet_moved_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct ethhdr buf;
	bpf_dynptr_from_skb(skb, 0, &p);
	struct ethhdr *eth = bpf_dynptr_slice(&p, 0, &buf, sizeof(buf));
	if (!eth)
		return 0;
	skb_pull_data(skb, 40);
	return eth->h_proto;
}
SEC("tc") int packet_write_moves_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct ethhdr buf;
	u32 x = 3;
	bpf_dynptr_from_skb(skb, 0, &p);
	struct ethhdr *eth = bpf_dynptr_slice(&p, 0, &buf, sizeof(buf));
	if (!eth)
		return 0;
	dynptr_write(&p, 0, &x, 4, 0);
	return eth->h_proto;
}
SEC("cgroup_skb/egress") int packet_read_only(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct iphdr buf;
	if (bpf_dynptr_from_skb(skb, 0, &p))
		return 1;
	struct iphdr *ip = bpf_dynptr_slice(&p, 0, &buf, sizeof(buf));
	return ip && ip->ttl == 1 ? 0 : 1;
}
SEC("cgroup_skb/egress") int packet_read_only_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	struct iphdr buf;
	if (bpf_dynptr_from_skb(skb, 0, &p))
		return 1;
	struct iphdr *ip = bpf_dynptr_slice_rdwr(&p, 0, &buf, sizeof(buf));
	return ip && ip->ttl == 1 ? 0 : 1;
}
SEC("xdp") int frame(struct xdp_md *ctx)
{
	struct bpf_dynptr p, q;
	u8 buf[64];
	if (bpf_dynptr_from_xdp(ctx, 0, &p))
		return 1;
	if (bpf_dynptr_clone(&p, &q) || bpf_dynptr_adjust(&q, 14, bpf_dynptr_size(&p)))
		return 1;
	u8 *b = bpf_dynptr_slice_rdwr(&q, 0, buf, sizeof(buf));
	if (!b)
		return 1;
	for (int i = 0; i < 64; i++)
		total += b[i];
	return bpf_dynptr_is_null(&q) || bpf_dynptr_is_rdonly(&q) ? 1 : 2;
}
SEC("xdp") int frame_skb_bad(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	return bpf_dynptr_from_skb((void *)ctx, 0, &p);
}
SEC("tc") int cloned(struct __sk_buff *skb)
{
	struct bpf_dynptr p, q;
	ringbuf_reserve_dynptr(&ring, 64, 0, &p);
	bpf_dynptr_clone(&p, &q);
	ringbuf_submit_dynptr(&q, 0);
	return 0;
}
SEC("tc") int cloned_after_bad(struct __sk_buff *skb)
{
	struct bpf_dynptr p, q;
	u32 x = 0;
	ringbuf_reserve_dynptr(&ring, 64, 0, &p);
	bpf_dynptr_clone(&p, &q);
	ringbuf_submit_dynptr(&q, 0);
	dynptr_write(&p, 0, &x, 4, 0);
	return 0;
}
static long drained(struct bpf_dynptr *p, void *ctx)
{
	u32 x = 0;
	if (dynptr_read(&x, 4, p, 0, 0))
		return 1;
	*(u64 *)ctx += x;
	return 0;
}
static long drained_bad(struct bpf_dynptr *p, void *ctx)
{
	u32 *x = dynptr_data(p, 0, 4);
	return *x;
}
SEC("tc") int drain(struct __sk_buff *skb)
{
	u64 sum = 0;
	user_ringbuf_drain(&commands, drained, &sum, 0);
	return sum;
}
SEC("tc") int drain_bad(struct __sk_buff *skb) { return user_ringbuf_drain(&commands, drained_bad, NULL, 0); }
SEC("tc") int in_loop(struct __sk_buff *skb)
{
	for (int i = 0; i < 4; i++) {
		struct bpf_dynptr p;
		if (ringbuf_reserve_dynptr(&ring, 16 + i, 0, &p)) {
			ringbuf_discard_dynptr(&p, 0);
			continue;
		}
		dynptr_write(&p, 0, &i, 4, 0);
		ringbuf_submit_dynptr(&p, 0);
	}
	return 0;
}
