// Programs of traffic control and of sockets' packets: translation of addresses, pulled data, sockets looked up and released.
#include "kernel.h"

struct nat { u32 addr; u16 port, pad; };
MAP(nats, HASH, 256, u32, struct nat);
MAP(progs, PROG_ARRAY, 4, u32, u32);
struct rate { struct bpf_spin_lock lock; u64 tokens, last; };
MAP(rates, HASH, 64, u32, struct rate);
LOCAL_STORAGE(per_socket, SK_STORAGE, u64);
u64 seen, bad_len;

#define IP_CSUM (14 + 10)
#define IP_DST (14 + 16)

SEC("tc") int nat(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end) {
		if (skb_pull_data(skb, 34))
			return 2;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		ip = data + 14;
		if ((void *)(ip + 1) > end)
			return 2;
	}
	u32 old = ip->daddr;
	struct nat *n = map_lookup_elem(&nats, &old);
	if (!n)
		return 0;
	u32 to = n->addr;
	l3_csum_replace(skb, IP_CSUM, old, to, 4);
	skb_store_bytes(skb, IP_DST, &to, 4, 0);
	return redirect(skb->ifindex, 0);
}

SEC("tc") int nat_bad(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + 14;
	if ((void *)(ip + 1) > end)
		return 2;
	u32 to = 1;
	skb_store_bytes(skb, IP_DST, &to, 4, 0);
	return ip->ttl;
}

SEC("classifier") int marks(struct __sk_buff *skb)
{
	skb->mark = skb->hash;
	skb->priority = skb->tc_index;
	skb->cb[0] = skb->len;
	skb->cb[4] = skb->vlan_tci;
	skb->tc_classid = 1;
	skb->queue_mapping = 2;
	return skb->protocol == htons(0x0800) ? 0 : 2;
}
SEC("classifier") int marks_bad(struct __sk_buff *skb)
{
	skb->len = 3;
	return 0;
}
SEC("classifier") int hash_bad(struct __sk_buff *skb)
{
	skb->hash = 3;
	return 0;
}
SEC("tc") int wide(struct __sk_buff *skb) { return skb->tstamp + skb->gso_segs + skb->gso_size + skb->wire_len; }
SEC("tc") int narrow(struct __sk_buff *skb) { return *(u8 *)&skb->mark + *(u16 *)&skb->protocol; }
SEC("tc") int narrow_bad(struct __sk_buff *skb) { return *(u16 *)((void *)&skb->mark + 1); }

SEC("tc") int find_socket(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {.saddr = 1, .daddr = 2, .sport = 3, .dport = 4};
	struct bpf_sock *sk = sk_lookup_tcp(skb, &t, 12, -1, 0);
	if (!sk)
		return 0;
	u32 mark = sk->mark, state = sk->state;
	sk_release(sk);
	return mark + state;
}
SEC("tc") int find_socket_bad(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {.saddr = 1, .daddr = 2, .sport = 3, .dport = 4};
	struct bpf_sock *sk = sk_lookup_tcp(skb, &t, 12, -1, 0);
	if (!sk)
		return 0;
	return sk->mark;
}
SEC("tc") int find_socket_after_bad(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {.saddr = 1, .daddr = 2, .sport = 3, .dport = 4};
	struct bpf_sock *sk = sk_lookup_udp(skb, &t, 12, -1, 0);
	if (!sk)
		return 0;
	sk_release(sk);
	return sk->mark;
}
SEC("tc") int assign(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {.saddr = 1, .daddr = 2, .sport = 3, .dport = 4};
	struct bpf_sock *sk = skc_lookup_tcp(skb, &t, 12, -1, 0);
	long err = 0;
	if (sk) {
		if (sk->state == 10)
			err = sk_assign(skb, sk, 0);
		sk_release(sk);
	}
	return err ? 2 : 0;
}
SEC("tc") int own_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	sk = sk_fullsock(sk);
	if (!sk)
		return 0;
	struct bpf_tcp_sock *tp = tcp_sock(sk);
	if (!tp)
		return 0;
	u64 *n = sk_storage_get(&per_socket, sk, 0, 1);
	if (n)
		*n += tp->bytes_acked;
	return tp->snd_cwnd > 10 ? 0 : tp->total_retrans;
}
SEC("tc") int own_socket_bad(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	struct bpf_tcp_sock *tp = tcp_sock(sk);
	return tp->snd_cwnd;
}
SEC("tc") int own_socket_full_bad(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return 0;
	return sk->mark;
}
SEC("tc") int tcp_wide(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tp = sk ? tcp_sock(sk) : 0;
	return tp ? *(u8 *)&tp->snd_cwnd + tp->icsk_retransmits : 0;
}
SEC("tc") int tcp_write_bad(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tp = sk ? tcp_sock(sk) : 0;
	if (tp)
		tp->snd_cwnd = 1;
	return 0;
}

