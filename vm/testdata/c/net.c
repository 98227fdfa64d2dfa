// Redirects, tunnels and routes, and maps of maps.
#include "program.h"

struct { NUMBER(type, DEVMAP); NUMBER(key_size, 4); NUMBER(value_size, 4); NUMBER(max_entries, 4); } devices SEC(".maps");

struct inner { NUMBER(type, ARRAY); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 2); };
struct inner one SEC(".maps");
struct inner two SEC(".maps");
struct { NUMBER(type, ARRAY_OF_MAPS); NUMBER(key_size, 4); NUMBER(max_entries, 3); struct inner *values[]; } outer SEC(".maps") = {
	.values = { [0] = &one, [1] = &two },
};
struct { NUMBER(type, LPM_TRIE); NUMBER(map_flags, 1); NUMBER(max_entries, 4); TYPE(value, u32); TYPE(key, u64); } routes SEC(".maps");

struct fib { u8 family, l4; u16 sport, dport, len; u32 ifindex; u8 rest[52]; };

static long (*skb_get_tunnel_key)(void *skb, void *key, u32 size, u64 flags) = (void *)20;
static long (*skb_set_tunnel_key)(void *skb, void *key, u32 size, u64 flags) = (void *)21;
static long (*fib_lookup)(void *ctx, void *params, int plen, u32 flags) = (void *)69;

u64 results[16];

SEC("xdp") int away(struct xdp_md *ctx)
{
	results[0] = redirect_map(&devices, 3, 2);
	results[1] = redirect_map(&devices, 1, 0);
	results[2] = redirect_map(&devices, 1, 1 << 20);
	struct fib f = { 2 };
	f.ifindex = 5;
	results[3] = fib_lookup(ctx, &f, sizeof(f), 0);
	results[4] = f.ifindex;
	return redirect_map(&devices, 1, 0);
}

SEC("xdp") int nested(struct xdp_md *ctx)
{
	for (u32 i = 0; i < 3; i++) {
		u32 key = i;
		void *map = map_lookup_elem(&outer, &key);
		if (!map)
			continue;
		u32 index = 1;
		u64 *n = map_lookup_elem(map, &index);
		if (n)
			*n += 10 + i;
		results[0]++;
	}
	struct { u32 length; u8 addr[4]; } net = { 16, { 10, 1, 0, 0 } }, host = { 32, { 10, 1, 2, 3 } };
	u32 v = 77;
	results[1] = -map_update_elem(&routes, &net, &v, 0);
	u32 *found = map_lookup_elem(&routes, &host);
	results[2] = found ? *found : 0;
	host.addr[1] = 2;
	results[3] = map_lookup_elem(&routes, &host) == 0;
	return 2;
}

SEC("tc") int tunnel(struct __sk_buff *skb)
{
	u32 key[7] = {};
	results[0] = -skb_get_tunnel_key(skb, key, sizeof(key), 0);
	results[1] = key[0];
	key[0] = 43;
	results[2] = -skb_set_tunnel_key(skb, key, sizeof(key), 0);
	return redirect(9, 1);
}
