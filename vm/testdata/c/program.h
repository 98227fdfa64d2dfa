// What the programs here need of the kernel: types, sections, maps and helpers.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define SEC(name) __attribute__((section(name), used))
#define ALWAYS static inline __attribute__((always_inline))
#define NEVER __attribute__((noinline))
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) type *name
#define VALUES(name) typeof(name)

#define htons(x) __builtin_bswap16(x)
#define barrier() asm volatile("" ::: "memory")

enum {
	HASH = 1, ARRAY = 2, PROG_ARRAY = 3, PERF_EVENT_ARRAY = 4, PERCPU_HASH = 5, PERCPU_ARRAY = 6, LRU_HASH = 9, LPM_TRIE = 11,
	ARRAY_OF_MAPS = 12, HASH_OF_MAPS = 13, DEVMAP = 14, QUEUE = 22, STACK = 23, RINGBUF = 27,
};

struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };

struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex, tc_index;
	u32 cb[5];
	u32 hash, tc_classid, data, data_end, napi_id, family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	u32 data_meta;
};

struct ethhdr { u8 dest[6], source[6]; u16 proto; } __attribute__((packed));
struct iphdr { u8 ihl : 4, version : 4; u8 tos; u16 tot_len, id, frag_off; u8 ttl, protocol; u16 check; u32 saddr, daddr; };
struct udphdr { u16 source, dest, len, check; };

struct bpf_spin_lock { u32 val; };
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_dynptr { u64 opaque[2]; } __attribute__((aligned(8)));

static void *(*map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*ktime_get_ns)(void) = (void *)5;
static long (*trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static u32 (*get_smp_processor_id)(void) = (void *)8;
static long (*skb_store_bytes)(void *skb, u32 off, const void *from, u32 len, u64 flags) = (void *)9;
static long (*l3_csum_replace)(void *skb, u32 off, u64 from, u64 to, u64 size) = (void *)10;
static long (*l4_csum_replace)(void *skb, u32 off, u64 from, u64 to, u64 flags) = (void *)11;
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static long (*skb_vlan_push)(void *skb, u16 proto, u16 tci) = (void *)18;
static long (*skb_vlan_pop)(void *skb) = (void *)19;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*skb_load_bytes)(void *skb, u32 off, void *to, u32 len) = (void *)26;
static s64 (*csum_diff)(void *from, u32 from_size, void *to, u32 to_size, u32 seed) = (void *)28;
static long (*skb_change_proto)(void *skb, u16 proto, u64 flags) = (void *)31;
static long (*skb_change_type)(void *skb, u32 type) = (void *)32;
static long (*skb_change_tail)(void *skb, u32 len, u64 flags) = (void *)38;
static long (*skb_pull_data)(void *skb, u32 len) = (void *)39;
static long (*skb_change_head)(void *skb, u32 len, u64 flags) = (void *)43;
static long (*xdp_adjust_head)(void *xdp, int delta) = (void *)44;
static long (*skb_adjust_room)(void *skb, s32 diff, u32 mode, u64 flags) = (void *)50;
static long (*redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*xdp_adjust_meta)(void *xdp, int delta) = (void *)54;
static long (*xdp_adjust_tail)(void *xdp, int delta) = (void *)65;
static long (*skb_load_bytes_relative)(void *skb, u32 off, void *to, u32 len, u32 start) = (void *)68;
static long (*map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*map_pop_elem)(void *map, void *value) = (void *)88;
static long (*map_peek_elem)(void *map, void *value) = (void *)89;
static void (*spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static void (*spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*strtol)(const char *buf, u64 len, u64 flags, s64 *res) = (void *)105;
static long (*strtoul)(const char *buf, u64 len, u64 flags, u64 *res) = (void *)106;
static long (*probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static long (*probe_read_kernel_str)(void *dst, u32 size, const void *from) = (void *)115;
static long (*ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;
static void *(*ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*ringbuf_query)(void *map, u64 flags) = (void *)134;
static long (*for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*snprintf)(char *str, u32 size, const char *fmt, u64 *data, u32 len) = (void *)165;
static long (*timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*timer_start)(struct bpf_timer *timer, u64 ns, u64 flags) = (void *)171;
static long (*timer_cancel)(struct bpf_timer *timer) = (void *)172;
static long (*loop)(u32 rounds, void *callback, void *ctx, u64 flags) = (void *)181;
static long (*strncmp)(const char *s1, u32 size, const char *s2) = (void *)182;
static u64 (*xdp_get_buff_len)(void *xdp) = (void *)188;
static long (*xdp_load_bytes)(void *xdp, u32 off, void *to, u32 len) = (void *)189;
static long (*xdp_store_bytes)(void *xdp, u32 off, void *from, u32 len) = (void *)190;
static void *(*map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;
static long (*dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;
static long (*ringbuf_reserve_dynptr)(void *map, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)198;
static void (*ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)199;
static void (*ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)200;
static long (*dynptr_read)(void *dst, u32 len, const struct bpf_dynptr *src, u32 off, u64 flags) = (void *)201;
static long (*dynptr_write)(const struct bpf_dynptr *dst, u32 off, void *src, u32 len, u64 flags) = (void *)202;
static void *(*dynptr_data)(const struct bpf_dynptr *ptr, u32 off, u32 len) = (void *)203;

char LICENSE[] SEC("license") = "GPL";
