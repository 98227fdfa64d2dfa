// What the programs here need of the kernel: types, sections, maps, helpers and functions. A function whose name ends in _bad breaks a rule.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef signed short s16;
typedef signed int s32;
typedef signed long long s64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define ALWAYS static inline __attribute__((always_inline))
#define NEVER __attribute__((noinline))
#define STATIC static __attribute__((noinline))
#define KSYM extern __attribute__((section(".ksyms")))
#define KERNEL_TYPES _Pragma("clang attribute push(__attribute__((preserve_access_index)), apply_to = record)")
#define END_KERNEL_TYPES _Pragma("clang attribute pop")
// Compilers before clang 15 write no tags of types: the tests make them of those of members.
#define POINTER(kind) __attribute__((btf_type_tag(kind), btf_decl_tag("type:" kind)))
#define KPTR POINTER("kptr")
#define TAG(text) __attribute__((btf_decl_tag(text)))
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) type *name
#define VALUES(name) typeof(name)
#define MAP(name, kind, entries, K, V) \
	struct { NUMBER(type, kind); NUMBER(max_entries, entries); TYPE(key, K); TYPE(value, V); } name SEC(".maps")
#define RING(name, size) \
	struct { NUMBER(type, RINGBUF); NUMBER(max_entries, size); } name SEC(".maps")
#define LOCAL_STORAGE(name, kind, V) \
	struct { NUMBER(type, kind); NUMBER(map_flags, 1); TYPE(key, int); TYPE(value, V); } name SEC(".maps")

#define htons(x) ((u16)__builtin_bswap16(x))
#define htonl(x) __builtin_bswap32(x)
#define barrier() asm volatile("" ::: "memory")
#define barrier_var(x) asm volatile("" : "+r"(x))
#define offsetof(t, m) __builtin_offsetof(t, m)
#define container_of(p, t, m) ((t *)((void *)(p)-offsetof(t, m)))

enum {
	HASH = 1, ARRAY = 2, PROG_ARRAY = 3, PERF_EVENT_ARRAY = 4, PERCPU_HASH = 5, PERCPU_ARRAY = 6, STACK_TRACE = 7, CGROUP_ARRAY = 8, LRU_HASH = 9,
	LRU_PERCPU_HASH = 10, LPM_TRIE = 11, ARRAY_OF_MAPS = 12, HASH_OF_MAPS = 13, DEVMAP = 14, SOCKMAP = 15, CPUMAP = 16, XSKMAP = 17, SOCKHASH = 18,
	REUSEPORT_SOCKARRAY = 20, QUEUE = 22, STACK = 23, SK_STORAGE = 24, DEVMAP_HASH = 25, RINGBUF = 27, INODE_STORAGE = 28, TASK_STORAGE = 29,
	BLOOM_FILTER = 30, USER_RINGBUF = 31, CGRP_STORAGE = 32,
};

struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };

