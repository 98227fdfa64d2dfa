package probe

// How is a way to connect a loaded program to its points. The compiler chooses it, because it decides the program's type
// and what its context looks like; a host carries it out.
type How uint8

const (
	TestRun        How = iota // run once by the host: BEGIN when all else is attached, END before detaching
	RawTP                     // raw tracepoint Target; ctx is the u64 array of the tracepoint's arguments
	BTFTP                     // BTF-typed raw tracepoint Target (tp_btf)
	TracepointPerf            // tracepoint Points[i] through perf_event; ctx is the tracepoint's record
	KprobePerf                // kprobe or kretprobe through perf_event; ctx is pt_regs
	KprobeMulti               // all Points with one kprobe_multi link (kretprobe if the points are)
	Trampoline                // fentry or fexit; ctx is the u64 array of arguments, then the result
	UprobePerf                // uprobe or uretprobe through perf_event; ctx is pt_regs
	UprobeMulti               // all Points of one binary with one uprobe_multi link
	PerfClock                 // profile: software clock event on every CPU; ctx is bpf_perf_event_data
	PerfInterval              // interval: software clock event on one CPU
	PerfSoftware              // software event on every CPU
	SignalSelf                // run once by the host on each signal of that number to the tracer
)

// Attach says to what a program is to be attached.
type Attach struct {
	Program string // its key in CollectionSpec.Programs
	How     How
	Target  string  // RawTP, BTFTP: the tracepoint, such as "sys_enter"
	Points  []Point // the points of the script that it serves; several for a fused program or a multi link
	// Cookies, if not nil, has the value that bpf_get_attach_cookie gives for each point.
	Cookies []uint64
}
