// Operations of the kernel that programs implement, and netfilter's hook.
#include "kernel.h"

KERNEL_TYPES
struct sock_common { u16 skc_num; };
struct sock { struct sock_common __sk_common; u64 sk_pacing_rate; };
struct tcp_sock { struct sock sk; u32 snd_cwnd, snd_ssthresh; };
struct sk_buff { u32 len; };
struct nf_hook_state { u8 hook, pf; };
struct ack_sample { u32 pkts_acked; int rtt_us; u32 in_flight; };
struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	u32 (*undo_cwnd)(struct sock *sk);
	void (*pkts_acked)(struct sock *sk, const struct ack_sample *sample);
	char name[16];
};
struct bpf_nf_ctx { struct nf_hook_state *state; struct sk_buff *skb; };
END_KERNEL_TYPES
u64 seen;

SEC("struct_ops") u32 half(u64 *ctx)
{
	struct tcp_sock *tp = (void *)ctx[0];
	u32 w = tp->snd_cwnd >> 1;
	return w > 2 ? w : 2;
}
SEC("struct_ops") void avoid(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	u32 acked = ctx[2];
	seen += acked + sk->__sk_common.skc_num;
	((struct tcp_sock *)sk)->snd_cwnd = acked;
}
SEC("struct_ops") void begin(u64 *ctx) { seen = 0; }
SEC("struct_ops") void begin_write_bad(u64 *ctx) { ((struct sock *)ctx[0])->__sk_common.skc_num = 3; }
SEC("struct_ops") u32 undo(u64 *ctx) { return ((struct tcp_sock *)ctx[0])->snd_ssthresh; }
SEC("struct_ops") void acked_far_bad(u64 *ctx) { seen += ctx[2]; }
SEC(".struct_ops.link") struct tcp_congestion_ops mine = {
	.ssthresh = (void *)half, .cong_avoid = (void *)avoid, .init = (void *)begin, .release = (void *)begin_write_bad, .undo_cwnd = (void *)undo, .pkts_acked = (void *)acked_far_bad, .name = "mine",
};
SEC("netfilter") int hook(struct bpf_nf_ctx *ctx)
{
	struct sk_buff *skb = ctx->skb;
	if (skb->len > 100 && ctx->state->hook == 1)
		return 0;
	return 1;
}
SEC("netfilter") int hook_return_bad(struct bpf_nf_ctx *ctx) { return 2; }
