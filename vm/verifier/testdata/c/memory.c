// Memory of all kinds: bounds that comparisons, masks and shifts give; strings of unknown length; maps in maps; atomic operations.
#include "kernel.h"

struct entry { u32 len; char text[128]; };
struct node { u32 left, right; s64 value; u8 tags[12]; };
struct inner { NUMBER(type, HASH); NUMBER(max_entries, 16); TYPE(key, u32); TYPE(value, struct node); };
struct inner inner_one SEC(".maps");
struct { NUMBER(type, ARRAY_OF_MAPS); NUMBER(max_entries, 4); TYPE(key, u32); VALUES(struct inner) *values[]; } outer SEC(".maps") = {.values = {&inner_one}};
MAP(nodes, ARRAY, 64, u32, struct node);
MAP(percpu, PERCPU_HASH, 64, u64, struct node);
MAP(names, LRU_HASH, 64, struct entry, u32);
struct { NUMBER(type, QUEUE); NUMBER(max_entries, 16); TYPE(value, struct node); } queue SEC(".maps");
struct { NUMBER(type, BLOOM_FILTER); NUMBER(max_entries, 16); TYPE(value, u64); } bloom SEC(".maps");
MAP(jumps, PROG_ARRAY, 8, u32, u32);
RING(ring, 4096);
u8 bytes[256];
s32 table[32];
u64 total, seed = 7;
u32 limit = 9;
const volatile u8 keys[8] = {1, 2, 3, 4};

#define CTX struct xdp_md *ctx
ALWAYS u32 any(void) { return get_prandom_u32(); }

