// Sockets that are looked up, and what becomes of their addresses.
#include "program.h"

struct bpf_sock {
	u32 bound_dev_if, family, type, protocol, mark, priority, src_ip4, src_ip6[4], src_port;
	u16 dst_port, pad;
	u32 dst_ip4, dst_ip6[4], state;
	s32 rx_queue_mapping;
};
struct bpf_tcp_sock { u32 snd_cwnd, srtt_us, rtt_min, snd_ssthresh; };
struct tuple { u32 saddr, daddr; u16 sport, dport; };
struct skb { struct __sk_buff fields; u32 flow_keys[2]; u64 tstamp; u32 wire_len, gso_segs; struct bpf_sock *sk; };

static struct bpf_sock *(*sk_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)84;
static struct bpf_sock *(*sk_lookup_udp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)85;
static long (*sk_release)(void *sk) = (void *)86;
static struct bpf_sock *(*sk_fullsock)(void *sk) = (void *)95;
static struct bpf_tcp_sock *(*tcp_sock)(void *sk) = (void *)96;
static struct bpf_sock *(*get_listener_sock)(void *sk) = (void *)98;
static struct bpf_sock *(*skc_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)99;
static long (*sk_assign)(void *ctx, void *sk, u64 flags) = (void *)124;

u64 results[24];

ALWAYS void exists(int at, struct bpf_sock *sk)
{
	results[at] = sk ? 1 : 2;
	if (sk)
		sk_release(sk);
}

// The tuple is in the packet, behind the link-layer header.
SEC("tc") int sockets(struct __sk_buff *skb)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 14 + sizeof(struct tuple) > end)
		return 0;
	struct tuple t;
	__builtin_memcpy(&t, data + 14, sizeof(t));
	struct bpf_sock *sk = sk_lookup_tcp(skb, &t, sizeof(t), -1, 0);
	results[0] = sk ? 1 : 2;
	if (sk) {
		results[1] = sk->family;
		results[2] = sk->type;
		results[3] = sk->protocol;
		results[4] = sk->src_ip4;
		results[5] = sk->src_port;
		results[6] = sk->dst_port;
		results[7] = sk->state;
		results[8] = sk->bound_dev_if;
		struct bpf_tcp_sock *tcp = tcp_sock(sk);
		results[9] = tcp ? tcp->snd_cwnd : 0;
		struct bpf_sock *listener = get_listener_sock(sk);
		results[10] = listener ? listener->state : 0;
		struct bpf_sock *full = sk_fullsock(sk);
		results[11] = full ? full->src_port : 0;
		results[12] = -sk_assign(skb, sk, 4);
		sk_release(sk);
	}
	exists(13, skc_lookup_tcp(skb, &t, sizeof(t), -1, 0));
	exists(14, sk_lookup_udp(skb, &t, sizeof(t), -1, 0));
	exists(15, sk_lookup_tcp(skb, &t, 8, -1, 0));
	exists(16, sk_lookup_tcp(skb, &t, sizeof(t), -1, 1));
	exists(17, sk_lookup_tcp(skb, &t, sizeof(t), 1ull << 31, 0));
	exists(18, sk_lookup_tcp(skb, &t, sizeof(t), 12345678, 0));
	exists(19, sk_lookup_tcp(skb, &t, sizeof(t), -2, 0));
	t.dport = 0;
	exists(20, sk_lookup_tcp(skb, &t, sizeof(t), -1, 0));
	return 0;
}

// What the packet's own socket is.
SEC("tc") int own(struct skb *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 7;
	sk = sk_fullsock(sk);
	if (!sk)
		return 8;
	struct bpf_tcp_sock *tcp = tcp_sock(sk);
	return sk->family << 16 | (tcp ? tcp->snd_cwnd : 0);
}
