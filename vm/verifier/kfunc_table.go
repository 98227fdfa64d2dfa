package verifier

import "github.com/cilium/ebpf"

// A kfuncFlag is what the kernel says of one of its functions that programs may call.
type kfuncFlag uint16

const (
	kfAcquire kfuncFlag = 1 << iota
	kfRelease
	kfRetNull
	kfTrusted // pointers must be trusted
	kfRCU     // or protected by RCU
	kfRCUProtected
	kfSleeps
	kfIterNew
	kfIterNext
	kfIterDestroy
	kfSlept // slept before Linux 7.2
)

// kfuncHooks are the groups of program types that functions are offered to.
type kfuncHooks uint16

const (
	hookAll kfuncHooks = 1 << iota
	hookXDP
	hookTC
	hookAct
	hookTracing
	hookSyscall
	hookStructOps
	hookCgroup
	hookSocket
	hookSkSKB
	hookLWT
	hookNetfilter
	hookKprobe
	hookLSM // of those for tracing, the ones that only LSM programs get

	hookGeneric = hookXDP | hookTC | hookTracing | hookSyscall | hookStructOps | hookCgroup
	hookCPUMask = hookTracing | hookSyscall | hookStructOps
	hookPackets = hookTC | hookAct | hookSkSKB | hookSocket | hookCgroup | hookLWT | hookNetfilter
)

// A kfunc is one row: prototypes are the kernel's own types.
type kfunc struct {
	flags kfuncFlag
	hooks kfuncHooks
	since Kernel
}

// hookOf is the group that programs of a type are in; 0 if it is none that has functions of its own.
func (k *rules) hookOf(t ebpf.ProgramType) kfuncHooks {
	switch t {
	case ebpf.XDP:
		return hookXDP
	case ebpf.SchedCLS:
		return hookTC
	case ebpf.SchedACT:
		return hookAct
	case ebpf.Tracing:
		return hookTracing
	case ebpf.LSM:
		return hookTracing | hookLSM
	case ebpf.TracePoint, ebpf.PerfEvent:
		if k.kernel >= linux(6, 12) {
			return hookTracing
		}
	case ebpf.Syscall:
		return hookSyscall
	case ebpf.StructOps:
		return hookStructOps
	case ebpf.CGroupSKB:
		return hookCgroup
	case ebpf.CGroupSock, ebpf.CGroupDevice, ebpf.CGroupSockAddr, ebpf.CGroupSockopt, ebpf.CGroupSysctl, ebpf.SockOps:
		if k.kernel >= linux(6, 12) {
			return hookCgroup
		}
	case ebpf.SkSKB:
		return hookSkSKB
	case ebpf.SocketFilter:
		return hookSocket
	case ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return hookLWT
	case ebpf.Netfilter:
		return hookNetfilter
	case ebpf.Kprobe:
		return hookKprobe
	}
	return 0
}

// kfuncs are the functions of the kernel that are known here.
func kfuncOf(name string) (kfunc, bool) {
	k, ok := kfuncTable[name]
	return k, ok
}

