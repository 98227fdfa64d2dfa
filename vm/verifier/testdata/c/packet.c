// Programs that read packets: headers behind each other, loops over extensions, and what is forgotten of the packet by helpers.
#include "kernel.h"

struct flow { u32 saddr, daddr; u16 sport, dport; u8 proto, pad[3]; };
struct stats { u64 packets, bytes; };
struct backend { u32 addr; u16 port, weight; u8 mac[6], pad[2]; };

MAP(flows, LRU_HASH, 1024, struct flow, struct stats);
MAP(counters, PERCPU_ARRAY, 256, u32, struct stats);
MAP(backends, ARRAY, 16, u32, struct backend);
MAP(devices, DEVMAP, 8, u32, u32);
MAP(cpus, CPUMAP, 8, u32, u32);
MAP(sockets, XSKMAP, 8, u32, u32);
MAP(programs, PROG_ARRAY, 8, u32, u32);
struct { NUMBER(type, LPM_TRIE); NUMBER(max_entries, 64); NUMBER(map_flags, 1); TYPE(key, struct { u32 bits; u32 addr; }); TYPE(value, u64); } routes SEC(".maps");

u64 dropped;
u32 limit = 100;
const volatile u32 table_size = 8;
u32 table[16];

#define ETH() \
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
	struct ethhdr *eth = data

ALWAYS int count(u32 key, u64 bytes)
{
	struct stats *s = map_lookup_elem(&counters, &key);
	if (!s)
		return -1;
	s->packets++;
	s->bytes += bytes;
	return 0;
}

SEC("xdp") int parse_ip4(struct xdp_md *ctx)
{
	ETH();
	if (data + sizeof(*eth) > end)
		return 1;
	if (eth->h_proto != htons(0x0800))
		return 2;
	struct iphdr *ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > end)
		return 1;
	u32 len = ip->ihl * 4;
	if (len < 20)
		return 1;
	struct tcphdr *tcp = (void *)ip + len;
	if ((void *)(tcp + 1) > end)
		return 1;
	struct flow f = {.saddr = ip->saddr, .daddr = ip->daddr, .sport = tcp->source, .dport = tcp->dest, .proto = ip->protocol};
	struct stats *s = map_lookup_elem(&flows, &f);
	if (s) {
		__sync_fetch_and_add(&s->packets, 1);
		__sync_fetch_and_add(&s->bytes, end - data);
	} else {
		struct stats fresh = {1, end - data};
		map_update_elem(&flows, &f, &fresh, 1);
	}
	return 2;
}

SEC("xdp") int parse_ip4_bad(struct xdp_md *ctx)
{
	ETH();
	struct iphdr *ip = data + sizeof(*eth);
	if ((void *)ip > end)
		return 1;
	return ip->protocol == 6 ? 1 : 2;
}

SEC("xdp") int parse_options_bad(struct xdp_md *ctx)
{
	ETH();
	struct iphdr *ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > end)
		return 1;
	struct tcphdr *tcp = (void *)ip + ip->ihl * 4;
	return tcp->dest == htons(80) ? 1 : 2;
}

SEC("xdp") int vlans(struct xdp_md *ctx)
{
	ETH();
	if ((void *)(eth + 1) > end)
		return 1;
	u16 proto = eth->h_proto;
	void *next = eth + 1;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (proto != htons(0x8100) && proto != htons(0x88a8))
			break;
		struct vlanhdr *v = next;
		if ((void *)(v + 1) > end)
			return 1;
		proto = v->proto;
		next = v + 1;
	}
	if (proto == htons(0x86dd)) {
		struct ip6hdr *ip = next;
		if ((void *)(ip + 1) > end)
			return 1;
		count(ip->nexthdr, end - data);
	}
	return 2;
}

SEC("xdp") int vlan_loop(struct xdp_md *ctx)
{
	ETH();
	if ((void *)(eth + 1) > end)
		return 1;
	u16 proto = eth->h_proto;
	u32 off = sizeof(*eth);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 5; i++) {
		struct vlanhdr *v = data + off;
		if (proto != htons(0x8100))
			break;
		if ((void *)(v + 1) > end)
			return 1;
		proto = v->proto;
		off += sizeof(*v);
	}
	return proto == htons(0x0800) ? 2 : 1;
}

