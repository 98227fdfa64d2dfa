// Programs that depend on the kernel's version and configuration.
#include "program.h"

extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern u64 CONFIG_HZ __attribute__((section(".kconfig")));

#define VERSION(major, minor) ((major) << 16 | (minor) << 8)

static long (*strings_differ)(const char *, u32, const char *) = (void *)182; // bpf_strncmp, which Linux has since 5.17

char text[8];

SEC("socket") int asks_well(void *ctx)
{
	if (LINUX_KERNEL_VERSION >= VERSION(5, 17))
		return strings_differ(text, 8, "abc");
	return 0;
}

SEC("socket") int asks_badly(void *ctx)
{
	if (LINUX_KERNEL_VERSION >= VERSION(5, 8))
		return strings_differ(text, 8, "abc");
	return 0;
}

SEC("socket") int configured(void *ctx)
{
	return CONFIG_HZ > 300;
}
