// Atomic operations that return what was there, which need the third version of the instructions.
#include "kernel.h"

struct node { u32 left, right; s64 value; };
MAP(nodes, ARRAY, 64, u32, struct node);
u8 bytes[256];
u64 total;

#define CTX struct xdp_md *ctx

SEC("xdp") int atomics(CTX)
{
	u32 key = 3;
	struct node *n = map_lookup_elem(&nodes, &key);
	if (!n)
		return 0;
	u64 was = __sync_fetch_and_add(&n->value, 5);
	__sync_fetch_and_or(&total, 8);
	if (__sync_val_compare_and_swap(&n->left, 3, 4) == 3)
		__sync_lock_test_and_set(&n->right, 1);
	return bytes[was & 127];
}
SEC("xdp") int atomics_index_bad(CTX) { u64 i = __sync_fetch_and_add(&total, 1); return bytes[i]; }
SEC("xdp") int on_stack(CTX)
{
	u64 n = bytes[3];
	u64 was = __sync_fetch_and_add(&n, 3);
	return n + was;
}
SEC("xdp") int on_packet_bad(CTX)
{
	u32 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 1 > end)
		return 1;
	return __sync_fetch_and_add(data, 3);
}
SEC("xdp") int on_context_bad(CTX) { return __sync_fetch_and_add(&ctx->data_meta, 3); }
