package ktest

import (
	"slices"
	"strings"
)

// A Feature is something a test can need of the kernel it runs on.
type Feature string

const (
	Root    Feature = "root"                       // all privileges
	BTF     Feature = "BTF"                        // /sys/kernel/btf/vmlinux
	Tracefs Feature = "tracefs"                    // readable at /sys/kernel/tracing
	BPFFS   Feature = "bpffs"                      // at /sys/fs/bpf
	Cgroup2 Feature = "cgroup2 at /sys/fs/cgroup"  // writable
	Bash    Feature = "/bin/bash"                  // with the symbol readline
	Work    Feature = "the work command"           // see package work
	RingBuf Feature = "BPF ring buffer"            // 5.8
	Iter    Feature = "BPF iterator"               // 5.8
	Perf    Feature = "perf_event software clocks" // with a BPF program
	PMU     Feature = "hardware performance counters"

	Tracepoint    Feature = "tracepoint" // by perf_event, so with tracefs
	RawTracepoint Feature = "rawtracepoint"
	TracepointBTF Feature = "BTF-typed rawtracepoint" // 5.5
	Kprobe        Feature = "kprobe"
	Kretprobe     Feature = "kretprobe"
	KprobeMulti   Feature = "kprobe_multi"   // 5.18, with CONFIG_FPROBE, which Debian's 6.1 lacks
	KprobeSession Feature = "kprobe session" // 6.10
	Fentry        Feature = "fentry"         // 5.5
	Fexit         Feature = "fexit"          // 5.5
	LSM           Feature = "BPF LSM"        // 5.7, with lsm=bpf
	Uprobe        Feature = "uprobe"
	Uretprobe     Feature = "uretprobe"
	UprobeMulti   Feature = "uprobe_multi" // 6.6
	PerfLink      Feature = "perf_event link with cookies"
)

// Option is the need for a kernel that was booted with this on its command line, such as
// "lockdown=confidentiality". Only tests that need an option run on the variant that has it.
func Option(option string) Feature { return Feature(optionPrefix + option) }

// Release is the need for a kernel of at least this version, such as "6.1".
func Release(version string) Feature { return Feature(releasePrefix + version) }

const (
	optionPrefix  = "kernel option "
	releasePrefix = "kernel "
)

// Must lists what a kernel of the matrix has to have, so that no test which needs it is ever skipped there.
//
// "live" is the machine's own kernel with file systems mounted by the matrix, "unprepared" the same without, in CI.
// A kernel variant must have little, since taking things away is what variants are for.
func Must(kernel string) []Feature {
	base, _, isVariant := strings.Cut(kernel, "+")
	if isVariant {
		return []Feature{Root, BTF, Work}
	}
	unprepared := []Feature{Root, BTF, Bash, Work, RingBuf, Iter, Perf, RawTracepoint, TracepointBTF,
		Uprobe, Uretprobe, UprobeMulti, PerfLink}
	mounts := []Feature{Tracefs, BPFFS, Cgroup2, Tracepoint}
	v5_10 := slices.Concat(mounts, []Feature{Root, BTF, Bash, Work, RingBuf, Iter, Perf, RawTracepoint, TracepointBTF,
		Uprobe, Uretprobe, Kprobe, Kretprobe, Fentry, Fexit, LSM})
	v6_1 := slices.Concat(v5_10, []Feature{PerfLink})
	v6_12 := slices.Concat(v6_1, []Feature{KprobeMulti, KprobeSession, UprobeMulti})
	switch base {
	case "5.10":
		return v5_10
	case "6.1":
		return v6_1
	case "6.12", "newest":
		return v6_12
	case "live":
		return slices.Concat(mounts, unprepared)
	case "unprepared":
		return unprepared
	}
	return nil
}

func isMust(kernel string, f Feature) bool {
	if option, ok := strings.CutPrefix(string(f), optionPrefix); ok {
		return slices.Contains(strings.Split(kernel, "+")[1:], option)
	}
	return slices.Contains(Must(kernel), f)
}
