// Text: numbers from it and formats to it.
#include "program.h"

char out[4][64], wide[3][160];
s64 results[32];
static const char hello[] = "hello";
static const char format1[] = "%d %u %x %lld|%5d|%-5d|%05d|%s|%c%%";
static const char format2[] = "%pI4 %pi4 %016llx %X";
static const char format5[] = "%pI6|%pi6|%pI6|";
static const char format6[] = "%x|%-8x|%08lx|%5c|%-5c|% d|%+5d|%lli|";
static const char format7[] = "%08X|%20s|%-20s|%3d|%lu|%llx|%p|%px|";
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
	u8 six[16] = { 0xfe, 0x80, [10] = 0xff, 0xfe, 1, 2, 3, 4 }, zero[16] = {};
	u64 addrs[3] = { (u64)six, (u64)six, (u64)zero };
	results[21] = snprintf(wide[0], 160, format5, addrs, sizeof(addrs));
	u64 kinds[8] = { 10, 10, 10, 'a', 'b', 5, 6, -7 };
	results[22] = snprintf(wide[1], 160, format6, kinds, sizeof(kinds));
	u64 wider[8] = { 0xbeef, (u64)hello, (u64)hello, -1, -1, -1, 0, 0x1234 };
	results[23] = snprintf(wide[2], 160, format7, wider, sizeof(wider));
	return 0;
}
