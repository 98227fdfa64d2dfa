package ir

// Feature is something that not every kernel has.
type Feature uint8

const (
	FetchAtomics     Feature = iota // 5.12: atomic operations that return the old value, xchg, cmpxchg
	ISAv4                           // 6.6: signed division, sign-extending loads and moves, bswap
	CurrentTaskBTF                  // 5.11
	ForEachMapElem                  // 5.13
	AttachCookie                    // 5.15 for perf_event, kprobe, uprobe
	TracingCookie                   // 6.0 for fentry, fexit
	RawTPCookie                     // 6.10
	Loop                            // 5.17: bpf_loop
	Strncmp                         // 5.17
	KprobeMulti                     // 5.18
	FuncIPKprobe                    // 5.15: bpf_get_func_ip in kprobes
	LookupPerCPU                    // 5.19: bpf_map_lookup_percpu_elem
	KtimeTAI                        // 6.1
	UprobeMulti                     // 6.6
	MayGoto                         // 6.9
	BTFTracepoint                   // tp_btf: 5.5 and kernel BTF
	FentryProg                      // fentry, fexit: 5.5, kernel BTF, and a kernel built with direct calls
	PerfLink                        // 5.15: bpf_link for perf events
	MemAlloc                        // 6.1: hash maps without preallocation are safe in tracing programs
	NsPidTgid                       // 5.7: bpf_get_ns_current_pid_tgid
	KprobeHooks                     // the kernel has kprobes
	RingBuf                         // 5.8
	CgroupID                        // 4.18
	TaskPtRegs                      // 5.15
	DPath                           // 5.10: bpf_d_path in its allow-listed programs
	StackID                         // 4.6
	CopyFromUserTask                // 5.18
	ReadKernel                      // 5.5: bpf_probe_read_kernel, which a lockdown may forbid
	featureCount
)

// Target is the machine that a program is compiled for.
type Target struct {
	Kernel uint32 // 5<<16 | 10<<8 | 0
	Arch   string // GOARCH
	CPUs   int    // possible CPUs
	// Has reports whether the kernel has a feature; asked only when it matters, since asking may cost a system call.
	// nil means: by Kernel alone.
	Has func(Feature) bool
}

// Since is the first kernel version that has a feature.
func (f Feature) Since() uint32 {
	switch f {
	case StackID, CgroupID:
		return version(4, 18)
	case BTFTracepoint, FentryProg, ReadKernel:
		return version(5, 5)
	case NsPidTgid:
		return version(5, 7)
	case RingBuf:
		return version(5, 8)
	case DPath:
		return version(5, 10)
	case CurrentTaskBTF:
		return version(5, 11)
	case FetchAtomics:
		return version(5, 12)
	case ForEachMapElem:
		return version(5, 13)
	case AttachCookie, FuncIPKprobe, PerfLink, TaskPtRegs:
		return version(5, 15)
	case Loop, Strncmp:
		return version(5, 17)
	case KprobeMulti, CopyFromUserTask:
		return version(5, 18)
	case LookupPerCPU:
		return version(5, 19)
	case TracingCookie:
		return version(6, 0)
	case KtimeTAI, MemAlloc:
		return version(6, 1)
	case ISAv4, UprobeMulti:
		return version(6, 6)
	case MayGoto:
		return version(6, 9)
	case RawTPCookie:
		return version(6, 10)
	}
	return 0
}

func version(major, minor uint32) uint32 { return major<<16 | minor<<8 }

// Supports reports whether the target has a feature.
func (t *Target) Supports(f Feature) bool {
	if t.Has != nil {
		return t.Has(f)
	}
	return t.Kernel >= f.Since()
}

// Features lists all features.
func Features() []Feature {
	all := make([]Feature, featureCount)
	for i := range all {
		all[i] = Feature(i)
	}
	return all
}

// String says what the feature is.
func (f Feature) String() string {
	return [...]string{
		FetchAtomics: "atomic operations with a result", ISAv4: "signed division and short sign extension",
		CurrentTaskBTF: "typed current task", ForEachMapElem: "loops over maps", AttachCookie: "cookies of perf events",
		TracingCookie: "cookies of fentry and fexit", RawTPCookie: "cookies of raw tracepoints", Loop: "loops by callback",
		Strncmp: "bpf_strncmp", KprobeMulti: "kprobe_multi links", FuncIPKprobe: "bpf_get_func_ip in kprobes",
		LookupPerCPU: "reading other CPUs' map values", KtimeTAI: "the TAI clock", UprobeMulti: "uprobe_multi links",
		MayGoto: "may_goto", BTFTracepoint: "typed raw tracepoints", FentryProg: "fentry and fexit", PerfLink: "links of perf events",
		MemAlloc: "maps allocated on demand", NsPidTgid: "pids of a namespace", KprobeHooks: "kprobes", RingBuf: "ring buffers",
		CgroupID: "cgroup ids", TaskPtRegs: "registers of tasks", DPath: "bpf_d_path", StackID: "stack maps",
		CopyFromUserTask: "reading memory of other tasks", ReadKernel: "reading any memory of the kernel",
	}[f]
}