SEC("xdp") int masked(CTX) { return bytes[any() & 255]; }
SEC("xdp") int masked_bad(CTX) { return bytes[any() & 511]; }
SEC("xdp") int compared_signed_bad(CTX) { int i = any(); return i < 32 ? table[i] : 0; }
SEC("xdp") int compared_signed(CTX) { int i = any(); return i >= 0 && i < 32 ? table[i] : 0; }
SEC("xdp") int compared_equal_bad(CTX) { u32 i = any(); return i <= 256 ? bytes[i] : 0; }
SEC("xdp") int shifted(CTX) { return bytes[any() >> 24]; }
SEC("xdp") int shifted_bad(CTX) { return bytes[any() >> 23]; }
SEC("xdp") int modulo(CTX) { return bytes[any() % 256]; }
SEC("xdp") int modulo_odd(CTX) { u32 i = any() % 100; return i < 100 ? bytes[i] : 0; }
SEC("xdp") int divided(CTX) { u32 n = any(); u32 q = total / (n | 1); return q < 256 ? bytes[q] : 0; }
SEC("xdp") int summed(CTX) { u32 a = any() & 127, b = any() & 127; return bytes[a + b]; }
SEC("xdp") int summed_bad(CTX) { u32 a = any() & 255, b = any() & 1; return bytes[a + b]; }
SEC("xdp") int product(CTX) { u32 a = any() & 15, b = any() & 15; return bytes[a * b]; }
SEC("xdp") int product_bad(CTX) { u32 a = any() & 31, b = any() & 15; return bytes[a * b]; }
SEC("xdp") int subtracted(CTX) { u32 a = any() & 255, b = any() & 255; return a >= b ? bytes[a - b] : 0; }
SEC("xdp") int subtracted_bad(CTX) { u64 a = any() & 255, b = any() & 255; barrier_var(a); return bytes[a - b]; }
SEC("xdp") int byte_index(CTX) { u8 i = any(); return bytes[i]; }
SEC("xdp") int signed_byte_bad(CTX) { s8 i = any(); return bytes[i]; }
SEC("xdp") int clamped(CTX) { u64 i = any(); if (i > 255) i = 255; return bytes[i]; }
SEC("xdp") int two_sided(CTX) { s64 i = (s32)any(); if (i < 10 || i > 20) return 0; return table[i]; }
SEC("xdp") int wrong_variable_bad(CTX) { u32 i = any(), j = any(); if (i < 32) return table[j]; return 0; }
SEC("xdp") int index_of_struct(CTX)
{
	u32 key = any() & 63;
	struct node *n = map_lookup_elem(&nodes, &key);
	if (!n)
		return 0;
	u32 i = n->left;
	if (i >= sizeof(n->tags))
		return 0;
	n->tags[i] = 1;
	n->value = -n->value;
	return n->tags[11 - i];
}
SEC("xdp") int index_of_struct_bad(CTX)
{
	u32 key = any() & 63;
	struct node *n = map_lookup_elem(&nodes, &key);
	if (!n)
		return 0;
	u32 i = n->left;
	if (i > sizeof(n->tags))
		return 0;
	n->tags[i] = 1;
	return 0;
}
SEC("xdp") int reread_bad(CTX)
{
	u32 key = 1;
	volatile struct node *n = map_lookup_elem(&nodes, &key);
	if (!n)
		return 0;
	if (n->left >= sizeof(n->tags))
		return 0;
	return n->tags[n->left];
}
SEC("xdp") int tree(CTX)
{
	u32 key = 0;
	for (int i = 0; i < 16; i++) {
		struct node *n = map_lookup_elem(&nodes, &key);
		if (!n)
			break;
		total += n->value;
		key = n->value > seed ? n->left : n->right;
	}
	return 2;
}
SEC("xdp") int map_in_map(CTX)
{
	u32 key = 0, k = 5;
	void *m = map_lookup_elem(&outer, &key);
	if (!m)
		return 1;
	struct node *n = map_lookup_elem(m, &k), fresh = {.value = 3};
	if (!n)
		return map_update_elem(m, &k, &fresh, 0);
	n->left++;
	return 2;
}
SEC("xdp") int map_in_map_bad(CTX)
{
	u32 key = 0, k = 5;
	void *m = map_lookup_elem(&outer, &key);
	struct node *n = map_lookup_elem(m, &k);
	return n ? 1 : 2;
}
SEC("xdp") int map_in_map_direct_bad(CTX)
{
	u32 key = 0;
	u32 *m = map_lookup_elem(&outer, &key);
	if (m)
		*m = 3;
	return 2;
}
SEC("xdp") int per_cpu(CTX)
{
	u64 key = 1;
	struct node *n = map_lookup_elem(&percpu, &key), fresh = {};
	if (n)
		n->value++;
	else
		map_update_elem(&percpu, &key, &fresh, 1);
	n = map_lookup_percpu_elem(&percpu, &key, 0);
	return n ? n->left : 0;
}
SEC("xdp") int queues(CTX)
{
	struct node n;
	u64 k = 3;
	if (map_pop_elem(&queue, &n) == 0)
		total += n.value;
	map_push_elem(&bloom, &k, 0);
	return map_peek_elem(&bloom, &k) ? 1 : 2;
}
SEC("xdp") int queue_lookup_bad(CTX) { u32 k = 0; return map_lookup_elem(&queue, &k) ? 1 : 2; }
SEC("xdp") int big_key(CTX)
{
	struct entry e = {};
	e.len = any() & 127;
	__builtin_memcpy(e.text, bytes, 64);
	u32 *v = map_lookup_elem(&names, &e);
	return v ? *v : 0;
}
SEC("xdp") int uninit_key(CTX)
{
	struct entry e;
	e.len = 3;
	u32 *v = map_lookup_elem(&names, &e);
	return v ? *v : 0;
}
SEC("xdp") int short_key_bad(CTX) { u64 k = 0; return map_lookup_elem(&names, &k) ? 1 : 2; }
SEC("tracepoint/a/b") int text(void *ctx)
{
	struct entry *e = ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e)
		return 0;
	long n = probe_read_kernel_str(e->text, sizeof(e->text), (void *)seed);
	if (n > 0 && n < sizeof(e->text))
		e->text[n] = '!';
	e->len = n;
	ringbuf_submit(e, 0);
	return 0;
}
SEC("tracepoint/a/b") int text_bad(void *ctx)
{
	struct entry *e = ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e)
		return 0;
	long n = probe_read_kernel_str(e->text, sizeof(e->text), (void *)seed);
	if (n > 0)
		e->text[n] = '!';
	ringbuf_submit(e, 0);
	return 0;
}
SEC("tracepoint/a/b") int parts(void *ctx)
{
	u32 zero = 0, off = 0;
	struct entry *e = ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 4; i++) {
		if (off > sizeof(e->text) - 32)
			break;
		long n = probe_read_kernel_str(e->text + off, 32, (void *)(seed + i));
		if (n < 0)
			break;
		off += n;
	}
	e->len = off;
	ringbuf_submit(e, 0);
	return 0;
}
SEC("tracepoint/a/b") int parts_bad(void *ctx)
{
	u32 off = 0;
	struct entry *e = ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 4; i++) {
		if (off > sizeof(e->text))
			break;
		long n = probe_read_kernel_str(e->text + off, 32, (void *)(seed + i));
		if (n < 0)
			break;
		off += n;
	}
	ringbuf_submit(e, 0);
	return 0;
}
SEC("tracepoint/a/b") int sized(void *ctx)
{
	char buf[64];
	u32 n = limit;
	if (n > sizeof(buf))
		n = sizeof(buf);
	probe_read_user(buf, n, (void *)seed);
	return buf[0];
}
SEC("tracepoint/a/b") int sized_bad(void *ctx)
{
	char buf[64];
	u32 n = limit;
	if (n > 65)
		n = sizeof(buf);
	probe_read_user(buf, n, (void *)seed);
	return buf[0];
}
SEC("tracepoint/a/b") int sized_negative_bad(void *ctx)
{
	char buf[64];
	int n = limit;
	if (n > 64)
		return 0;
	probe_read_user(buf, n, (void *)seed);
	return buf[0];
}
SEC("tracepoint/a/b") int stack_array(void *ctx)
{
	u32 a[16] = {};
	a[any() & 15] = 3;
	u32 sum = 0;
	for (int i = 0; i < 16; i++)
		sum += a[i];
	return sum;
}
SEC("tracepoint/a/b") int stack_array_bad(void *ctx)
{
	u32 a[16] = {};
	a[any() & 31] = 3;
	return a[3];
}
SEC("tracepoint/a/b") int stack_uninit(void *ctx)
{
	volatile u32 a[4];
	a[0] = 1;
	return a[2];
}
SEC("tracepoint/a/b") int spilled(void *ctx)
{
	u32 key = 1;
	struct node *n = map_lookup_elem(&nodes, &key);
	struct node *volatile kept = n;
	if (!n)
		return 0;
	ktime_get_ns();
	return kept ? kept->left : n->right;
}
SEC("tracepoint/a/b") int spilled_part_bad(void *ctx)
{
	struct { struct node *volatile p; } s;
	u32 key = 1;
	s.p = map_lookup_elem(&nodes, &key);
	*(volatile u32 *)&s = 3;
	return s.p->left;
}
SEC("tracepoint/a/b") int loops(void *ctx)
{
	u64 h = 5381;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < limit && i < 256; i++)
		h = h * 33 + bytes[i];
	return h;
}
SEC("tracepoint/a/b") int loops_bad(void *ctx)
{
	u64 h = 5381;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < limit; i++)
		h = h * 33 + bytes[i];
	return h;
}
SEC("tracepoint/a/b") int endless_bad(void *ctx)
{
	while (total != 3)
		barrier();
	return 0;
}
SEC("tracepoint/a/b") int sort(void *ctx)
{
	s32 a[8];
	for (int i = 0; i < 8; i++)
		a[i] = any();
#pragma clang loop unroll(disable)
	for (int i = 0; i < 7; i++)
#pragma clang loop unroll(disable)
		for (int j = 0; j < 7 - i; j++)
			if (a[j] > a[j + 1]) {
				s32 t = a[j];
				a[j] = a[j + 1];
				a[j + 1] = t;
			}
	return a[0];
}
SEC("tracepoint/a/b") int search(void *ctx)
{
	u32 lo = 0, hi = 255, want = limit;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 9 && lo < hi; i++) {
		u32 mid = (lo + hi) / 2;
		if (bytes[mid & 255] < want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
STATIC int chain(u32 d) { tail_call(NULL, &jumps, d); return d; }
STATIC int tails(struct xdp_md *ctx, u32 d) { tail_call(ctx, &jumps, d); return 1; }
SEC("xdp") int tail_in_function(CTX) { return tails(ctx, limit & 7); }
SEC("xdp") int tail_null_bad(CTX) { return chain(3); }
SEC("xdp") int tail_leak_bad(CTX)
{
	void *e = ringbuf_reserve(&ring, 8, 0);
	tail_call(ctx, &jumps, 1);
	if (e)
		ringbuf_discard(e, 0);
	return 1;
}
SEC("xdp") int tail_then_packet(CTX)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 1 > end)
		return 1;
	tail_call(ctx, &jumps, 1);
	return *data;
}
SEC("xdp") int constants(CTX) { return bytes[keys[any() & 7]]; }
SEC("xdp") int write_constant_bad(CTX) { *(volatile u8 *)&keys[1] = 3; return 0; }
SEC("xdp") int context_write_bad(CTX) { ctx->data = 3; return 0; }
SEC("xdp") int context_far_bad(CTX) { return *(volatile u32 *)((void *)ctx + 24); }
SEC("xdp") int ends_compared_bad(CTX)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data > end)
		return 1;
	return *data;
}
SEC("xdp") int ends_subtracted_bad(CTX)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (end - data < 10)
		return 1;
	return data[3];
}
SEC("xdp") int behind_bad(CTX)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 10 < end)
		return 1;
	return data[3];
}
SEC("xdp") int less(CTX)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 10 < end)
		return data[10];
	return 1;
}
SEC("xdp") int pointer_number_bad(CTX) { u64 v = (u64)ctx * 3; total = v; return 0; }
SEC("xdp") int pointer_return(CTX) { return (u64)ctx; }
SEC("xdp") int pointer_kept_bad(CTX) { u32 key = 0; struct node *n = map_lookup_elem(&nodes, &key); if (n) n->value = (u64)ctx; return n->left; }
SEC("xdp") int null_wrong_branch_bad(CTX) { u32 key = 0; struct node *n = map_lookup_elem(&nodes, &key); if (!n) return n->left; return 0; }
