// Iterators and other functions of the kernel: what must be ended, what must not be null, and where pointers are valid.
#include "kernel.h"

KERNEL_TYPES
struct css_set { struct cgroup *dfl_cgrp; };
struct kernfs_node { u64 id; };
struct cgroup { int level; struct kernfs_node *kn; };
struct mm_struct { u64 start_code; };
struct task_struct { int pid, tgid; char comm[16]; struct task_struct *real_parent, *group_leader; struct css_set *cgroups; struct mm_struct *mm; };
struct vm_area_struct { u64 vm_start, vm_end; };
END_KERNEL_TYPES

KSYM int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end);
KSYM int *bpf_iter_num_next(struct bpf_iter_num *it);
KSYM void bpf_iter_num_destroy(struct bpf_iter_num *it);
KSYM int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, u32 flags);
KSYM struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it);
KSYM void bpf_iter_task_destroy(struct bpf_iter_task *it);
KSYM int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, u64 addr);
KSYM struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it);
KSYM void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it);
KSYM int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *words, u32 n);
KSYM int *bpf_iter_bits_next(struct bpf_iter_bits *it);
KSYM void bpf_iter_bits_destroy(struct bpf_iter_bits *it);
KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
KSYM void bpf_preempt_disable(void);
KSYM void bpf_preempt_enable(void);
KSYM struct task_struct *bpf_task_acquire(struct task_struct *p);
KSYM void bpf_task_release(struct task_struct *p);
KSYM struct task_struct *bpf_task_from_pid(s32 pid);
KSYM struct cgroup *bpf_cgroup_from_id(u64 id);
KSYM void bpf_cgroup_release(struct cgroup *cgrp);
KSYM struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, int level);
KSYM long bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor);
KSYM struct bpf_cpumask *bpf_cpumask_create(void);
KSYM void bpf_cpumask_release(struct bpf_cpumask *mask);
KSYM void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask);
KSYM u32 bpf_cpumask_first(const struct cpumask *mask);
KSYM int bpf_strlen(const char *s__ign);
KSYM void *bpf_rdonly_cast(const void *obj, u32 id);
KSYM void bpf_local_irq_save(unsigned long *flags);
KSYM void bpf_local_irq_restore(unsigned long *flags);
KSYM int bpf_copy_from_user_str(void *dst, u32 size, const void *src, u64 flags);

MAP(counts, ARRAY, 64, u32, u64);
RING(events, 65536);
u64 sum, words[4];
int limit = 100;
u64 table[64];

SEC("tc") int numbers(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, skb->len);
	while ((v = bpf_iter_num_next(&it))) {
		sum += *v;
		if (*v >= 0 && *v < 64)
			table[*v]++;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("tc") int numbers_break(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v, found = -1;
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it))) {
		u32 i = *v;
		if (i >= 64)
			break;
		if (table[i] == 3) {
			found = i;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	return found;
}
SEC("tc") int numbers_nested(struct __sk_buff *skb)
{
	struct bpf_iter_num i, j;
	int *a, *b;
	bpf_iter_num_new(&i, 0, 10);
	while ((a = bpf_iter_num_next(&i))) {
		bpf_iter_num_new(&j, 0, *a);
		while ((b = bpf_iter_num_next(&j)))
			sum += *a * *b;
		bpf_iter_num_destroy(&j);
	}
	bpf_iter_num_destroy(&i);
	return sum;
}
SEC("tc") int numbers_index_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it)))
		table[*v]++;
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("tc") int numbers_leak_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it)))
		if (*v == 3)
			return 1;
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("tc") int numbers_null_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 64);
	int v = *bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return v;
}
SEC("tc") int numbers_uninit_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v = bpf_iter_num_next(&it);
	return v ? *v : 0;
}
SEC("tc") int numbers_after_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 64);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_next(&it);
	return 0;
}
SEC("tc") int numbers_twice_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 64);
	bpf_iter_num_new(&it, 0, 64);
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("tc") int numbers_overwritten_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 64);
	*(volatile u64 *)&it = 0;
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("tc") int numbers_write_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it)))
		*v = 3;
	bpf_iter_num_destroy(&it);
	return 0;
}
SEC("xdp") int packet_walk(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct bpf_iter_num it;
	int *v;
	u32 off = 0;
	bpf_iter_num_new(&it, 0, 20);
	while ((v = bpf_iter_num_next(&it))) {
		if (off > 1000)
			break;
		u8 *p = data + off;
		if (p + 2 > end)
			break;
		off += p[1] + 2;
		sum += p[0];
	}
	bpf_iter_num_destroy(&it);
	return 2;
}
SEC("tc") int bits(struct __sk_buff *skb)
{
	struct bpf_iter_bits it;
	int *v;
	u64 w[2] = {sum, 5};
	bpf_iter_bits_new(&it, w, 2);
	while ((v = bpf_iter_bits_next(&it)))
		sum += *v;
	bpf_iter_bits_destroy(&it);
	return 0;
}

