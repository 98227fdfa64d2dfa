// A program whose arguments are pointers to structs of the kernel, which it follows.
#include "program.h"

struct inner { int x, y; } __attribute__((preserve_access_index));
struct thing { int first; struct inner in; char name[8]; struct thing *next; unsigned flag : 3; } __attribute__((preserve_access_index));

s64 results[8];

SEC("tp_btf/some") int follow(u64 *ctx)
{
	struct thing *t = (void *)ctx[0];
	results[0] = t->in.y;
	results[1] = t->next->in.x;
	results[2] = t->next->next->in.x;
	results[3] = (signed char)t->name[1];
	results[4] = ctx[1];
	return 0;
}
