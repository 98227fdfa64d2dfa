// XDP programs: one that parses and counts, and some that change the packet.
#include "program.h"

struct key { u32 addr; u16 port; u16 pad; };
struct stat { u64 packets, bytes; };

struct { NUMBER(type, HASH); TYPE(key, struct key); TYPE(value, struct stat); NUMBER(max_entries, 64); } flows SEC(".maps");
struct { NUMBER(type, ARRAY); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 256); } protocols SEC(".maps");

u64 total;
u32 dropped[2];
const volatile u16 blocked = 7;

SEC("xdp") int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	total++;
	if ((void *)(eth + 1) > end)
		return 0;
	if (eth->proto != htons(0x0800))
		return 2;
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return 1;
	u32 proto = ip->protocol;
	u64 *n = map_lookup_elem(&protocols, &proto);
	if (n)
		__sync_fetch_and_add(n, 1);
	if (proto != 17)
		return 2;
	struct udphdr *udp = (void *)ip + ip->ihl * 4;
	if ((void *)(udp + 1) > end)
		return 1;
	if (udp->dest == htons(blocked)) {
		dropped[0]++;
		return 1;
	}
	struct key k = { ip->saddr, udp->dest, 0 };
	struct stat *s = map_lookup_elem(&flows, &k), first = { 1, end - data };
	if (s) {
		s->packets++;
		s->bytes += end - data;
	} else if (map_update_elem(&flows, &k, &first, 1)) {
		dropped[1]++;
	}
	// The packet goes back where it comes from.
	u8 mac[6];
	__builtin_memcpy(mac, eth->dest, 6);
	__builtin_memcpy(eth->dest, eth->source, 6);
	__builtin_memcpy(eth->source, mac, 6);
	u32 addr = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	return 3;
}

SEC("xdp") int encapsulate(struct xdp_md *ctx)
{
	long r = xdp_adjust_head(ctx, -20);
	if (r)
		return 0;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, *old = data + 20;
	struct iphdr *ip = data + 14;
	if ((void *)(old + 1) > end)
		return 0;
	__builtin_memmove(eth, old, sizeof(*eth));
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = 4;
	ip->tot_len = htons((u16)(end - data - 14));
	u32 sum = csum_diff(0, 0, (void *)ip, sizeof(*ip), 0);
	ip->check = ~((sum & 0xffff) + (sum >> 16));
	return 3;
}

SEC("xdp") int cut(struct xdp_md *ctx)
{
	u64 len = xdp_get_buff_len(ctx);
	long r = xdp_adjust_tail(ctx, -(int)(len / 2));
	if (r)
		return 1;
	if (xdp_adjust_tail(ctx, 8))
		return 0;
	return 2;
}

// How far the ends may go: the answers are in the map.
SEC("xdp") int limits(struct xdp_md *ctx)
{
	u32 key = 0;
	u64 n = 0;
	for (int i = 0; i < 300 && !xdp_adjust_head(ctx, -1); i++)
		n++;
	map_update_elem(&protocols, &key, &n, 0);
	key = 1;
	n = 0;
	for (int i = 0; i < 4096 && !xdp_adjust_tail(ctx, 1); i++)
		n++;
	map_update_elem(&protocols, &key, &n, 0);
	key = 2;
	n = -xdp_adjust_meta(ctx, -4);
	map_update_elem(&protocols, &key, &n, 0);
	key = 3;
	n = -xdp_adjust_head(ctx, 4096);
	map_update_elem(&protocols, &key, &n, 0);
	key = 4;
	n = xdp_adjust_head(ctx, 200);
	map_update_elem(&protocols, &key, &n, 0);
	key = 5;
	n = -xdp_adjust_meta(ctx, -3);
	map_update_elem(&protocols, &key, &n, 0);
	key = 6;
	n = 0;
	for (int i = 0; i < 100 && !xdp_adjust_meta(ctx, -4); i++)
		n++;
	map_update_elem(&protocols, &key, &n, 0);
	u8 bytes[4] = { 1, 2, 3, 4 };
	n = xdp_store_bytes(ctx, 2, bytes, 4) == 0;
	n |= (-xdp_load_bytes(ctx, 100000, bytes, 4)) << 8;
	key = 7;
	map_update_elem(&protocols, &key, &n, 0);
	return 2;
}
