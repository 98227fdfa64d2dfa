// Sockets as values of maps: programs put sockets there, and nothing else.
#include "kernel.h"

MAP(numbered, SOCKMAP, 4, u32, u32);
MAP(named, SOCKHASH, 4, u64, u32);

#define LOOKUP \
	u32 number = 0, tuple[3] = {}; \
	u64 name = 0; \
	struct bpf_sock *sk = sk_lookup_tcp(ctx, tuple, sizeof(tuple), -1, 0);

SEC("tc") int put(struct __sk_buff *ctx)
{
	LOOKUP
	if (!sk)
		return 0;
	map_update_elem(&numbered, &number, sk, 0);
	map_update_elem(&named, &name, sk, 0);
	sk_release(sk);
	return 0;
}
SEC("xdp") int put_memory_bad(struct xdp_md *ctx)
{
	u32 number = 0;
	u64 value = 0;
	return map_update_elem(&numbered, &number, &value, 0);
}
SEC("tc") int put_nothing_bad(struct __sk_buff *ctx)
{
	LOOKUP
	map_update_elem(&named, &name, sk, 0);
	if (sk)
		sk_release(sk);
	return 0;
}
SEC("tc") int delete(struct __sk_buff *ctx)
{
	u32 number = 0;
	return map_delete_elem(&numbered, &number);
}
SEC("sockops") int delete_at_events(void *ctx)
{
	u32 number = 0;
	map_delete_elem(&numbered, &number);
	return 1;
}
SEC("kprobe/vfs_read") int delete_bad(void *ctx)
{
	u32 number = 0;
	return map_delete_elem(&numbered, &number);
}