SEC("tp_btf/sched_switch") int tasks(u64 *ctx)
{
	struct bpf_iter_task it;
	struct task_struct *t;
	int n = 0;
	bpf_iter_task_new(&it, NULL, 0);
	while ((t = bpf_iter_task_next(&it))) {
		if (t->pid == limit)
			n += t->real_parent->pid;
	}
	bpf_iter_task_destroy(&it);
	sum += n;
	return 0;
}
SEC("tp_btf/sched_switch") int tasks_null_bad(u64 *ctx)
{
	struct bpf_iter_task it;
	bpf_iter_task_new(&it, NULL, 0);
	struct task_struct *t = bpf_iter_task_next(&it);
	int n = t->pid;
	bpf_iter_task_destroy(&it);
	return n;
}
SEC("tp_btf/sched_switch") int areas(u64 *ctx)
{
	struct task_struct *t = get_current_task_btf();
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	bpf_iter_task_vma_new(&it, t, 0);
	while ((vma = bpf_iter_task_vma_next(&it)))
		sum += vma->vm_end - vma->vm_start;
	bpf_iter_task_vma_destroy(&it);
	return 0;
}
SEC("tp_btf/task_newtask") int acquire(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire(t);
	if (!kept)
		return 0;
	sum += kept->pid;
	bpf_task_release(kept);
	return 0;
}
SEC("tp_btf/task_newtask") int acquire_leak_bad(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire(t);
	return kept ? kept->pid : 0;
}
SEC("tp_btf/task_newtask") int acquire_null_bad(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire(t);
	bpf_task_release(kept);
	return 0;
}
SEC("tp_btf/task_newtask") int acquire_walked_bad(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire((void *)t->mm);
	if (kept)
		bpf_task_release(kept);
	return 0;
}
SEC("tp_btf/task_newtask") int acquire_parent(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire(t->real_parent);
	if (kept)
		bpf_task_release(kept);
	return 0;
}
SEC("tp_btf/task_newtask") int acquire_grandparent(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0], *kept;
	kept = bpf_task_acquire(t->real_parent->real_parent);
	if (kept)
		bpf_task_release(kept);
	return 0;
}
SEC("tp_btf/task_newtask") int release_unowned_bad(u64 *ctx)
{
	bpf_task_release((void *)ctx[0]);
	return 0;
}
SEC("tp_btf/task_newtask") int from_pid(u64 *ctx)
{
	struct task_struct *t = bpf_task_from_pid(limit);
	if (!t)
		return 0;
	sum += t->tgid;
	bpf_task_release(t);
	return 0;
}
SEC("tp_btf/task_newtask") int from_pid_after_bad(u64 *ctx)
{
	struct task_struct *t = bpf_task_from_pid(limit);
	if (!t)
		return 0;
	bpf_task_release(t);
	return t->tgid;
}
SEC("tp_btf/task_newtask") int under(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0];
	struct cgroup *c = bpf_cgroup_from_id(1), *a;
	if (!c)
		return 0;
	long in = bpf_task_under_cgroup(t, c);
	a = bpf_cgroup_ancestor(c, 1);
	if (a) {
		sum += a->level + a->kn->id;
		bpf_cgroup_release(a);
	}
	bpf_cgroup_release(c);
	return in;
}
SEC("tp_btf/task_newtask") int cgroup_of(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0];
	return bpf_task_under_cgroup(t, t->cgroups->dfl_cgrp);
}
SEC("tp_btf/task_newtask") int mask(u64 *ctx)
{
	struct bpf_cpumask *m = bpf_cpumask_create();
	if (!m)
		return 0;
	bpf_cpumask_set_cpu(3, m);
	sum += bpf_cpumask_first((void *)m);
	bpf_cpumask_release(m);
	return 0;
}
SEC("tp_btf/task_newtask") int mask_null_bad(u64 *ctx)
{
	struct bpf_cpumask *m = bpf_cpumask_create();
	bpf_cpumask_set_cpu(3, m);
	if (m)
		bpf_cpumask_release(m);
	return 0;
}
SEC("syscall") int rcu(void *ctx)
{
	struct task_struct *t = get_current_task_btf();
	bpf_rcu_read_lock();
	struct task_struct *p = t->real_parent;
	if (p)
		sum += p->pid;
	bpf_rcu_read_unlock();
	return 0;
}
SEC("syscall") int rcu_leave_bad(void *ctx)
{
	bpf_rcu_read_lock();
	return 0;
}
SEC("syscall") int rcu_unmatched_bad(void *ctx)
{
	bpf_rcu_read_unlock();
	return 0;
}
SEC("syscall") int rcu_sleep_bad(void *ctx)
{
	u64 x;
	bpf_rcu_read_lock();
	copy_from_user(&x, 8, NULL);
	bpf_rcu_read_unlock();
	return 0;
}
SEC("syscall") int rcu_nested_bad(void *ctx)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_rcu_read_unlock();
	return 0;
}
SEC("syscall") int rcu_outside_bad(void *ctx)
{
	struct task_struct *t = get_current_task_btf(), *kept;
	bpf_rcu_read_lock();
	struct task_struct *p = t->real_parent;
	bpf_rcu_read_unlock();
	kept = bpf_task_acquire(p);
	if (kept)
		bpf_task_release(kept);
	return 0;
}
SEC("syscall") int rcu_acquire(void *ctx)
{
	struct task_struct *t = get_current_task_btf(), *kept;
	bpf_rcu_read_lock();
	kept = bpf_task_acquire(t->real_parent);
	bpf_rcu_read_unlock();
	if (kept)
		bpf_task_release(kept);
	return 0;
}
SEC("syscall") int rcu_tasks_bad(void *ctx)
{
	struct bpf_iter_task it;
	struct task_struct *t;
	bpf_iter_task_new(&it, NULL, 0);
	while ((t = bpf_iter_task_next(&it)))
		sum++;
	bpf_iter_task_destroy(&it);
	return 0;
}
SEC("syscall") int rcu_tasks(void *ctx)
{
	struct bpf_iter_task it;
	struct task_struct *t;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, NULL, 0);
	while ((t = bpf_iter_task_next(&it)))
		sum += t->pid;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}
