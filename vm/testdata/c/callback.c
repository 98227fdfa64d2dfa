// A tail call from within a function, after which the caller goes on and calls its own function back.
#include "program.h"

int other(struct __sk_buff *);

struct { NUMBER(type, PROG_ARRAY); NUMBER(key_size, 4); NUMBER(max_entries, 1); int (*values[])(struct __sk_buff *); } programs
	SEC(".maps") = { .values = { [0] = (void *)&other } };

u64 results[4];

static long mine(u32 i, u64 *sum)
{
	*sum += i;
	return 0;
}

static long theirs(u32 i, u64 *sum)
{
	*sum += i * 100;
	return i == 3;
}

NEVER int away(struct __sk_buff *skb)
{
	tail_call(skb, &programs, 0);
	return 1;
}

SEC("tc") int begin(struct __sk_buff *skb)
{
	u64 sum = 0;
	results[0] = away(skb);
	results[1] = loop(5, mine, &sum, 0);
	results[2] = sum;
	return 0;
}

SEC("tc") int other(struct __sk_buff *skb)
{
	u64 sum = 0;
	barrier();
	loop(10, theirs, &sum, 0);
	results[3] = sum;
	return 42;
}
