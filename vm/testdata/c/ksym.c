// Variables of the kernel, of which one may be missing.
#include "program.h"

extern void there __attribute__((section(".ksyms")));
extern void missing __attribute__((section(".ksyms"), weak));

u64 results[2];

SEC("socket") int symbols(struct __sk_buff *skb)
{
	results[0] = (u64)&there;
	results[1] = (u64)&missing;
	return 0;
}