SEC("tc") int bucket(struct __sk_buff *skb)
{
	u32 now_key = skb->ifindex;
	struct rate *r = map_lookup_elem(&rates, &now_key);
	if (!r)
		return 0;
	u64 now = ktime_get_ns();
	int verdict = 0;
	spin_lock(&r->lock);
	r->tokens += (now - r->last) / 1000;
	r->last = now;
	if (r->tokens < skb->len)
		verdict = 2;
	else
		r->tokens -= skb->len;
	spin_unlock(&r->lock);
	return verdict;
}
SEC("tc") int bucket_ok(struct __sk_buff *skb)
{
	u32 now_key = skb->ifindex;
	struct rate *r = map_lookup_elem(&rates, &now_key);
	if (!r)
		return 0;
	u64 now = ktime_get_ns();
	u32 len = skb->len;
	int verdict = 0;
	spin_lock(&r->lock);
	r->tokens += (now - r->last) / 1000;
	r->last = now;
	if (r->tokens < len)
		verdict = 2;
	else
		r->tokens -= len;
	spin_unlock(&r->lock);
	return verdict;
}
SEC("tc") int bucket_bad(struct __sk_buff *skb)
{
	u32 now_key = skb->ifindex;
	struct rate *r = map_lookup_elem(&rates, &now_key);
	if (!r)
		return 0;
	spin_lock(&r->lock);
	if (r->tokens < 3)
		return 2;
	spin_unlock(&r->lock);
	return 0;
}
SEC("tc") int bucket_call_bad(struct __sk_buff *skb)
{
	u32 now_key = skb->ifindex;
	struct rate *r = map_lookup_elem(&rates, &now_key);
	if (!r)
		return 0;
	spin_lock(&r->lock);
	r->last = ktime_get_ns();
	spin_unlock(&r->lock);
	return 0;
}

SEC("socket") int filter(struct __sk_buff *skb)
{
	u8 proto = 0;
	u32 ports = 0;
	if (skb_load_bytes(skb, 23, &proto, 1) < 0)
		return 0;
	if (proto == 6 || proto == 17)
		skb_load_bytes(skb, 34, &ports, 4);
	skb->cb[1] = ports;
	return ports ? skb->len : 0;
}
SEC("socket") int filter_bad(struct __sk_buff *skb)
{
	return *(u8 *)(long)skb->data;
}
SEC("socket") int filter_mark_bad(struct __sk_buff *skb)
{
	skb->mark = 1;
	return 0;
}
u64 load_byte(void *skb, u64 off) asm("llvm.bpf.load.byte");
u64 load_half(void *skb, u64 off) asm("llvm.bpf.load.half");
SEC("socket") int old_loads(struct __sk_buff *skb)
{
	if (load_half(skb, 12) != 0x800)
		return 0;
	return load_byte(skb, 14 + (load_byte(skb, 14) & 15) * 4) == 80;
}
SEC("cgroup_skb/egress") int egress(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;
	if ((void *)(ip + 1) > end)
		return 1;
	__sync_fetch_and_add(&seen, 1);
	struct bpf_sock *sk = skb->sk;
	if (sk && (sk = sk_fullsock(sk))) {
		u64 *n = sk_storage_get(&per_socket, sk, 0, 1);
		if (n)
			*n += skb->len;
	}
	return ip->ttl > 1 ? 1 : 3;
}
SEC("cgroup_skb/ingress") int ingress_bad(struct __sk_buff *skb) { return 2; }
SEC("cgroup_skb/egress") int egress_bad(struct __sk_buff *skb) { return skb->len; }
SEC("lwt_xmit") int encap(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 20 > end)
		return 2;
	*(u8 *)(data + 8) = 64;
	return 0;
}
SEC("lwt_in") int encap_bad(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 20 > end)
		return 2;
	*(u8 *)(data + 8) = 64;
	return 0;
}
SEC("flow_dissector") int dissect(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_flow_keys *keys = skb->flow_keys;
	if (data + keys->nhoff + 20 > end) {
		u8 first;
		if (skb_load_bytes(skb, keys->nhoff, &first, 1))
			return 2;
		return first;
	}
	keys->thoff = keys->nhoff + 20;
	keys->ip_proto = 6;
	keys->n_proto = htons(0x0800);
	return keys->flow_label & 1 ? 2 : 0;
}
SEC("flow_dissector") int dissect_bad(struct __sk_buff *skb) { return skb->mark; }
SEC("flow_dissector") int dissect_keys_bad(struct __sk_buff *skb) { return *(u32 *)((void *)skb->flow_keys + 56); }
