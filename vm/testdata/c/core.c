// Accesses that are relocated to the kernel's layout.
#include "program.h"

struct inner { int x, y; } __attribute__((preserve_access_index));
struct thing { int first; struct inner in; char name[8]; struct thing *next; unsigned flag : 3; } __attribute__((preserve_access_index));
struct missing { int z; } __attribute__((preserve_access_index));
enum color { RED, GREEN = 5 };

s64 results[8];

extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern _Bool CONFIG_BPF __attribute__((section(".kconfig")));
extern u64 CONFIG_HZ __attribute__((section(".kconfig")));

SEC("raw_tp/some") int relocated(u64 *ctx)
{
	struct thing *t = (void *)ctx[0];
	int y = 0;
	probe_read_kernel(&y, sizeof(y), &t->in.y);
	results[0] = y;
	results[1] = __builtin_preserve_field_info(t->name, 0); // byte offset
	results[2] = __builtin_preserve_field_info(t->next, 2); // exists
	results[3] = __builtin_preserve_type_info(*(struct missing *)0, 0);
	results[4] = __builtin_preserve_enum_value(*(typeof(enum color) *)GREEN, 1);
	results[5] = LINUX_KERNEL_VERSION;
	results[6] = CONFIG_BPF;
	results[7] = CONFIG_HZ;
	return 0;
}