var kfuncTable = map[string]kfunc{
	"bpf_obj_new_impl":          {kfAcquire | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_obj_drop_impl":         {kfRelease, hookGeneric, linux(6, 2)},
	"bpf_percpu_obj_new_impl":   {kfAcquire | kfRetNull, hookGeneric, linux(6, 7)},
	"bpf_percpu_obj_drop_impl":  {kfRelease, hookGeneric, linux(6, 7)},
	"bpf_refcount_acquire_impl": {kfAcquire | kfRetNull | kfRCU, hookGeneric, linux(6, 4)},
	"bpf_list_push_front_impl":  {0, hookGeneric, linux(6, 4)},
	"bpf_list_push_back_impl":   {0, hookGeneric, linux(6, 4)},
	"bpf_list_pop_front":        {kfAcquire | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_list_pop_back":         {kfAcquire | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_list_front":            {kfRetNull, hookGeneric, linux(6, 16)},
	"bpf_list_back":             {kfRetNull, hookGeneric, linux(6, 16)},
	"bpf_rbtree_add_impl":       {0, hookGeneric, linux(6, 4)},
	"bpf_rbtree_first":          {kfRetNull, hookGeneric, linux(6, 3)},
	"bpf_rbtree_root":           {kfRetNull, hookGeneric, linux(6, 16)},
	"bpf_rbtree_left":           {kfRetNull, hookGeneric, linux(6, 16)},
	"bpf_rbtree_right":          {kfRetNull, hookGeneric, linux(6, 16)},
	"bpf_rbtree_remove":         {kfAcquire | kfRetNull, hookGeneric, linux(6, 3)},

	throwFunction: {0, hookGeneric, linux(6, 7)},

	"bpf_task_acquire":      {kfAcquire | kfRCU | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_task_release":      {kfRelease, hookGeneric, linux(6, 2)},
	"bpf_task_from_pid":     {kfAcquire | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_task_from_vpid":    {kfAcquire | kfRetNull, hookGeneric, linux(6, 14)},
	"bpf_cgroup_acquire":    {kfAcquire | kfRCU | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_cgroup_release":    {kfRelease, hookGeneric, linux(6, 2)},
	"bpf_cgroup_ancestor":   {kfAcquire | kfRCU | kfRetNull, hookGeneric, linux(6, 2)},
	"bpf_cgroup_from_id":    {kfAcquire | kfRetNull, hookGeneric, linux(6, 4)},
	"bpf_task_under_cgroup": {kfRCU, hookGeneric, linux(6, 5)},
	"bpf_task_get_cgroup1":  {kfAcquire | kfRCU | kfRetNull, hookGeneric, linux(6, 8)},
	"bpf_send_signal_task":  {kfTrusted, hookGeneric, linux(6, 13)},

	"bpf_arena_alloc_pages":     {kfSlept, hookAll, linux(6, 9)},
	"bpf_arena_free_pages":      {kfSlept, hookAll, linux(6, 9)},
	failingLockFunction:         {0, hookAll, linux(6, 15)},
	failingUnlockFunction:       {0, hookAll, linux(6, 15)},
	"bpf_cast_to_kern_ctx":      {0, hookAll, linux(6, 2)},
	"bpf_rdonly_cast":           {0, hookAll, linux(6, 2)},
	"bpf_rcu_read_lock":         {0, hookAll, linux(6, 2)},
	"bpf_rcu_read_unlock":       {0, hookAll, linux(6, 2)},
	"bpf_preempt_disable":       {0, hookAll, linux(6, 10)},
	"bpf_preempt_enable":        {0, hookAll, linux(6, 10)},
	"bpf_local_irq_save":        {0, hookAll, linux(6, 14)},
	"bpf_local_irq_restore":     {0, hookAll, linux(6, 14)},
	"bpf_dynptr_slice":          {kfRetNull, hookAll, linux(6, 4)},
	"bpf_dynptr_slice_rdwr":     {kfRetNull, hookAll, linux(6, 4)},
	"bpf_dynptr_adjust":         {0, hookAll, linux(6, 5)},
	"bpf_dynptr_is_null":        {0, hookAll, linux(6, 5)},
	"bpf_dynptr_is_rdonly":      {0, hookAll, linux(6, 5)},
	"bpf_dynptr_size":           {0, hookAll, linux(6, 5)},
	"bpf_dynptr_clone":          {0, hookAll, linux(6, 5)},
	"bpf_dynptr_copy":           {0, hookAll, linux(6, 15)},
	"bpf_dynptr_memset":         {0, hookAll, linux(6, 17)},
	"bpf_wq_init":               {0, hookAll, linux(6, 10)},
	"bpf_wq_set_callback_impl":  {0, hookAll, linux(6, 10)},
	"bpf_wq_start":              {0, hookAll, linux(6, 10)},
	"bpf_copy_from_user_str":    {kfSleeps, hookAll, linux(6, 12)},
	"bpf_map_sum_elem_count":    {kfTrusted, hookAll, linux(6, 6)},
	"bpf_strcmp":                {0, hookAll, linux(6, 17)},
	"bpf_strchr":                {0, hookAll, linux(6, 17)},
	"bpf_strlen":                {0, hookAll, linux(6, 17)},
	"bpf_strnlen":               {0, hookAll, linux(6, 17)},
	"bpf_strstr":                {0, hookAll, linux(6, 17)},
	"bpf_iter_num_new":          {kfIterNew, hookAll, linux(6, 4)},
	"bpf_iter_num_next":         {kfIterNext | kfRetNull, hookAll, linux(6, 4)},
	"bpf_iter_num_destroy":      {kfIterDestroy, hookAll, linux(6, 4)},
	"bpf_iter_bits_new":         {kfIterNew, hookAll, linux(6, 11)},
	"bpf_iter_bits_next":        {kfIterNext | kfRetNull, hookAll, linux(6, 11)},
	"bpf_iter_bits_destroy":     {kfIterDestroy, hookAll, linux(6, 11)},
	"bpf_iter_task_new":         {kfIterNew | kfTrusted | kfRCUProtected, hookAll, linux(6, 7)},
	"bpf_iter_task_next":        {kfIterNext | kfRetNull, hookAll, linux(6, 7)},
	"bpf_iter_task_destroy":     {kfIterDestroy, hookAll, linux(6, 7)},
	"bpf_iter_css_new":          {kfIterNew | kfTrusted | kfRCUProtected, hookAll, linux(6, 7)},
	"bpf_iter_css_next":         {kfIterNext | kfRetNull, hookAll, linux(6, 7)},
	"bpf_iter_css_destroy":      {kfIterDestroy, hookAll, linux(6, 7)},
	"bpf_iter_task_vma_new":     {kfIterNew | kfRCU, hookAll, linux(6, 7)},
	"bpf_iter_task_vma_next":    {kfIterNext | kfRetNull, hookAll, linux(6, 7)},
	"bpf_iter_task_vma_destroy": {kfIterDestroy, hookAll, linux(6, 7)},

	"bpf_dynptr_from_skb":        {kfTrusted, hookPackets | hookTracing, linux(6, 4)},
	"bpf_dynptr_from_xdp":        {0, hookXDP, linux(6, 4)},
	"bpf_sock_addr_set_sun_path": {0, hookCgroup, linux(6, 7)},

	"bpf_get_task_exe_file": {kfAcquire | kfTrusted | kfRetNull, hookLSM, linux(6, 12)},
	"bpf_put_file":          {kfRelease, hookLSM, linux(6, 12)},
	"bpf_path_d_path":       {kfTrusted, hookLSM, linux(6, 12)},
	"bpf_get_file_xattr":    {kfSleeps | kfTrusted, hookLSM, linux(6, 8)},
	"bpf_get_dentry_xattr":  {kfSleeps | kfTrusted, hookLSM, linux(6, 12)},

	"bpf_cpumask_create":             {kfAcquire | kfRetNull, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_release":            {kfRelease, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_acquire":            {kfAcquire | kfTrusted, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_first":              {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_first_zero":         {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_first_and":          {kfRCU, hookCPUMask, linux(6, 5)},
	"bpf_cpumask_set_cpu":            {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_clear_cpu":          {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_test_cpu":           {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_test_and_set_cpu":   {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_test_and_clear_cpu": {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_setall":             {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_clear":              {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_and":                {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_or":                 {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_xor":                {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_equal":              {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_intersects":         {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_subset":             {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_empty":              {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_full":               {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_copy":               {kfRCU, hookCPUMask, linux(6, 3)},
	"bpf_cpumask_any_distribute":     {kfRCU, hookCPUMask, linux(6, 5)},
	"bpf_cpumask_any_and_distribute": {kfRCU, hookCPUMask, linux(6, 5)},
	"bpf_cpumask_weight":             {kfRCU, hookCPUMask, linux(6, 8)},

	"bpf_session_is_return": {0, hookKprobe, linux(6, 10)},
	"bpf_session_cookie":    {0, hookKprobe, linux(6, 10)},
}
