// Text: numbers from it and formats to it.
#include "program.h"

char out[4][64];
s64 results[32];
static const char hello[] = "hello";
static const char format1[] = "%d %u %x %lld|%5d|%-5d|%05d|%s|%c%%";
static const char format2[] = "%pI4 %pi4 %016llx %X";
static const char format4[] = "%lx %i %10s| %+d";

SEC("socket") int texts(struct __sk_buff *skb)
{
	s64 n = 0;
	u64 u = 0;
	char number[16] = " -0x1fz", plain[16] = "0777", minus[8] = "-", big[24] = "9223372036854775808", dec[8] = "12";
	results[0] = strtol(number, 16, 0, &n);
	results[1] = n;
	results[2] = strtol(plain, 16, 0, &n);
	results[3] = n;
	results[4] = strtol(plain, 16, 10, &n);
	results[5] = n;
	results[6] = strtol(minus, 8, 0, &n);
	results[7] = strtol(big, 24, 10, &n);
	results[8] = strtoul(big, 24, 10, &u);
	results[9] = u;
	results[10] = strtoul(number, 16, 0, &u);
	results[11] = strtol(dec, 8, 3, &n);
	results[12] = strncmp(number, 3, hello);
	char greeting[6] = "hello";
	results[13] = strncmp(greeting, 6, hello);
	greeting[2] = 'z';
	results[14] = strncmp(greeting, 6, hello);
	results[15] = strncmp(greeting, 2, hello);
	u64 args[9] = { -5, 7, 255, -123456789012, 42, 42, 42, (u64)hello, 'x' };
	results[16] = snprintf(out[0], 64, format1, args, sizeof(args));
	u32 addr = 0x0102a8c0;
	u64 more[4] = { (u64)&addr, (u64)&addr, 0xabcdef, 0xabcdef };
	results[17] = snprintf(out[1], 64, format2, more, sizeof(more));
	results[19] = snprintf(out[2], 10, format1, args, sizeof(args));
	u64 last[4] = { -1, -1, (u64)hello, 3 };
	results[20] = snprintf(out[3], 64, format4, last, sizeof(last));
	return 0;
}
