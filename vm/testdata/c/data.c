// Global data in all its sections, functions, and calls with many arguments.
#include "program.h"

struct pair { u32 a; u64 b; };

int counter = 5;
static u64 hidden = 1000;
u32 zeros[8];
const volatile u32 limit = 3;
const char text[] = "abc";
struct pair pairs[3] = { { 1, 10 }, { 2, 20 }, { 3, 30 } };
u8 custom SEC(".data.custom") = 9;

NEVER u64 weigh(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	u64 stack[8];
	for (int i = 0; i < 8; i++)
		stack[i] = a * i + b;
	barrier();
	return stack[c & 7] + stack[d & 7] - e;
}

NEVER u64 deeper(u64 n) { return n ? weigh(n, hidden, n, n + 1, 1) : 0; }

SEC("socket") int globals(struct __sk_buff *skb)
{
	u64 r = 0;
	counter += 2;
	hidden++;
	zeros[2] = skb->len;
	for (u32 i = 0; i < limit; i++)
		r += pairs[i & 1].a * pairs[i & 1].b;
	for (int i = 0; i < 3; i++)
		r = r * 31 + text[i];
	pairs[1].b++;
	custom++;
	return r + deeper(skb->len) + counter;
}
