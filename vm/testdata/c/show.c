// Values of the kernel's types as text.
#include "program.h"

struct btf_ptr { void *ptr; u32 type_id, flags; };
static long (*snprintf_btf)(char *str, u32 size, struct btf_ptr *ptr, u32 ptr_size, u64 flags) = (void *)149;

u32 type_id, flags;
u8 value[4096];
s64 result, wrong[4];
char text[65536], small[16];

SEC("tc") int show(struct __sk_buff *skb)
{
	struct btf_ptr p = { value, type_id, 0 };
	result = snprintf_btf(text, sizeof(text), &p, sizeof(p), flags);
	wrong[0] = snprintf_btf(small, 8, &p, sizeof(p), 16);
	wrong[1] = snprintf_btf(small, 8, &p, 8, 0);
	wrong[2] = snprintf_btf(small, 8, &p, sizeof(p), flags | 8);
	p.type_id = 0;
	wrong[3] = snprintf_btf(small, 8, &p, sizeof(p), 0);
	return 0;
}
