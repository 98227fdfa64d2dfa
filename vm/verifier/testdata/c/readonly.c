// Maps, and a context, that programs may not write to.
#include "kernel.h"

#define KEPT(name, kind, K) \
	struct { NUMBER(type, kind); NUMBER(max_entries, 4); NUMBER(map_flags, 128); TYPE(key, K); TYPE(value, u64); } name SEC(".maps")
KEPT(kept_hash, HASH, u32);
KEPT(kept_array, ARRAY, u32);
struct { NUMBER(type, QUEUE); NUMBER(max_entries, 4); NUMBER(map_flags, 128); TYPE(value, u64); } kept_queue SEC(".maps");
MAP(devices, DEVMAP, 4, u32, u64);
MAP(devices_by_number, DEVMAP_HASH, 4, u32, u32);

static long (*pop)(void *map, void *value) = (void *)88;
static long (*peek)(void *map, void *value) = (void *)89;

SEC("tc") int look(struct __sk_buff *ctx)
{
	u32 key = 0;
	u64 *v = map_lookup_elem(&kept_hash, &key), *w = map_lookup_elem(&kept_array, &key), top = 0;
	peek(&kept_queue, &top);
	return (v ? *v : 0) + (w ? *w : 0) + top;
}
SEC("tc") int update_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	u64 v = 1;
	return map_update_elem(&kept_hash, &key, &v, 0);
}
SEC("tc") int update_array_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	u64 v = 1;
	return map_update_elem(&kept_array, &key, &v, 0);
}
SEC("tc") int delete_bad(struct __sk_buff *ctx)
{
	u32 key = 0;
	return map_delete_elem(&kept_hash, &key);
}
SEC("tc") int push_bad(struct __sk_buff *ctx)
{
	u64 v = 1;
	return map_push_elem(&kept_queue, &v, 0);
}
SEC("tc") int pop_bad(struct __sk_buff *ctx)
{
	u64 v = 1;
	return pop(&kept_queue, &v);
}
SEC("xdp") int device(struct xdp_md *ctx)
{
	u32 key = 0, *v = map_lookup_elem(&devices, &key), *w = map_lookup_elem(&devices_by_number, &key);
	return (v ? *v : 0) + (w ? *w : 0);
}
SEC("xdp") int device_bad(struct xdp_md *ctx)
{
	u32 key = 0, *v = map_lookup_elem(&devices, &key);
	if (v)
		*v = 1;
	return 2;
}
SEC("xdp") int device_by_number_bad(struct xdp_md *ctx)
{
	u32 key = 0, *v = map_lookup_elem(&devices_by_number, &key);
	if (v)
		*v = 1;
	return 2;
}
SEC("kprobe/vfs_read") int registers_bad(u64 *ctx) { ctx[14] = 0; return 0; }
SEC("uprobe") int user_registers_bad(u64 *ctx) { ctx[16] = 0; return 0; }
