// Programs that trace: probes, tracepoints, functions' entries and exits, iterators over the kernel's objects.
#include "kernel.h"

KERNEL_TYPES
struct qstr { const unsigned char *name; };
struct dentry { struct qstr d_name; struct inode *d_inode; };
struct vfsmount;
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct inode { u64 i_ino; u32 i_uid; };
struct file { struct path f_path; struct inode *f_inode; u32 f_flags; };
struct sock_common { u32 skc_daddr, skc_rcv_saddr; u16 skc_dport, skc_num, skc_family; };
struct sock { struct sock_common __sk_common; int sk_rcvbuf; };
struct tcp_sock { u32 snd_cwnd, srtt_us; };
struct mm_struct { u64 start_code; struct file *exe_file; };
struct task_struct { int pid, tgid; char comm[16]; struct task_struct *real_parent, *group_leader; struct mm_struct *mm; u64 start_time; };
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; u64 session_id, seq_num; };
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; u32 fd; struct file *file; };
struct bpf_iter__bpf_map_elem { struct bpf_iter_meta *meta; struct bpf_map *map; void *key, *value; };
struct bpf_iter__tcp { struct bpf_iter_meta *meta; struct sock_common *sk_common; u32 uid; };
struct sk_buff { u32 len; struct sock *sk; };
struct trace_event_raw_sys_enter { u64 pad; long id; u64 args[6]; };
struct linux_binprm { struct file *file; const char *filename; };
END_KERNEL_TYPES

struct event { u64 ns; u32 pid, ppid, uid; s32 ret; char comm[16], name[64]; };
RING(events, 262144);
MAP(starts, HASH, 10240, u32, u64);
MAP(scratch, PERCPU_ARRAY, 1, u32, struct event);
struct frames { u64 ip[127]; };
MAP(stacks, STACK_TRACE, 1024, u32, struct frames);
MAP(hist, ARRAY, 64, u32, u64);
struct { NUMBER(type, PERF_EVENT_ARRAY); NUMBER(key_size, 4); NUMBER(value_size, 4); } output SEC(".maps");
LOCAL_STORAGE(tasks, TASK_STORAGE, u64);
LOCAL_STORAGE(inodes, INODE_STORAGE, u64);
const volatile u32 target;
const volatile u64 least = 1000;
u64 lost;

ALWAYS u64 log2(u64 v)
{
	u64 r = 0;
	if (v >> 32) { r += 32; v >>= 32; }
	if (v >> 16) { r += 16; v >>= 16; }
	if (v >> 8) { r += 8; v >>= 8; }
	if (v >> 4) { r += 4; v >>= 4; }
	if (v >> 2) { r += 2; v >>= 2; }
	return r + (v >> 1);
}

