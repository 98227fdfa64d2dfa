package vm

// A Host stands for the kernel around the programs. Each function may be nil, and is called from the goroutine that runs the program
// with the thread it runs on, whose Event tells events apart. Errors of a helper are negative error numbers, as in the kernel.
type Host struct {
	// ReadKernel and ReadUser copy memory of the kernel's and of the current task's address space. It is an error if any of it cannot
	// be read: a maps.Errno is what programs get then, and EFAULT stands for all others.
	ReadKernel, ReadUser func(t *Thread, addr uint64, to []byte) error
	// WriteUser writes to memory of the current task.
	WriteUser func(t *Thread, addr uint64, from []byte) error

	// Task is the current task. Without it, helpers see a task of zeros.
	Task func(t *Thread) Task
	// Stack stores the frames of the kernel's or the task's stack, innermost first, and returns how many there are.
	Stack func(t *Thread, user bool, frames []uint64) int
	// KernelSymbol gives the address of one of the kernel's symbols, for variables and functions that programs declare as __ksym.
	KernelSymbol func(name string) (uint64, bool)
	// Path is the text of d_path for a struct path.
	Path func(t *Thread, path uint64) (string, bool)
	// Signal gets what send_signal sends to the current task.
	Signal func(t *Thread, signal uint32, wholeProcess bool) error

	// Trace gets the lines of trace_printk.
	Trace func(t *Thread, line string)
	// Sequence gets what programs of iterators write to their struct seq_file. An error is an overflow to them.
	Sequence func(t *Thread, file uint64, text []byte) error

	// FibLookup answers fib_lookup: it changes the struct bpf_fib_lookup in place and returns a BPF_FIB_LKUP_RET_….
	FibLookup func(t *Thread, params []byte, flags uint32) int64
	// Clone gets the packets of clone_redirect.
	Clone func(t *Thread, packet []byte, ifindex uint32, flags uint64) error
	// MTU is that of a device, for check_mtu.
	MTU func(t *Thread, ifindex uint32) (int, bool)

	// LookupSocket finds a socket for sk_lookup_tcp, sk_lookup_udp and skc_lookup_tcp; nil is none.
	LookupSocket func(t *Thread, q SocketQuery) *Socket
	// SocketOption answers setsockopt and getsockopt on the socket of the context: it reads or fills the value.
	SocketOption func(t *Thread, set bool, level, name uint32, value []byte) error

	// Device says whether there is a network interface with this index, for maps of devices. Without it there are all.
	Device func(index uint32) bool

	// TimerFault gets the faults of timers' callbacks, which have no caller to tell. It may be called from any goroutine.
	TimerFault func(err error)

	// Unknown answers calls of kernel functions, and of helpers that the machine does not have. If it is nil, such a call ends the
	// program with a fault, and one that may return no pointer returns none. Memory that the arguments lead to is had by Thread.Memory.
	Unknown func(t *Thread, name string, args *[5]uint64) (uint64, error)
}

// A Task is what programs can know of the current task without reading its memory.
type Task struct {
	TID, PID uint32 // the kernel's pid and tgid
	UID, GID uint32
	Comm     string
	Address  uint64 // of its task_struct
	Regs     uint64 // the address of its struct pt_regs
	// Namespace is the inode of its pid namespace, in whose numbers NamespaceTID and NamespacePID are.
	NamespaceDev, Namespace    uint64
	NamespaceTID, NamespacePID uint32
	Cgroups                    []uint64 // ids from the root down; the last is its own
	ClassID                    uint32   // of net_cls
}

func (t *Task) cgroup() uint64 {
	if len(t.Cgroups) == 0 {
		return 0
	}
	return t.Cgroups[len(t.Cgroups)-1]
}
