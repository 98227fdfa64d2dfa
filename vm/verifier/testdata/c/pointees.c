// What members of the kernel's structs point to, other than structs.
#include "kernel.h"

KERNEL_TYPES
struct qstr { const char *name; };
struct dentry { struct qstr d_name; };
struct linux_binprm { const char *filename; };
struct task_struct { void *stack; int *set_child_tid; };
END_KERNEL_TYPES

#define EXEC(name) SEC("tp_btf/sched_process_exec") int name(u64 *ctx)
#define TASK struct task_struct *task = (void *)ctx[0];
#define NAME const char *name = ((struct linux_binprm *)ctx[2])->filename;

EXEC(first) { NAME return name[0]; }
EXEC(later) { NAME return name[100]; }
EXEC(before) { NAME return name[-100]; }
EXEC(anywhere) { NAME u32 i = get_prandom_u32() & 15; barrier_var(i); barrier_var(name); return name ? *(name + i) : 0; }
EXEC(written_bad) { NAME *(volatile char *)name = 1; return 0; }
EXEC(compared_bad) { NAME return strncmp(name, 8, "abc"); }
EXEC(probed) { NAME char x[8]; probe_read_kernel_str(x, sizeof(x), name); return x[0]; }
EXEC(void_stack) { TASK return *(int *)task->stack; }
EXEC(number) { TASK return *task->set_child_tid; }
EXEC(number_added_bad) { TASK __sync_fetch_and_add(task->set_child_tid, 1); return 0; }