SEC("kprobe/do_sys_open") int probe_open(struct pt_regs *ctx)
{
	u32 pid = get_current_pid_tgid() >> 32;
	if (target && pid != target)
		return 0;
	struct event *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	e->ns = ktime_get_ns();
	e->pid = pid;
	struct task_struct *t = (void *)get_current_task(), *parent;
	probe_read_kernel(&parent, 8, &t->real_parent);
	probe_read_kernel(&e->ppid, 4, &parent->tgid);
	get_current_comm(e->comm, sizeof(e->comm));
	probe_read_user_str(e->name, sizeof(e->name), (void *)ctx->si);
	ringbuf_submit(e, 0);
	return 0;
}
SEC("kprobe/do_sys_open") int probe_open_bad(struct pt_regs *ctx)
{
	struct task_struct *t = (void *)get_current_task();
	return *(volatile int *)t;
}
SEC("kprobe/do_sys_open") int probe_user_bad(struct pt_regs *ctx) { return *(volatile u8 *)ctx->si; }
SEC("kprobe/vfs_read") int start(struct pt_regs *ctx)
{
	u32 tid = get_current_pid_tgid();
	u64 now = ktime_get_ns();
	map_update_elem(&starts, &tid, &now, 0);
	return 0;
}
SEC("kretprobe/vfs_read") int stop(struct pt_regs *ctx)
{
	u32 tid = get_current_pid_tgid();
	u64 *begun = map_lookup_elem(&starts, &tid);
	if (!begun)
		return 0;
	u64 delta = ktime_get_ns() - *begun;
	map_delete_elem(&starts, &tid);
	if (delta < least)
		return 0;
	u32 slot = log2(delta / 1000);
	if (slot >= 64)
		slot = 63;
	u64 *count = map_lookup_elem(&hist, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
SEC("kretprobe/vfs_read") int stop_bad(struct pt_regs *ctx)
{
	u32 tid = get_current_pid_tgid();
	u64 *begun = map_lookup_elem(&starts, &tid);
	u64 delta = ktime_get_ns() - *begun;
	return delta;
}
SEC("kprobe/vfs_write") int stack(struct pt_regs *ctx)
{
	u32 zero = 0;
	struct event *e = map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	e->ret = get_stackid(ctx, &stacks, 0);
	long n = get_stack(ctx, e->name, sizeof(e->name), 0);
	if (n > 0 && n <= sizeof(e->name))
		perf_event_output(ctx, &output, 0xffffffff, e, 32 + n);
	return 0;
}
SEC("kprobe/vfs_write") int string_len(struct pt_regs *ctx)
{
	u32 zero = 0;
	struct event *e = map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	long n = probe_read_user_str(e->name, sizeof(e->name), (void *)ctx->si);
	if (n < 0)
		return 0;
	n &= 63;
	perf_event_output(ctx, &output, 0xffffffff, e, offsetof(struct event, name) + n);
	return 0;
}
SEC("kprobe/vfs_write") int string_len_bad(struct pt_regs *ctx)
{
	u32 zero = 0;
	struct event *e = map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	int n = probe_read_user_str(e->name, sizeof(e->name), (void *)ctx->si);
	perf_event_output(ctx, &output, 0xffffffff, e, offsetof(struct event, name) + n);
	return 0;
}
SEC("kprobe/vfs_write") int stack_event(struct pt_regs *ctx)
{
	struct event e = {};
	e.pid = get_current_pid_tgid() >> 32;
	get_current_comm(e.comm, sizeof(e.comm));
	perf_event_output(ctx, &output, 0xffffffff, &e, sizeof(e));
	return 0;
}
SEC("tracepoint/syscalls/sys_enter_openat") int enter_openat(struct trace_event_raw_sys_enter *ctx)
{
	u32 tid = get_current_pid_tgid();
	u64 arg = ctx->args[1];
	map_update_elem(&starts, &tid, &arg, 0);
	return 0;
}
SEC("raw_tracepoint/sys_enter") int raw_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];
	u64 di = 0;
	probe_read_kernel(&di, 8, &regs->di);
	lost += di + ctx->args[1];
	return 0;
}
SEC("raw_tracepoint/sys_enter") int raw_enter_bad(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];
	return regs->di;
}
SEC("raw_tracepoint/sys_enter") int raw_enter_write_bad(struct bpf_raw_tracepoint_args *ctx) { ctx->args[0] = 1; return 0; }
SEC("perf_event") int sample(struct bpf_perf_event_data *ctx)
{
	u32 key = ctx->sample_period & 63;
	u64 *n = map_lookup_elem(&hist, &key);
	if (n)
		*n += ctx->regs.ip & 1;
	return get_stackid(ctx, &stacks, 0x100) < 0;
}
SEC("tp_btf/sched_switch") int switched(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	u64 *n = task_storage_get(&tasks, next, 0, 1);
	if (n)
		*n = ktime_get_ns();
	n = task_storage_get(&tasks, prev, 0, 0);
	if (n)
		lost += ktime_get_ns() - *n;
	if (prev->mm)
		lost += prev->mm->start_code;
	return prev->pid + next->real_parent->tgid;
}
SEC("tp_btf/sched_switch") int switched_write_bad(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	prev->pid = 3;
	return 0;
}
SEC("tp_btf/sched_switch") int switched_far_bad(u64 *ctx) { return ctx[9]; }
SEC("tp_btf/sched_switch") int switched_comm(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	struct event *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	__builtin_memcpy(e->comm, prev->comm, 16);
	e->ns = prev->start_time;
	ringbuf_submit(e, 0);
	return 0;
}
SEC("fentry/vfs_read") int entry(u64 *ctx)
{
	struct file *f = (void *)ctx[0];
	lost += f->f_inode->i_ino + ctx[2];
	return 0;
}
SEC("fentry/vfs_read") int entry_bad(u64 *ctx) { return ctx[0] != 0; }
SEC("fentry/vfs_read") int entry_far_bad(u64 *ctx) { lost += ctx[4]; return 0; }
SEC("fexit/vfs_read") int left(u64 *ctx)
{
	struct file *f = (void *)ctx[0];
	char name[32];
	s64 ret = ctx[4];
	if (ret > 0)
		lost += ret;
	probe_read_kernel_str(name, sizeof(name), f->f_path.dentry->d_name.name);
	return 0;
}
SEC("fexit/vfs_read") int exit_args(u64 *ctx)
{
	u64 a = 0, r = 0;
	get_func_arg(ctx, 1, &a);
	get_func_ret(ctx, &r);
	lost += a + r + get_func_arg_cnt(ctx) + get_func_ip(ctx) + get_attach_cookie(ctx);
	return 0;
}
SEC("fentry/vfs_read") int entry_ret(u64 *ctx)
{
	u64 r = 0;
	get_func_ret(ctx, &r);
	return 0;
}
SEC("fentry/tcp_sendmsg") int tcp(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct tcp_sock *tp = skc_to_tcp_sock(sk);
	if (tp)
		lost += tp->snd_cwnd;
	return sk->__sk_common.skc_num & 0;
}
SEC("fentry/tcp_sendmsg") int tcp_bad(u64 *ctx)
{
	struct tcp_sock *tp = skc_to_tcp_sock((void *)ctx[0]);
	lost += tp->snd_cwnd;
	return 0;
}
SEC("fmod_ret/security_file_open") int modify(u64 *ctx)
{
	struct file *f = (void *)ctx[0];
	int ret = ctx[1];
	return f->f_flags & 1 ? -1 : ret;
}
SEC("fmod_ret/vfs_read") int modify_bad(u64 *ctx) { return 0; }
SEC("lsm/file_open") int opened(u64 *ctx)
{
	struct file *f = (void *)ctx[0];
	u64 *n = inode_storage_get(&inodes, f->f_inode, 0, 1);
	if (n)
		*n += 1;
	return f->f_flags & 2 ? -1 : 0;
}
SEC("lsm/file_open") int opened_range_bad(u64 *ctx) { return 1; }
SEC("lsm/file_open") int opened_write_bad(u64 *ctx)
{
	struct file *f = (void *)ctx[0];
	f->f_flags = 0;
	return 0;
}
SEC("lsm/bprm_check_security") int executed(u64 *ctx)
{
	struct linux_binprm *b = (void *)ctx[0];
	struct event *e = ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	probe_read_kernel_str(e->name, sizeof(e->name), b->filename);
	ringbuf_submit(e, 0);
	return 0;
}
SEC("lsm.s/file_open") int opened_sleeps(u64 *ctx)
{
	char buf[64];
	struct file *f = (void *)ctx[0];
	if (d_path(&f->f_path, buf, sizeof(buf)) < 0)
		return 0;
	u64 x;
	copy_from_user(&x, 8, NULL);
	return 0;
}
SEC("lsm/file_open") int opened_sleeps_bad(u64 *ctx) { u64 x; copy_from_user(&x, 8, NULL); return 0; }
SEC("lsm/task_free") int freed(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0];
	lost += t->pid;
	return 0;
}
SEC("iter/task") int each_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *t = ctx->task;
	static const char fmt[] = "%d %s\n";
	if (!t)
		return 0;
	u64 args[2] = {t->pid, (u64)t->comm};
	seq_printf(seq, fmt, sizeof(fmt), args, sizeof(args));
	return 0;
}
SEC("iter/task") int each_task_bad(struct bpf_iter__task *ctx) { return ctx->task->pid & 1; }
SEC("iter/task_file") int each_file(struct bpf_iter__task_file *ctx)
{
	struct file *f = ctx->file;
	struct task_struct *t = ctx->task;
	if (!f || !t)
		return 0;
	lost += f->f_flags + t->pid + ctx->fd;
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 *key = ctx->key;
	u64 *value = ctx->value;
	if (!key || !value)
		return 0;
	lost += *key + *value;
	*value = 0;
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem_written(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	void *key = ctx->key, *value = ctx->value;
	if (!key || !value)
		return 0;
	seq_write(seq, key, 4);
	seq_write(seq, value + 8, 8);
	probe_read_kernel(value, 8, NULL);
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem_filled_bad(struct bpf_iter__bpf_map_elem *ctx)
{
	if (ctx->key)
		probe_read_kernel(ctx->key, 4, NULL);
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem_before_bad(struct bpf_iter__bpf_map_elem *ctx)
{
	if (ctx->value)
		seq_write(ctx->meta->seq, ctx->value - 8, 8);
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem_key_bad(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 *key = ctx->key;
	if (key)
		*key = 0;
	return 0;
}
SEC("iter/bpf_map_elem") int each_elem_null_bad(struct bpf_iter__bpf_map_elem *ctx) { return *(u32 *)ctx->value & 1; }
SEC("iter/tcp") int each_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	if (!sk)
		return 0;
	struct tcp_sock *tp = skc_to_tcp_sock(sk);
	if (tp)
		lost += tp->srtt_us;
	seq_write(ctx->meta->seq, &lost, 8);
	return 0;
}
static long area(struct task_struct *t, void *vma, u64 *sum) { *sum += 1; return 0; }
SEC("tp_btf/sys_enter") int find_area(u64 *ctx)
{
	u64 sum = 0;
	find_vma(get_current_task_btf(), ctx[1], area, &sum, 0);
	lost += sum;
	return 0;
}
SEC("tp_btf/sys_enter") int registers(u64 *ctx)
{
	struct pt_regs *r = task_pt_regs(get_current_task_btf());
	struct pt_regs *now = (void *)ctx[0];
	u64 ip = 0;
	probe_read_kernel(&ip, 8, &r->ip);
	lost += ip;
	return 0;
}