SEC("tc") int preempt(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_preempt_disable();
	sum++;
	bpf_preempt_enable();
	bpf_preempt_enable();
	return 0;
}
SEC("tc") int preempt_bad(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	if (skb->len > 3)
		return 0;
	bpf_preempt_enable();
	return 0;
}
SEC("tc") int preempt_unmatched_bad(struct __sk_buff *skb) { bpf_preempt_enable(); return 0; }
SEC("syscall") int preempt_sleep_bad(void *ctx)
{
	u64 x = 0;
	bpf_preempt_disable();
	copy_from_user(&x, 8, NULL);
	bpf_preempt_enable();
	return x;
}
SEC("tc") int irqs(struct __sk_buff *skb)
{
	unsigned long a, b;
	bpf_local_irq_save(&a);
	bpf_local_irq_save(&b);
	sum++;
	bpf_local_irq_restore(&b);
	bpf_local_irq_restore(&a);
	return 0;
}
SEC("tc") int irqs_order_bad(struct __sk_buff *skb)
{
	unsigned long a, b;
	bpf_local_irq_save(&a);
	bpf_local_irq_save(&b);
	bpf_local_irq_restore(&a);
	bpf_local_irq_restore(&b);
	return 0;
}
SEC("tc") int irqs_leak_bad(struct __sk_buff *skb)
{
	unsigned long a;
	bpf_local_irq_save(&a);
	return 0;
}
SEC("syscall") int user_text(void *ctx)
{
	char buf[16];
	return bpf_copy_from_user_str(buf, sizeof(buf), NULL, 0);
}
SEC("tc") int user_text_bad(struct __sk_buff *skb)
{
	char buf[16];
	return bpf_copy_from_user_str(buf, sizeof(buf), NULL, 0);
}
SEC("tc") int wrong_type_bad(struct __sk_buff *skb)
{
	bpf_cpumask_release(bpf_cpumask_create());
	return 0;
}
struct { NUMBER(type, QUEUE); NUMBER(max_entries, 16); TYPE(value, u64); } sleepy_queue SEC(".maps");
struct { NUMBER(type, STACK_TRACE); NUMBER(max_entries, 16); NUMBER(key_size, 4); NUMBER(value_size, 1016); } sleepy_stacks SEC(".maps");
struct { NUMBER(type, PERF_EVENT_ARRAY); NUMBER(key_size, 4); NUMBER(value_size, 4); } sleepy_output SEC(".maps");
SEC("syscall") int maps_that_sleep(void *ctx) { u64 v = 3; u32 k = 1; u64 *c = map_lookup_elem(&counts, &k); map_push_elem(&sleepy_queue, &v, 0); return c ? *c : 0; }
SEC("syscall") int maps_that_sleep_bad(void *ctx) { u64 v = 3; perf_event_output(ctx, &sleepy_output, 0, &v, 8); return 0; }
STATIC int in_static(u32 n) { sum += n; return n; }
NEVER int in_global(u32 n) { sum += n; return n; }
SEC("tc") int rcu_static(struct __sk_buff *skb) { bpf_rcu_read_lock(); int n = in_static(skb->len); bpf_rcu_read_unlock(); return n; }
SEC("tc") int rcu_global(struct __sk_buff *skb) { bpf_rcu_read_lock(); int n = in_global(skb->len); bpf_rcu_read_unlock(); return n; }
SEC("tc") int preempt_global(struct __sk_buff *skb) { bpf_preempt_disable(); int n = in_global(skb->len); bpf_preempt_enable(); return n; }
SEC("tc") int element_after_bad(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 64);
	int *v = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return v ? *v : 0;
}
SEC("tp_btf/task_newtask") int task_after(u64 *ctx)
{
	struct bpf_iter_task it;
	bpf_iter_task_new(&it, NULL, 0);
	struct task_struct *t = bpf_iter_task_next(&it);
	bpf_iter_task_destroy(&it);
	return t ? t->pid : 0;
}
