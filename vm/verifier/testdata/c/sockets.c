// Programs of sockets and control groups, each with its context.
#include "kernel.h"

struct endpoint { u32 addr, port; };
MAP(services, HASH, 64, struct endpoint, struct endpoint);
MAP(map_of_sockets, SOCKMAP, 16, u32, u32);
MAP(hash_of_sockets, SOCKHASH, 16, u64, u32);
MAP(group, REUSEPORT_SOCKARRAY, 16, u32, u64);
LOCAL_STORAGE(marks, SK_STORAGE, struct endpoint);
u64 count;

SEC("cgroup/connect4") int connect4(struct bpf_sock_addr *ctx)
{
	struct endpoint key = {ctx->user_ip4, ctx->user_port};
	if (ctx->protocol != 6 && ctx->protocol != 17)
		return 1;
	struct endpoint *to = map_lookup_elem(&services, &key);
	if (!to)
		return 1;
	ctx->user_ip4 = to->addr;
	ctx->user_port = to->port;
	struct bpf_sock *sk = ctx->sk;
	if (sk) {
		struct endpoint *m = sk_storage_get(&marks, sk, 0, 1);
		if (m)
			*m = key;
	}
	return 1;
}
SEC("cgroup/connect4") int connect4_bad(struct bpf_sock_addr *ctx)
{
	struct endpoint key = {ctx->user_ip4, ctx->user_port};
	struct endpoint *to = map_lookup_elem(&services, &key);
	ctx->user_ip4 = to->addr;
	return 1;
}
SEC("cgroup/connect4") int connect4_ip6_bad(struct bpf_sock_addr *ctx) { return ctx->user_ip6[0] & 1; }
SEC("cgroup/connect4") int connect4_return_bad(struct bpf_sock_addr *ctx) { return 2; }
SEC("cgroup/connect6") int connect6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip6[0] == 0 && ctx->user_ip6[3] == htonl(1))
		ctx->user_port = htons(8080);
	return 1;
}
SEC("cgroup/bind4") int bind4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == htons(80) && ctx->type == 1) {
		ctx->user_port = htons(8080);
		return 3;
	}
	return 1;
}
SEC("cgroup/sendmsg4") int sendmsg4(struct bpf_sock_addr *ctx)
{
	ctx->msg_src_ip4 = htonl(0x7f000001);
	return 1;
}
SEC("cgroup/recvmsg4") int recvmsg4(struct bpf_sock_addr *ctx)
{
	ctx->user_port = 5;
	return 1;
}
SEC("cgroup/recvmsg4") int recvmsg4_bad(struct bpf_sock_addr *ctx) { return 0; }
SEC("cgroup/getpeername4") int getpeername4(struct bpf_sock_addr *ctx) { ctx->user_ip4 = 1; return 1; }
SEC("cgroup/sock_create") int sock_create(struct bpf_sock *ctx)
{
	ctx->mark = 3;
	ctx->bound_dev_if = 0;
	return ctx->family == 2 && ctx->type == 3 ? 0 : 1;
}
SEC("cgroup/sock_create") int sock_create_bad(struct bpf_sock *ctx) { return ctx->src_port & 1; }
SEC("cgroup/post_bind4") int post_bind4(struct bpf_sock *ctx) { return ctx->src_port == 1234 && ctx->src_ip4 ? 0 : 1; }
SEC("cgroup/sock_release") int sock_release(struct bpf_sock *ctx) { count++; return 1; }
SEC("cgroup/dev") int device(struct bpf_cgroup_dev_ctx *ctx)
{
	u16 type = ctx->access_type & 0xffff;
	return type == 2 && ctx->major == 1 && (ctx->minor == 3 || ctx->minor == 5);
}
SEC("cgroup/dev") int device_bad(struct bpf_cgroup_dev_ctx *ctx) { return ctx->minor; }
SEC("cgroup/sysctl") int sysctl(struct bpf_sysctl *ctx)
{
	char name[64] = {}, value[16] = {};
	s64 n;
	if (!ctx->write)
		return 1;
	if (sysctl_get_name(ctx, name, sizeof(name), 0) < 0)
		return 0;
	int len = sysctl_get_new_value(ctx, value, sizeof(value));
	if (len < 0 || len >= 16)
		return 0;
	if (strtol(value, sizeof(value), 0, &n) < 0)
		return 0;
	ctx->file_pos = 0;
	return name[0] == 'n' && n < 100;
}
SEC("cgroup/sysctl") int sysctl_bad(struct bpf_sysctl *ctx) { ctx->write = 1; return 1; }
SEC("cgroup/getsockopt") int get_option(struct bpf_sockopt *ctx)
{
	u8 *val = ctx->optval, *end = ctx->optval_end;
	if (ctx->level != 6)
		return 1;
	if (val + 1 > end)
		return 0;
	val[0] = 42;
	ctx->optlen = 1;
	ctx->retval = 0;
	return 1;
}
SEC("cgroup/getsockopt") int get_option_bad(struct bpf_sockopt *ctx)
{
	u8 *val = ctx->optval;
	val[0] = 42;
	return 1;
}
SEC("cgroup/setsockopt") int set_option(struct bpf_sockopt *ctx)
{
	u8 *val = ctx->optval, *end = ctx->optval_end;
	struct bpf_sock *sk = ctx->sk;
	if (val + 4 > end || !sk)
		return 0;
	ctx->optname = 3;
	ctx->level = sk->family;
	ctx->optlen = -1;
	return *(u32 *)val == 7;
}
SEC("sockops") int operations(struct bpf_sock_ops *ctx)
{
	u64 key = ctx->remote_port;
	u32 index = ctx->local_port & 15;
	int size = 1500;
	struct bpf_sock *sk;
	switch (ctx->op) {
	case 4: case 5:
		sock_hash_update(ctx, &hash_of_sockets, &key, 0);
		sock_map_update(ctx, &map_of_sockets, &index, 0);
		sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | 1);
		setsockopt(ctx, 1, 7, &size, sizeof(size));
		break;
	case 10:
		sk = ctx->sk;
		if (sk && sk->state == 7)
			count++;
		break;
	}
	if (ctx->is_fullsock && ctx->snd_cwnd < 10 && ctx->bytes_acked > 5)
		ctx->args[0] = ctx->srtt_us;
	ctx->sk_txhash = 3;
	return 1;
}
SEC("sockops") int operations_bad(struct bpf_sock_ops *ctx)
{
	ctx->op = 3;
	return 1;
}
SEC("sockops") int operations_wide_bad(struct bpf_sock_ops *ctx) { return *(u8 *)&ctx->family & 1; }
SEC("sockops") int options(struct bpf_sock_ops *ctx)
{
	u8 opt[4] = {254, 4, 0xab, 0xcd};
	void *data = ctx->skb_data, *end = ctx->skb_data_end;
	if (ctx->op == 14)
		reserve_hdr_opt(ctx, 4, 0);
	else if (ctx->op == 15)
		store_hdr_opt(ctx, opt, sizeof(opt), 0);
	else if (data + sizeof(struct tcphdr) <= end)
		count += ((struct tcphdr *)data)->syn + ctx->skb_len + ctx->skb_tcp_flags;
	return 1;
}
SEC("sk_msg") int message(struct sk_msg_md *msg)
{
	u8 *data = msg->data, *end = msg->data_end;
	if (msg_pull_data(msg, 0, 8, 0))
		return 0;
	data = msg->data;
	end = msg->data_end;
	if (data + 8 > end)
		return 0;
	data[0] = 'x';
	u64 key = msg->remote_port;
	if (data[1] == 'r')
		return msg_redirect_hash(msg, &hash_of_sockets, &key, 1);
	msg_apply_bytes(msg, msg->size);
	return msg_redirect_map(msg, &map_of_sockets, 0, 1);
}
SEC("sk_msg") int message_bad(struct sk_msg_md *msg)
{
	u8 *data = msg->data, *end = msg->data_end;
	if (data + 8 > end)
		return 0;
	msg_pull_data(msg, 0, 16, 0);
	return data[0];
}
SEC("sk_msg") int message_write_bad(struct sk_msg_md *msg) { msg->size = 3; return 1; }
SEC("sk_skb/stream_parser") int parser(struct __sk_buff *skb) { return skb->len; }
SEC("sk_skb/stream_verdict") int verdict(struct __sk_buff *skb)
{
	u32 zero = 0;
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u64 key = skb->remote_port;
	if (data + 4 > end)
		return 0;
	data[0] = 1;
	if (data[1] == 2)
		return sk_redirect_hash(skb, &hash_of_sockets, &key, 0);
	return sk_redirect_map(skb, &map_of_sockets, skb->local_port & 15, 0);
}
SEC("sk_skb/stream_verdict") int verdict_bad(struct __sk_buff *skb) { skb->mark = 1; return 1; }
SEC("sk_lookup") int steer(struct bpf_sk_lookup *ctx)
{
	u32 zero = 0;
	if (ctx->family != 2 || ctx->local_port < 7000 || ctx->remote_ip4 == 0)
		return 1;
	struct bpf_sock *sk = map_lookup_elem(&map_of_sockets, &zero);
	if (!sk)
		return 0;
	long err = sk_assign(ctx, sk, 0);
	sk_release(sk);
	return err ? 0 : 1;
}
SEC("sk_lookup") int steer_bad(struct bpf_sk_lookup *ctx)
{
	u32 zero = 0;
	struct bpf_sock *sk = map_lookup_elem(&map_of_sockets, &zero);
	if (!sk)
		return 0;
	return sk_assign(ctx, sk, 0) ? 0 : 1;
}
SEC("sk_lookup") int steer_unchecked_bad(struct bpf_sk_lookup *ctx)
{
	u32 zero = 0;
	struct bpf_sock *sk = map_lookup_elem(&map_of_sockets, &zero);
	sk_assign(ctx, sk, 0);
	sk_release(sk);
	return 1;
}
SEC("sk_reuseport") int select(struct sk_reuseport_md *ctx)
{
	u32 key = ctx->hash & 15;
	void *data = ctx->data, *end = ctx->data_end;
	if (ctx->ip_protocol == 17 && data + 8 <= end)
		key = ((struct udphdr *)data)->source & 15;
	if (sk_select_reuseport(ctx, &group, &key, 0) == 0)
		return 1;
	return 0;
}
SEC("sk_reuseport") int select_socket(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	return sk->family + ctx->len + ctx->bind_inany + ctx->eth_protocol;
}
SEC("sk_reuseport") int select_bad(struct sk_reuseport_md *ctx) { ctx->hash = 1; return 1; }
SEC("sk_reuseport") int select_data_bad(struct sk_reuseport_md *ctx) { return *(u8 *)ctx->data; }
