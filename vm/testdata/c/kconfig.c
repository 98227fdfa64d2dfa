// The kernel's configuration, in variables of all kinds.
#include "program.h"

enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

#define CONFIG extern
#define KCONFIG __attribute__((section(".kconfig")))

CONFIG int LINUX_KERNEL_VERSION KCONFIG;
CONFIG _Bool CONFIG_BPF_SYSCALL KCONFIG;
CONFIG enum libbpf_tristate CONFIG_NET KCONFIG;
CONFIG u32 CONFIG_HZ KCONFIG;
CONFIG u64 CONFIG_NR_CPUS KCONFIG;
CONFIG s64 CONFIG_LOG_BUF_SHIFT KCONFIG;
CONFIG u16 CONFIG_ARCH_MMAP_RND_BITS KCONFIG;
CONFIG char CONFIG_CC_VERSION_TEXT[64] KCONFIG;
CONFIG char CONFIG_DEFAULT_HOSTNAME[32] KCONFIG;

u64 results[10];
char texts[2][64];

SEC("xdp") int options(struct xdp_md *ctx)
{
	results[0] = LINUX_KERNEL_VERSION;
	results[1] = CONFIG_BPF_SYSCALL;
	results[2] = CONFIG_NET;
	results[4] = CONFIG_HZ;
	results[5] = CONFIG_NR_CPUS;
	results[6] = CONFIG_LOG_BUF_SHIFT;
	results[7] = CONFIG_ARCH_MMAP_RND_BITS;
	for (int i = 0; i < 64; i++)
		texts[0][i] = CONFIG_CC_VERSION_TEXT[i];
	for (int i = 0; i < 32; i++)
		texts[1][i] = CONFIG_DEFAULT_HOSTNAME[i];
	return 2;
}