SEC("xdp") int extensions(struct xdp_md *ctx)
{
	ETH();
	struct ip6hdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return 1;
	u8 next = ip->nexthdr;
	void *at = ip + 1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 6; i++) {
		struct ip6ext *x = at;
		switch (next) {
		case 0: case 43: case 60:
			if ((void *)(x + 1) > end)
				return 1;
			next = x->nexthdr;
			at += (x->hdrlen + 1) * 8;
			break;
		case 44:
			if (at + 8 > end)
				return 1;
			next = x->nexthdr;
			at += 8;
			break;
		case 6: {
			struct tcphdr *tcp = at;
			if ((void *)(tcp + 1) > end)
				return 1;
			return tcp->dest == htons(22) ? 1 : 2;
		}
		default:
			return 2;
		}
	}
	return 1;
}

SEC("xdp") int extensions_bad(struct xdp_md *ctx)
{
	ETH();
	struct ip6hdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return 1;
	u8 next = ip->nexthdr;
	void *at = ip + 1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 6; i++) {
		struct ip6ext *x = at;
		if (next != 0 && next != 43)
			break;
		if ((void *)x > end)
			return 1;
		next = x->nexthdr;
		at += (x->hdrlen + 1) * 8;
	}
	return next;
}

SEC("xdp") int adjusted(struct xdp_md *ctx)
{
	if (xdp_adjust_head(ctx, -20))
		return 1;
	ETH();
	if ((void *)(eth + 1) > end)
		return 1;
	__builtin_memset(eth->h_dest, 0xff, 6);
	return 3;
}

SEC("xdp") int adjusted_bad(struct xdp_md *ctx)
{
	ETH();
	if ((void *)(eth + 1) > end)
		return 1;
	if (xdp_adjust_head(ctx, -20))
		return 1;
	eth->h_dest[0] = 1;
	return 3;
}

SEC("xdp") int meta(struct xdp_md *ctx)
{
	if (xdp_adjust_meta(ctx, -8))
		return 2;
	u32 *m = (void *)(long)ctx->data_meta;
	if ((void *)(m + 2) > (void *)(long)ctx->data)
		return 1;
	m[0] = 7;
	m[1] = ctx->rx_queue_index;
	return 2;
}

SEC("xdp") int meta_bad(struct xdp_md *ctx)
{
	if (xdp_adjust_meta(ctx, -8))
		return 2;
	u32 *m = (void *)(long)ctx->data_meta;
	if ((void *)(m + 1) > (void *)(long)ctx->data)
		return 1;
	m[0] = 7;
	m[1] = ctx->rx_queue_index;
	return 2;
}

ALWAYS u16 fold(u64 sum)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp") int balance(struct xdp_md *ctx)
{
	ETH();
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end || ip->protocol != 17)
		return 2;
	u32 key = (ip->saddr ^ udp->source) % 16;
	struct backend *b = map_lookup_elem(&backends, &key);
	if (!b)
		return 1;
	ip->daddr = b->addr;
	udp->dest = b->port;
	__builtin_memcpy(eth->h_dest, b->mac, 6);
	ip->check = 0;
	ip->check = fold(csum_diff(0, 0, (void *)ip, sizeof(*ip), 0));
	return 3;
}

SEC("xdp") int balance_bad(struct xdp_md *ctx)
{
	ETH();
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end || ip->protocol != 17)
		return 2;
	u32 key = (ip->saddr ^ udp->source) % 16;
	struct backend *b = map_lookup_elem(&backends, &key);
	ip->daddr = b->addr;
	return 3;
}

SEC("xdp") int checksum(struct xdp_md *ctx)
{
	ETH();
	u64 sum = 0;
	u16 *word = data;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 64; i++) {
		if ((void *)(word + 1) > end)
			break;
		sum += *word++;
	}
	return fold(sum) & 1 ? 1 : 2;
}

SEC("xdp") int payload_at(struct xdp_md *ctx)
{
	ETH();
	u32 off = limit & 0xff;
	u8 *p = data + off;
	if ((void *)(p + 4) > end)
		return 1;
	return p[3] == 'G' ? 1 : 2;
}

SEC("xdp") int payload_at_bad(struct xdp_md *ctx)
{
	ETH();
	u32 off = limit;
	u8 *p = data + off;
	if ((void *)(p + 4) > end)
		return 1;
	return p[3] == 'G' ? 1 : 2;
}

SEC("xdp") int to_device(struct xdp_md *ctx) { return redirect_map(&devices, ctx->ingress_ifindex & 7, 0); }
SEC("xdp") int to_cpu(struct xdp_md *ctx) { return redirect_map(&cpus, limit & 7, 0); }
SEC("xdp") int to_socket(struct xdp_md *ctx)
{
	u32 key = ctx->rx_queue_index;
	if (map_lookup_elem(&sockets, &key))
		return redirect_map(&sockets, key, 2);
	return 2;
}

