// Tail calls: a chain, and one that would never end.
#include "program.h"

int second(struct __sk_buff *);
int endless(struct __sk_buff *);

struct { NUMBER(type, PROG_ARRAY); NUMBER(key_size, 4); NUMBER(max_entries, 4); int (*values[])(struct __sk_buff *); } programs
	SEC(".maps") = { .values = { [0] = (void *)&second, [1] = (void *)&endless } };

u32 trail[4];

SEC("socket") int first(struct __sk_buff *skb)
{
	trail[0]++;
	tail_call(skb, &programs, 0);
	return 1;
}

SEC("socket") int second(struct __sk_buff *skb)
{
	trail[1]++;
	tail_call(skb, &programs, 3);
	trail[2]++;
	return 2;
}

SEC("socket") int endless(struct __sk_buff *skb)
{
	trail[3]++;
	tail_call(skb, &programs, 1);
	return trail[3];
}
