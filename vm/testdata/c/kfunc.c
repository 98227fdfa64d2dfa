// Functions of the kernel that programs of all kinds have: counted loops and views of packets.
#include "program.h"

struct bpf_iter_num { u64 opaque; } __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __attribute__((section(".ksyms")));
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __attribute__((section(".ksyms")));
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __attribute__((section(".ksyms")));
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *ptr) __attribute__((section(".ksyms")));
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 size) __attribute__((section(".ksyms")));
extern u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __attribute__((section(".ksyms")));
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, u32 start, u32 end) __attribute__((section(".ksyms")));

u64 results[12];

SEC("xdp") int views(struct xdp_md *ctx)
{
	struct bpf_iter_num it;
	u64 sum = 0;
	int *v;
	bpf_iter_num_new(&it, 3, 10);
	while ((v = bpf_iter_num_next(&it)))
		sum += *v;
	bpf_iter_num_destroy(&it);
	results[0] = sum;

	struct bpf_dynptr packet;
	results[1] = -bpf_dynptr_from_xdp(ctx, 0, &packet);
	results[2] = bpf_dynptr_size(&packet);
	results[3] = -bpf_dynptr_adjust(&packet, 12, 34);
	results[4] = bpf_dynptr_size(&packet);
	u8 buffer[2] = {};
	u8 *type = bpf_dynptr_slice(&packet, 0, buffer, 2);
	results[5] = type ? type[0] << 8 | type[1] : 0;
	u32 source = 0;
	results[6] = -dynptr_read(&source, 4, &packet, 14, 0);
	results[7] = source;
	results[8] = -dynptr_read(&source, 4, &packet, 20, 0);
	results[9] = -bpf_dynptr_adjust(&packet, 5, 100);
	return 2;
}
