// What is void after it has been given back, under all of its names.
#include "kernel.h"

KSYM int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end);
KSYM int *bpf_iter_num_next(struct bpf_iter_num *it);
KSYM void bpf_iter_num_destroy(struct bpf_iter_num *it);
KSYM int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *words, u32 n);
KSYM int *bpf_iter_bits_next(struct bpf_iter_bits *it);
KSYM void bpf_iter_bits_destroy(struct bpf_iter_bits *it);

static struct bpf_sock *(*get_listener_sock)(void *sk) = (void *)98;
static void *(*skc_to_tcp_timewait_sock)(void *sk) = (void *)138;
static void *(*skc_to_tcp_request_sock)(void *sk) = (void *)139;

#define LOOKUP \
	u32 tuple[3] = {}; \
	struct bpf_sock *sk = sk_lookup_tcp(ctx, tuple, sizeof(tuple), -1, 0); \
	if (!sk) \
		return 0;

#define CAST(name) \
	SEC("tc") int name##_used(struct __sk_buff *ctx) \
	{ \
		LOOKUP \
		u8 *p = skc_to_##name(sk); \
		int n = p ? p[16] : 0; \
		sk_release(sk); \
		return n; \
	} \
	SEC("tc") int name##_after_bad(struct __sk_buff *ctx) \
	{ \
		LOOKUP \
		u8 *p = skc_to_##name(sk); \
		sk_release(sk); \
		return p ? p[16] : 0; \
	} \
	SEC("tc") int name##_released(struct __sk_buff *ctx) \
	{ \
		LOOKUP \
		void *p = skc_to_##name(sk); \
		sk_release(p ? p : (void *)sk); \
		return 0; \
	} \
	SEC("tc") int name##_original_bad(struct __sk_buff *ctx) \
	{ \
		LOOKUP \
		void *p = skc_to_##name(sk); \
		sk_release(p ? p : (void *)sk); \
		return sk->family; \
	}
CAST(tcp_sock)
CAST(tcp6_sock)
CAST(udp6_sock)
CAST(tcp_timewait_sock)
CAST(tcp_request_sock)

// A listener is not counted: what it was found by may be gone.
SEC("tc") int listener(struct __sk_buff *ctx)
{
	LOOKUP
	struct bpf_sock *p = get_listener_sock(sk);
	sk_release(sk);
	return p ? p->family : 0;
}
SEC("tc") int listener_released_bad(struct __sk_buff *ctx)
{
	LOOKUP
	struct bpf_sock *p = get_listener_sock(sk);
	sk_release(p ? p : sk);
	return 0;
}

#define ELEMENT(kind, ...) \
	SEC("tc") int kind##_used(struct __sk_buff *ctx) \
	{ \
		struct bpf_iter_##kind it; \
		u64 word = 5; \
		bpf_iter_##kind##_new(&it, __VA_ARGS__); \
		int *x = bpf_iter_##kind##_next(&it), n = x ? *x : 0; \
		bpf_iter_##kind##_destroy(&it); \
		return n; \
	} \
	SEC("tc") int kind##_destroyed_bad(struct __sk_buff *ctx) \
	{ \
		struct bpf_iter_##kind it; \
		u64 word = 5; \
		bpf_iter_##kind##_new(&it, __VA_ARGS__); \
		int *x = bpf_iter_##kind##_next(&it); \
		bpf_iter_##kind##_destroy(&it); \
		return x ? *x : 0; \
	}
ELEMENT(num, 0, 4)
ELEMENT(bits, &word, 1)
