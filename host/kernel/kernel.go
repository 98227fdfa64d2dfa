// Package kernel runs programs in the Linux kernel: it is the only door to bpf(2) and perf_event_open(2).
//
// The specs that it loads are plain: maps without BTF types, programs without CO-RE relocations and kfuncs, as our own
// compiler makes them. What a spec wants beyond that is an error, never ignored.
package kernel

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/ir"
	"skep/probe"
)

// Host is the Linux kernel that this process runs on.
type Host struct {
	tracefs  *probe.Tracefs
	possible func() (int, error)
	online   func() ([]int, error)
	kprobes  func() (pmu, error)
	uprobes  func() (pmu, error)
	features features
}

var _ host.Host = (*Host)(nil)

// New returns the host. It asks the kernel for nothing yet.
func New() *Host {
	return &Host{
		tracefs: new(probe.Tracefs),
		possible: sync.OnceValues(func() (int, error) {
			cpus, err := cpuList("possible")
			if err != nil {
				return 0, err
			}
			// Per-CPU values have a place for each number up to the highest.
			return cpus[len(cpus)-1] + 1, nil
		}),
		kprobes: sync.OnceValues(func() (pmu, error) { return readPMU("kprobe") }),
		uprobes: sync.OnceValues(func() (pmu, error) { return readPMU("uprobe") }),
		online:  sync.OnceValues(func() ([]int, error) { return cpuList("online") }),
	}
}

func (h *Host) Name() string { return "kernel" }

// Target says what this kernel can do.
func (h *Host) Target() (*ir.Target, error) {
	cpus, err := h.possible()
	if err != nil {
		return nil, err
	}
	return &ir.Target{Kernel: version(), Arch: runtime.GOARCH, CPUs: cpus, Has: h.Has}, nil
}

// version is the running kernel's as in ir.Target. Distributions change what comes behind major and minor in uname
// (Debian's 6.1.0-18 is a 6.1.76), and nothing of ours depends on it.
var version = sync.OnceValue(func() uint32 {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0
	}
	return parseVersion(unix.ByteSliceToString(u.Release[:]))
})

func parseVersion(release string) uint32 {
	var v uint32
	for i, shift := range [3]uint{16, 8, 0} {
		n := 0
		for n < len(release) && '0' <= release[n] && release[n] <= '9' {
			n++
		}
		part, err := strconv.ParseUint(release[:n], 10, 16)
		if err != nil {
			break
		}
		v |= min(uint32(part), 255) << shift
		if i == 2 || n == len(release) || release[n] != '.' {
			break
		}
		release = release[n+1:]
	}
	return v
}

func cpuList(which string) ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/" + which)
	if err != nil {
		if n := runtime.NumCPU(); os.IsNotExist(err) { // no sysfs, as in some containers
			cpus := make([]int, n)
			for i := range cpus {
				cpus[i] = i
			}
			return cpus, nil
		}
		return nil, err
	}
	return parseCPUs(string(text))
}

// parseCPUs reads a list such as "0-3,7".
func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, err
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(last, 10, 16); err != nil {
				return nil, err
			}
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}