SEC("xdp") int tail(struct xdp_md *ctx)
{
	tail_call(ctx, &programs, limit);
	dropped++;
	return 1;
}

SEC("xdp") int variable_table(struct xdp_md *ctx)
{
	u32 i = get_prandom_u32();
	if (i < 16)
		table[i]++;
	return 2;
}

SEC("xdp") int variable_table_bad(struct xdp_md *ctx)
{
	u32 i = get_prandom_u32();
	if (i <= 16)
		table[i]++;
	return 2;
}

SEC("xdp") int route(struct xdp_md *ctx)
{
	ETH();
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return 1;
	struct { u32 bits; u32 addr; } key = {32, ip->daddr};
	u64 *hits = map_lookup_elem(&routes, &key);
	if (hits)
		__sync_fetch_and_add(hits, 1);
	struct bpf_fib_lookup params = {.family = 2, .tot_len = htons(ip->tot_len), .ifindex = ctx->ingress_ifindex};
	params.src[0] = ip->saddr;
	params.dst[0] = ip->daddr;
	long rc = fib_lookup(ctx, &params, sizeof(params), 0);
	if (rc == 0) {
		__builtin_memcpy(eth->h_dest, params.dmac, 6);
		__builtin_memcpy(eth->h_source, params.smac, 6);
		return redirect(params.ifindex, 0);
	}
	return 2;
}

SEC("xdp") int to_ring(struct xdp_md *ctx);
RING(events, 65536);
struct sample { u32 len; u8 bytes[60]; };

SEC("xdp") int to_ring(struct xdp_md *ctx)
{
	ETH();
	struct sample *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 2;
	e->len = end - data;
	u8 *p = data;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 60; i++) {
		if (p + i + 1 > (u8 *)end)
			break;
		e->bytes[i] = p[i];
	}
	ringbuf_submit(e, 0);
	return 2;
}

SEC("xdp") int to_ring_leak_bad(struct xdp_md *ctx)
{
	ETH();
	struct sample *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 2;
	if ((void *)(eth + 1) > end)
		return 1;
	e->len = eth->h_proto;
	ringbuf_submit(e, 0);
	return 2;
}

SEC("xdp") int to_ring_after_bad(struct xdp_md *ctx)
{
	struct sample *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 2;
	ringbuf_submit(e, 0);
	e->len = 1;
	return 2;
}

SEC("xdp") int to_ring_unchecked_bad(struct xdp_md *ctx)
{
	struct sample *e = ringbuf_reserve(&events, sizeof(*e), 0);
	e->len = 1;
	ringbuf_submit(e, 0);
	return 2;
}

SEC("xdp") int lookup_packet_key(struct xdp_md *ctx)
{
	ETH();
	if (data + 40 > end)
		return 1;
	struct stats *s = map_lookup_elem(&flows, data + 14);
	return s ? 2 : 1;
}

SEC("xdp") int lookup_packet_key_bad(struct xdp_md *ctx)
{
	ETH();
	if (data + 29 > end)
		return 1;
	struct stats *s = map_lookup_elem(&flows, data + 14);
	return s ? 2 : 1;
}

SEC("xdp") int read_only_data(struct xdp_md *ctx)
{
	u32 n = table_size, sum = 0;
	for (u32 i = 0; i < n; i++)
		sum += table[i & 15];
	return sum ? 1 : 2;
}

SEC("xdp") int big_switch(struct xdp_md *ctx)
{
	ETH();
	if ((void *)(eth + 1) > end)
		return 1;
	switch (eth->h_proto) {
	case 1: return count(1, 10);
	case 2: return count(2, 20) + 1;
	case 3: return count(3, 30) + 2;
	case 4: dropped++; return 1;
	case 5: table[5]++; return 1;
	case 6: table[eth->h_dest[0] & 15]++; return 2;
	case 7: table[eth->h_dest[1] & 7]++; return 3;
	case 8: tail_call(ctx, &programs, 8); return 2;
	case 9: tail_call(ctx, &programs, 9); return 1;
	case 10: return redirect(1, 0);
	}
	return 2;
}

SEC("xdp.frags") int fragments(struct xdp_md *ctx)
{
	u8 buf[32];
	if (xdp_get_buff_len(ctx) < 64 || xdp_load_bytes(ctx, 32, buf, sizeof(buf)))
		return 2;
	return buf[3] == buf[4] ? 1 : 2;
}