struct bpf_sock {
	u32 bound_dev_if, family, type, protocol, mark, priority, src_ip4, src_ip6[4], src_port;
	u16 dst_port, pad;
	u32 dst_ip4, dst_ip6[4], state;
	s32 rx_queue_mapping;
};
struct bpf_tcp_sock {
	u32 snd_cwnd, srtt_us, rtt_min, snd_ssthresh, rcv_nxt, snd_nxt, snd_una, mss_cache, ecn_flags, rate_delivered, rate_interval_us, packets_out,
		retrans_out, total_retrans, segs_in, data_segs_in, segs_out, data_segs_out, lost_out, sacked_out;
	u64 bytes_received, bytes_acked;
	u32 dsack_dups, delivered, delivered_ce, icsk_retransmits;
};
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex, tc_index;
	u32 cb[5];
	u32 hash, tc_classid, data, data_end, napi_id, family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	u32 data_meta;
	struct bpf_flow_keys *flow_keys __attribute__((aligned(8)));
	u64 tstamp;
	u32 wire_len, gso_segs;
	struct bpf_sock *sk __attribute__((aligned(8)));
	u32 gso_size;
	u8 tstamp_type, pad[3];
	u64 hwtstamp;
};
struct bpf_flow_keys {
	u16 nhoff, thoff, addr_proto;
	u8 is_frag, is_first_frag, is_encap, ip_proto;
	u16 n_proto, sport, dport;
	u32 ipv4_src, ipv4_dst, more[6];
	u32 flags, flow_label;
};
struct bpf_sock_addr {
	u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4];
	struct bpf_sock *sk __attribute__((aligned(8)));
};
struct bpf_sock_ops {
	u32 op, args[4], family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, is_fullsock, snd_cwnd, srtt_us,
		bpf_sock_ops_cb_flags, state, rtt_min, snd_ssthresh, rcv_nxt, snd_nxt, snd_una, mss_cache, ecn_flags, rate_delivered, rate_interval_us,
		packets_out, retrans_out, total_retrans, segs_in, data_segs_in, segs_out, data_segs_out, lost_out, sacked_out, sk_txhash;
	u64 bytes_received, bytes_acked;
	struct bpf_sock *sk __attribute__((aligned(8)));
	void *skb_data __attribute__((aligned(8))), *skb_data_end __attribute__((aligned(8)));
	u32 skb_len, skb_tcp_flags;
	u64 skb_hwtstamp;
};
struct sk_msg_md {
	void *data __attribute__((aligned(8))), *data_end __attribute__((aligned(8)));
	u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, size;
	struct bpf_sock *sk __attribute__((aligned(8)));
};
struct sk_reuseport_md {
	void *data __attribute__((aligned(8))), *data_end __attribute__((aligned(8)));
	u32 len, eth_protocol, ip_protocol, bind_inany, hash;
	struct bpf_sock *sk __attribute__((aligned(8)));
	struct bpf_sock *migrating_sk __attribute__((aligned(8)));
};
struct bpf_sk_lookup {
	struct bpf_sock *sk __attribute__((aligned(8)));
	u32 family, protocol, remote_ip4, remote_ip6[4];
	u16 remote_port, pad;
	u32 local_ip4, local_ip6[4], local_port, ingress_ifindex;
};
struct bpf_sock_tuple { u32 saddr, daddr; u16 sport, dport; u32 more[6]; };
struct bpf_cgroup_dev_ctx { u32 access_type, major, minor; };
struct bpf_sysctl { u32 write, file_pos; };
struct bpf_sockopt {
	struct bpf_sock *sk __attribute__((aligned(8)));
	void *optval __attribute__((aligned(8))), *optval_end __attribute__((aligned(8)));
	s32 level, optname, optlen, retval;
};
struct bpf_raw_tracepoint_args { u64 args[0]; };
struct pt_regs { u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; };
struct bpf_perf_event_data { struct pt_regs regs; u64 sample_period, addr; };
struct bpf_nf_ctx;
struct bpf_fib_lookup { u8 family, l4_protocol; u16 sport, dport, tot_len; u32 ifindex, tos, src[4], dst[4]; u16 h_vlan_proto, h_vlan_TCI; u8 smac[6], dmac[6]; };

struct ethhdr { u8 h_dest[6], h_source[6]; u16 h_proto; } __attribute__((packed));
struct vlanhdr { u16 tci, proto; };
struct iphdr { u8 ihl : 4, version : 4; u8 tos; u16 tot_len, id, frag_off; u8 ttl, protocol; u16 check; u32 saddr, daddr; };
struct ip6hdr { u8 priority : 4, version : 4; u8 flow_lbl[3]; u16 payload_len; u8 nexthdr, hop_limit; u32 saddr[4], daddr[4]; };
struct ip6ext { u8 nexthdr, hdrlen; };
struct tcphdr { u16 source, dest; u32 seq, ack_seq; u16 res1 : 4, doff : 4, fin : 1, syn : 1, rst : 1, psh : 1, ack : 1, urg : 1, ece : 1, cwr : 1; u16 window, check, urg_ptr; };
struct udphdr { u16 source, dest, len, check; };

