// Programs of traffic control, each of which changes the packet or its fields.
#include "program.h"

struct { NUMBER(type, ARRAY); TYPE(key, u32); TYPE(value, u64); NUMBER(max_entries, 32); } answers SEC(".maps");

ALWAYS void answer(u32 key, u64 value) { map_update_elem(&answers, &key, &value, 0); }

SEC("tc") int rewrite(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + 14;
	answer(0, skb->len);
	answer(1, skb->protocol);
	answer(2, skb->ifindex);
	answer(3, skb->pkt_type);
	if ((void *)(ip + 1) > end)
		return 2;
	u32 from = ip->daddr, to = 0x0100007f;
	u16 port = htons(8080), was = 0;
	answer(4, -l3_csum_replace(skb, 24, from, to, 4));
	answer(5, -skb_store_bytes(skb, 30, &to, 4, 0));
	answer(6, -skb_load_bytes(skb, 36, &was, 2));
	answer(7, -l4_csum_replace(skb, 40, from, to, 0x10 | 0x20 | 4));
	answer(8, -l4_csum_replace(skb, 40, was, port, 0x20 | 2));
	answer(9, -skb_store_bytes(skb, 36, &port, 2, 2));
	answer(10, -skb_load_bytes(skb, 100000, &was, 2));
	answer(11, -l3_csum_replace(skb, 25, from, to, 4));
	answer(12, -l3_csum_replace(skb, 24, from, to, 3));
	answer(13, -skb_pull_data(skb, 100000));
	u32 four = 0;
	answer(14, -skb_load_bytes_relative(skb, 12, &four, 4, 1));
	answer(15, four);
	skb->mark = 0x1234;
	skb->priority = 7;
	skb->cb[2] = skb->mark + 1;
	answer(16, skb->cb[2] + skb->mark);
	answer(17, ((u8 *)&skb->mark)[1]);
	return 0;
}

SEC("tc") int vlan(struct __sk_buff *skb)
{
	answer(0, -skb_vlan_push(skb, htons(0x8100), 5));
	answer(1, skb->vlan_present | skb->vlan_tci << 8);
	answer(2, -skb_vlan_push(skb, htons(0x88a8), 6));
	answer(3, skb->vlan_present | skb->vlan_tci << 8);
	answer(4, skb->vlan_proto);
	answer(5, skb->len);
	answer(6, skb->protocol);
	if (skb->mark)
		return 0;
	answer(7, -skb_vlan_pop(skb));
	answer(8, skb->vlan_present | skb->vlan_tci << 8);
	answer(9, skb->len);
	answer(10, skb->protocol);
	return 0;
}

SEC("tc") int room(struct __sk_buff *skb)
{
	answer(0, -skb_adjust_room(skb, 8, 0, 0));
	answer(1, skb->len);
	answer(2, -skb_adjust_room(skb, 4, 1, 0));
	answer(3, skb->len);
	answer(4, -skb_adjust_room(skb, -4, 1, 0));
	answer(5, skb->len);
	answer(6, -skb_adjust_room(skb, 5000, 0, 0));
	answer(7, -skb_adjust_room(skb, -500, 0, 0));
	answer(8, -skb_adjust_room(skb, 4, 2, 0));
	return 0;
}

SEC("tc") int change(struct __sk_buff *skb)
{
	answer(0, -skb_change_proto(skb, htons(0x86dd), 0));
	answer(1, skb->len);
	answer(2, skb->protocol);
	answer(3, -skb_change_proto(skb, htons(0x86dd), 0));
	answer(4, -skb_change_type(skb, 1));
	answer(5, skb->pkt_type);
	answer(6, -skb_change_type(skb, 9));
	answer(7, -skb_change_tail(skb, 40, 0));
	answer(8, skb->len);
	answer(9, -skb_change_tail(skb, 50, 0));
	answer(10, skb->len);
	answer(11, -skb_change_tail(skb, 5, 0));
	answer(12, -skb_change_head(skb, 4, 0));
	answer(13, skb->len);
	answer(14, redirect(1, 1));
	answer(15, redirect(1, 8));
	return 0;
}

SEC("socket") int filter(struct __sk_buff *skb)
{
	u8 first = 0;
	answer(0, skb->len);
	answer(1, -skb_load_bytes(skb, 0, &first, 1));
	answer(2, first);
	answer(3, skb->protocol);
	return first == 0x45 ? skb->len : 0;
}

SEC("cgroup_skb/ingress") int cgroup(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;
	answer(0, skb->len);
	answer(1, skb->protocol);
	answer(2, skb->family);
	answer(3, skb->remote_ip4);
	answer(4, skb->local_ip4);
	answer(5, skb->ifindex);
	answer(6, skb->pkt_type);
	answer(7, skb->hash);
	answer(8, skb->vlan_present);
	answer(9, skb->remote_ip6[3]);
	if ((void *)(ip + 1) > end)
		return 0;
	answer(10, ip->protocol);
	u32 four = 0;
	answer(11, -skb_load_bytes_relative(skb, 0, &four, 4, 0));
	answer(12, four);
	answer(13, -skb_load_bytes_relative(skb, 9, &four, 1, 1));
	answer(14, four);
	return 1;
}
