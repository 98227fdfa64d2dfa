// Memory shared with user space, which programs lay out themselves.
#include "kernel.h"

struct { NUMBER(type, 33); NUMBER(map_flags, 0x400); NUMBER(max_entries, 16); } arena SEC(".maps"), other SEC(".maps");
struct { NUMBER(type, 33); NUMBER(max_entries, 16); } private SEC(".maps");
MAP(counts, ARRAY, 4, u32, u64);

KSYM void *bpf_arena_alloc_pages(void *map, void *addr, u32 pages, int node, u64 flags);
KSYM void bpf_arena_free_pages(void *map, void *p, u32 pages);

// Compilers before clang 19 do not know this instruction.
#define CAST_AS(x, how) \
	asm volatile(".byte 0xbf\n" \
		".ifc %[r], r0\n.byte 0x00\n.endif\n.ifc %[r], r1\n.byte 0x11\n.endif\n.ifc %[r], r2\n.byte 0x22\n.endif\n.ifc %[r], r3\n.byte 0x33\n.endif\n" \
		".ifc %[r], r4\n.byte 0x44\n.endif\n.ifc %[r], r5\n.byte 0x55\n.endif\n.ifc %[r], r6\n.byte 0x66\n.endif\n.ifc %[r], r7\n.byte 0x77\n.endif\n" \
		".ifc %[r], r8\n.byte 0x88\n.endif\n.ifc %[r], r9\n.byte 0x99\n.endif\n" \
		".short 1\n.long %[as]\n" : [r] "+r"(x) : [as] "i"(how))
#define TO_KERNEL(x) CAST_AS(x, 1)
#define TO_USER(x) CAST_AS(x, 0x10000)
#define USE(map) asm volatile("" :: "r"(&map))
struct node { struct node *next; u64 n; };

SEC("syscall.s") int fresh(void *ctx)
{
	struct node *p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!p)
		return 0;
	TO_KERNEL(p);
	p->n = 1;
	p->next = NULL;
	bpf_arena_free_pages(&arena, p, 1);
	return 0;
}
SEC("syscall.s") int uncast_bad(void *ctx)
{
	struct node *p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!p)
		return 0;
	p->n = 1;
	return 0;
}
SEC("syscall.s") int other_map(void *ctx) { return bpf_arena_alloc_pages(&counts, NULL, 1, -1, 0) != NULL; }
SEC("syscall.s") int not_a_map_bad(void *ctx) { return bpf_arena_alloc_pages(ctx, NULL, 1, -1, 0) != NULL; }
SEC("tc") int any_number(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	p->n++;
	return p->n;
}
SEC("tc") int far(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	p += ctx->mark;
	barrier_var(p);
	return p[1000].n;
}
SEC("tc") int walk(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	u64 sum = 0;
	USE(arena);
	for (int i = 0; i < 16 && p; i++) {
		TO_KERNEL(p);
		sum += p->n;
		p = p->next;
	}
	return sum;
}
SEC("tc") int link(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len, *q = (void *)(u64)ctx->mark;
	USE(arena);
	TO_KERNEL(p);
	TO_USER(q);
	p->next = q;
	return 0;
}
SEC("tc") int to_user_bad(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	TO_USER(p);
	return p->n;
}
SEC("tc") int no_arena_bad(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	TO_KERNEL(p);
	return p->n;
}
SEC("tc") int two_arenas_bad(struct __sk_buff *ctx) { USE(arena); USE(other); return 0; }
SEC("tc") int private_arena_bad(struct __sk_buff *ctx) { USE(private); return 0; }
SEC("tc") int no_such_cast_bad(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	CAST_AS(p, 2);
	return 0;
}
SEC("tc") int cast_pointer(struct __sk_buff *ctx)
{
	void *p = ctx;
	USE(arena);
	TO_KERNEL(p);
	return *(u32 *)p;
}
SEC("tc") int to_helper_bad(struct __sk_buff *ctx)
{
	void *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	return skb_load_bytes(ctx, 0, p, 4);
}
SEC("tc") int two_kinds_bad(struct __sk_buff *ctx)
{
	u64 *p = (void *)(u64)ctx->len, on_stack = 1;
	USE(arena);
	TO_KERNEL(p);
	if (ctx->mark)
		p = &on_stack;
	barrier_var(p);
	return *p;
}
SEC("tc") int spill(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	struct node *volatile kept = p;
	return kept->n;
}
STATIC u64 deep(struct node *p) { return p->n; }
SEC("tc") int in_function(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	return deep(p);
}
SEC("tc") int arithmetic(struct __sk_buff *ctx)
{
	u64 p = ctx->len;
	USE(arena);
	TO_KERNEL(p);
	p *= 3;
	barrier_var(p);
	p &= 0xffff0;
	barrier_var(p);
	p ^= ctx->mark;
	barrier_var(p);
	return *(u32 *)p;
}
SEC("tc") int atomic(struct __sk_buff *ctx)
{
	struct node *p = (void *)(u64)ctx->len;
	USE(arena);
	TO_KERNEL(p);
	__sync_fetch_and_add(&p->n, 1);
	return 0;
}
SEC("tc") int return_it(struct __sk_buff *ctx)
{
	u64 p = ctx->len;
	USE(arena);
	TO_KERNEL(p);
	return p;
}
SEC("tc") int fresh_awake(struct __sk_buff *ctx)
{
	void *p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (p)
		bpf_arena_free_pages(&arena, p, 1);
	return 0;
}