struct bpf_spin_lock { u32 val; };
struct bpf_res_spin_lock { u32 val; } __attribute__((aligned(4)));
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_wq { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_dynptr { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_head { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_rb_root { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_rb_node { u64 opaque[4]; } __attribute__((aligned(8)));
struct bpf_refcount { u32 opaque[1]; } __attribute__((aligned(4)));
struct bpf_iter_num { u64 opaque[1]; } __attribute__((aligned(8)));
struct bpf_iter_task { u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_iter_css_task { u64 opaque[1]; } __attribute__((aligned(8)));
struct bpf_iter_css { u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_iter_task_vma { u64 opaque[1]; } __attribute__((aligned(8)));
struct bpf_iter_bits { u64 opaque[2]; } __attribute__((aligned(8)));

struct sock; struct task_struct; struct cgroup; struct file; struct sk_buff;

static void *(*map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*probe_read)(void *dst, u32 size, const void *src) = (void *)4;
static u64 (*ktime_get_ns)(void) = (void *)5;
static long (*trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static u32 (*get_prandom_u32)(void) = (void *)7;
static u32 (*get_smp_processor_id)(void) = (void *)8;
static long (*skb_store_bytes)(void *skb, u32 off, const void *from, u32 len, u64 flags) = (void *)9;
static long (*l3_csum_replace)(void *skb, u32 off, u64 from, u64 to, u64 size) = (void *)10;
static long (*l4_csum_replace)(void *skb, u32 off, u64 from, u64 to, u64 flags) = (void *)11;
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static u64 (*get_current_pid_tgid)(void) = (void *)14;
static u64 (*get_current_uid_gid)(void) = (void *)15;
static long (*get_current_comm)(void *buf, u32 size) = (void *)16;
static long (*skb_vlan_push)(void *skb, u16 proto, u16 tci) = (void *)18;
static long (*skb_vlan_pop)(void *skb) = (void *)19;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*skb_load_bytes)(const void *skb, u32 off, void *to, u32 len) = (void *)26;
static long (*get_stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static s64 (*csum_diff)(void *from, u32 from_size, void *to, u32 to_size, u32 seed) = (void *)28;
static u64 (*get_current_task)(void) = (void *)35;
static long (*skb_pull_data)(void *skb, u32 len) = (void *)39;
static long (*xdp_adjust_head)(void *xdp, int delta) = (void *)44;
static long (*probe_read_str)(void *dst, u32 size, const void *src) = (void *)45;
static u64 (*get_socket_cookie)(void *ctx) = (void *)46;
static long (*setsockopt)(void *ctx, int level, int name, void *val, int len) = (void *)49;
static long (*redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*sk_redirect_map)(void *skb, void *map, u32 key, u64 flags) = (void *)52;
static long (*sock_map_update)(void *ops, void *map, void *key, u64 flags) = (void *)53;
static long (*xdp_adjust_meta)(void *xdp, int delta) = (void *)54;
static long (*getsockopt)(void *ctx, int level, int name, void *val, int len) = (void *)57;
static long (*sock_ops_cb_flags_set)(void *ops, int flags) = (void *)59;
static long (*msg_redirect_map)(void *msg, void *map, u32 key, u64 flags) = (void *)60;
static long (*msg_apply_bytes)(void *msg, u32 bytes) = (void *)61;
static long (*msg_pull_data)(void *msg, u32 start, u32 end, u64 flags) = (void *)63;
static long (*bind)(void *ctx, void *addr, int len) = (void *)64;
static long (*xdp_adjust_tail)(void *xdp, int delta) = (void *)65;
static long (*get_stack)(void *ctx, void *buf, u32 size, u64 flags) = (void *)67;
static long (*fib_lookup)(void *ctx, void *params, int len, u32 flags) = (void *)69;
static long (*sock_hash_update)(void *ops, void *map, void *key, u64 flags) = (void *)70;
static long (*msg_redirect_hash)(void *msg, void *map, void *key, u64 flags) = (void *)71;
static long (*sk_redirect_hash)(void *skb, void *map, void *key, u64 flags) = (void *)72;
static u64 (*get_current_cgroup_id)(void) = (void *)80;
static long (*sk_select_reuseport)(void *reuse, void *map, void *key, u64 flags) = (void *)82;
static struct bpf_sock *(*sk_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)84;
static struct bpf_sock *(*sk_lookup_udp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)85;
static long (*sk_release)(void *sk) = (void *)86;
static long (*map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*map_pop_elem)(void *map, void *value) = (void *)88;
static long (*map_peek_elem)(void *map, void *value) = (void *)89;
static long (*spin_lock)(void *lock) = (void *)93;
static long (*spin_unlock)(void *lock) = (void *)94;
static struct bpf_sock *(*sk_fullsock)(void *sk) = (void *)95;
static struct bpf_tcp_sock *(*tcp_sock)(void *sk) = (void *)96;
static struct bpf_sock *(*skc_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)99;
static long (*sysctl_get_name)(void *ctx, char *buf, u64 len, u64 flags) = (void *)101;
static long (*sysctl_get_new_value)(void *ctx, char *buf, u64 len) = (void *)103;
static long (*strtol)(const char *buf, u64 len, u64 flags, s64 *res) = (void *)105;
static void *(*sk_storage_get)(void *map, void *sk, void *value, u64 flags) = (void *)107;
static long (*sk_storage_delete)(void *map, void *sk) = (void *)108;
static long (*send_signal)(u32 sig) = (void *)109;
static long (*probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*probe_read_user_str)(void *dst, u32 size, const void *src) = (void *)114;
static long (*probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;
static u64 (*jiffies64)(void) = (void *)118;
static long (*sk_assign)(void *ctx, void *sk, u64 flags) = (void *)124;
static long (*seq_printf)(void *m, const char *fmt, u32 size, const void *data, u32 len) = (void *)126;
static long (*seq_write)(void *m, const void *data, u32 len) = (void *)127;
static long (*ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*ringbuf_query)(void *ring, u64 flags) = (void *)134;
static void *(*skc_to_tcp6_sock)(void *sk) = (void *)136;
static void *(*skc_to_tcp_sock)(void *sk) = (void *)137;
static void *(*skc_to_udp6_sock)(void *sk) = (void *)140;
static long (*get_task_stack)(void *task, void *buf, u32 size, u64 flags) = (void *)141;
static long (*load_hdr_opt)(void *ops, void *res, u32 len, u64 flags) = (void *)142;
static long (*store_hdr_opt)(void *ops, const void *from, u32 len, u64 flags) = (void *)143;
static long (*reserve_hdr_opt)(void *ops, u32 len, u64 flags) = (void *)144;
static void *(*inode_storage_get)(void *map, void *inode, void *value, u64 flags) = (void *)145;
static long (*d_path)(void *path, char *buf, u32 size) = (void *)147;
static long (*copy_from_user)(void *dst, u32 size, const void *src) = (void *)148;
static long (*redirect_neigh)(u32 ifindex, void *params, int len, u64 flags) = (void *)152;
static void *(*per_cpu_ptr)(const void *p, u32 cpu) = (void *)153;
static void *(*this_cpu_ptr)(const void *p) = (void *)154;
static long (*redirect_peer)(u32 ifindex, u64 flags) = (void *)155;
static void *(*task_storage_get)(void *map, void *task, void *value, u64 flags) = (void *)156;
static long (*task_storage_delete)(void *map, void *task) = (void *)157;
static struct task_struct *(*get_current_task_btf)(void) = (void *)158;
static void *(*sock_from_file)(void *file) = (void *)162;
static long (*check_mtu)(void *ctx, u32 ifindex, u32 *len, s32 diff, u64 flags) = (void *)163;
static long (*for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*snprintf)(char *str, u32 size, const char *fmt, u64 *data, u32 len) = (void *)165;
static long (*timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*timer_start)(struct bpf_timer *timer, u64 ns, u64 flags) = (void *)171;
static long (*timer_cancel)(struct bpf_timer *timer) = (void *)172;
static u64 (*get_func_ip)(void *ctx) = (void *)173;
static u64 (*get_attach_cookie)(void *ctx) = (void *)174;
static struct pt_regs *(*task_pt_regs)(void *task) = (void *)175;
static long (*trace_vprintk)(const char *fmt, u32 size, const void *data, u32 len) = (void *)177;
static void *(*skc_to_unix_sock)(void *sk) = (void *)178;
static long (*find_vma)(void *task, u64 addr, void *callback, void *ctx, u64 flags) = (void *)180;
static long (*loop)(u32 rounds, void *callback, void *ctx, u64 flags) = (void *)181;
static long (*strncmp)(const char *s1, u32 size, const char *s2) = (void *)182;
static long (*get_func_arg)(void *ctx, u32 n, u64 *value) = (void *)183;
static long (*get_func_ret)(void *ctx, u64 *value) = (void *)184;
static long (*get_func_arg_cnt)(void *ctx) = (void *)185;
static int (*get_retval)(void) = (void *)186;
static int (*set_retval)(int value) = (void *)187;
static u64 (*xdp_get_buff_len)(void *xdp) = (void *)188;
static long (*xdp_load_bytes)(void *xdp, u32 off, void *to, u32 len) = (void *)189;
static long (*xdp_store_bytes)(void *xdp, u32 off, void *from, u32 len) = (void *)190;
static long (*copy_from_user_task)(void *dst, u32 size, const void *src, void *task, u64 flags) = (void *)191;
static void *(*kptr_xchg)(void *dst, void *ptr) = (void *)194;
static void *(*map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;
static long (*dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;
static long (*ringbuf_reserve_dynptr)(void *ring, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)198;
static void (*ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)199;
static void (*ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)200;
static long (*dynptr_read)(void *dst, u32 len, const struct bpf_dynptr *src, u32 off, u64 flags) = (void *)201;
static long (*dynptr_write)(const struct bpf_dynptr *dst, u32 off, void *src, u32 len, u64 flags) = (void *)202;
static void *(*dynptr_data)(const struct bpf_dynptr *ptr, u32 off, u32 len) = (void *)203;
static long (*user_ringbuf_drain)(void *map, void *callback, void *ctx, u64 flags) = (void *)209;
static void *(*cgrp_storage_get)(void *map, void *cgroup, void *value, u64 flags) = (void *)210;

char LICENSE[] SEC("license") = "GPL";
