// SYN cookies.
#include "program.h"

struct tcphdr { u16 source, dest; u32 seq, ack; u8 rest : 4, doff : 4; u8 flags; u16 window, check, urg; };
struct syn { struct tcphdr tcp; u8 options[20]; };
struct ip6 { u32 first; u16 length; u8 next, hops; u8 source[16], dest[16]; };

static s64 (*gen4)(void *ip, void *tcp, u32 size) = (void *)204;
static s64 (*gen6)(void *ip, void *tcp, u32 size) = (void *)205;
static long (*check4)(void *ip, void *tcp) = (void *)206;
static long (*check6)(void *ip, void *tcp) = (void *)207;

s64 results[40];

ALWAYS void syn(struct syn *s, u16 size)
{
	s->tcp.source = htons(1000);
	s->tcp.dest = htons(80);
	s->tcp.seq = 0x78563412;
	s->tcp.doff = 10;
	s->tcp.flags = 2;
	u8 options[20] = { 1, 1, 4, 2, 2, 4, size >> 8, size, 3, 3, 7, 1, 8, 10 };
	__builtin_memcpy(s->options, options, 20);
}

// answer is what the client sends after the cookie.
ALWAYS void answer(struct syn *s, u32 cookie)
{
	s->tcp.seq = __builtin_bswap32(__builtin_bswap32(s->tcp.seq) + 1);
	s->tcp.ack = __builtin_bswap32(cookie + 1);
}

ALWAYS void four(int at, u16 size)
{
	struct iphdr ip = { .ihl = 5, .version = 4, .protocol = 6, .saddr = 0x0100007f, .daddr = 0x0200007f };
	struct syn s = {};
	syn(&s, size);
	s64 cookie = gen4(&ip, &s, sizeof(s));
	results[at] = cookie >> 32;
	answer(&s, cookie);
	results[at + 1] = check4(&ip, &s.tcp);
	s.tcp.source++;
	results[at + 2] = check4(&ip, &s.tcp);
}

ALWAYS void six(int at, u16 size)
{
	struct ip6 ip = { .first = 0x60, .next = 6, .source = { 1 }, .dest = { 2 } };
	struct syn s = {};
	syn(&s, size);
	s64 cookie = gen6(&ip, &s, sizeof(s));
	results[at] = cookie >> 32;
	answer(&s, cookie);
	results[at + 1] = check6(&ip, &s.tcp);
	s.tcp.ack += 0x01000000;
	ip.dest[3] = 1;
	results[at + 2] = check6(&ip, &s.tcp);
}

SEC("xdp") int cookies(struct xdp_md *ctx)
{
	four(0, 1460);
	four(3, 1459);
	four(6, 100);
	four(9, 9000);
	six(12, 1440);
	six(15, 8940);
	six(18, 1);
	struct iphdr ip = { .ihl = 5, .version = 4 };
	struct syn s = {};
	syn(&s, 0);
	results[21] = gen4(&ip, &s, sizeof(s)) >> 32; // a size of 0 is none
	results[22] = gen4(&ip, &s, 36);
	results[23] = gen4(&ip, &s, 16);
	s.options[4] = 0; // the end of the options
	results[24] = gen4(&ip, &s, sizeof(s)) >> 32;
	s.tcp.doff = 5;
	results[25] = gen4(&ip, &s, 20) >> 32;
	results[26] = gen4(&ip, &s, 0);
	return 2;
}
