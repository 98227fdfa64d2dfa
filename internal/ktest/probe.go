package ktest

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// probe tries the feature for real and leaves nothing behind; the error says what is missing.
func probe(f Feature) error {
	switch f {
	case Root:
		return probeRoot()
	case BTF:
		return readable("/sys/kernel/btf/vmlinux")
	case Tracefs:
		return readable("/sys/kernel/tracing/events/sched/sched_switch/format")
	case BPFFS:
		return mountedAs("/sys/fs/bpf", unix.BPF_FS_MAGIC)
	case Cgroup2:
		return probeCgroup()
	case Bash:
		return probeBash()
	case Work:
		_, err := workPath()
		return err
	case RingBuf:
		return probeRingBuf()
	case Iter:
		return probeIter()
	case Perf:
		return probePerf(unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK)
	case PMU:
		return probePerf(unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES)
	case Tracepoint:
		return probeTracepoint()
	case RawTracepoint:
		return probeRawTracepoint()
	case TracepointBTF:
		return probeTracing(ebpf.AttachTraceRawTp, "sched_process_exit")
	case Fentry:
		return probeTracing(ebpf.AttachTraceFEntry, probedFunction)
	case Fexit:
		return probeTracing(ebpf.AttachTraceFExit, probedFunction)
	case LSM:
		return probeLSM()
	case Kprobe:
		return probeKprobe(false)
	case Kretprobe:
		return probeKprobe(true)
	case KprobeMulti:
		return features.HaveBPFLinkKprobeMulti()
	case KprobeSession:
		return features.HaveBPFLinkKprobeSession()
	case Uprobe:
		return probeUprobe(false)
	case Uretprobe:
		return probeUprobe(true)
	case UprobeMulti:
		return features.HaveBPFLinkUprobeMulti()
	case PerfLink:
		return probePerfLink()
	}
	if option, ok := strings.CutPrefix(string(f), optionPrefix); ok {
		return probeOption(option)
	}
	if version, ok := strings.CutPrefix(string(f), releasePrefix); ok {
		return probeRelease(version)
	}
	return fmt.Errorf("nobody knows how to try it")
}

func probeRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("running as user %d", uid)
	}
	return nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 1))
	return err
}

func mountedAs(path string, magic int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if st.Type != magic {
		return fmt.Errorf("not mounted at %s", path)
	}
	return nil
}

func probeCgroup() error {
	if err := mountedAs("/sys/fs/cgroup", unix.CGROUP2_SUPER_MAGIC); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/sys/fs/cgroup", "ktest-")
	if err != nil {
		return err
	}
	return os.Remove(dir)
}

func probeBash() error {
	f, err := elf.Open("/bin/bash")
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Name == "readline" && s.Value != 0 {
			return nil
		}
	}
	return errors.New("has no symbol readline")
}

func probeOption(option string) error {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(string(b)) {
		if field == option {
			return nil
		}
	}
	return errors.New("the kernel was booted without it")
}

func probeRelease(least string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	have := unix.ByteSliceToString(u.Release[:])
	wantMajor, wantMinor := version(least)
	major, minor := version(have)
	if major < wantMajor || major == wantMajor && minor < wantMinor {
		return fmt.Errorf("this is %s", have)
	}
	return nil
}

// version reads the first two numbers of "6.1.0-50-cloud-amd64".
func version(text string) (major, minor int) {
	first, rest, _ := strings.Cut(text, ".")
	major, _ = strconv.Atoi(first)
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		rest = rest[:i]
	}
	minor, _ = strconv.Atoi(rest)
	return major, minor
}
