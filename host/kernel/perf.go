package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/ir"
	"skep/probe"
)

// perfOpen opens an event: of a process on every CPU with pid and cpu -1, of a CPU with pid -1.
func perfOpen(attr *unix.PerfEventAttr, pid, cpu int) (int, error) {
	attr.Size = uint32(unsafe.Sizeof(*attr))
	for {
		fd, err := unix.PerfEventOpen(attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// perfNamed opens an event whose attribute points to a string: the addresses of attr hold it.
func perfNamed(attr *unix.PerfEventAttr, name string, pid, cpu int) (int, error) {
	c := cString(name)
	attr.Ext1 = uint64(uintptr(unsafe.Pointer(c)))
	fd, err := perfOpen(attr, pid, cpu)
	runtime.KeepAlive(c) // heap objects do not move
	return fd, err
}

func perfIoctl(fd int, request uint, value int) error {
	for {
		err := unix.IoctlSetInt(fd, request, value)
		if err != unix.EINTR {
			return err
		}
	}
}

// Bits of the attribute that x/sys does not name.
const (
	perfBuildID       = 1 << 34 // Linux 5.12
	perfInheritThread = 1 << 35 // Linux 5.13
)

// pmu is a dynamic source of perf events, such as "kprobe".
type pmu struct {
	kind   uint32
	atExit uint64 // the bit of the config that asks for the return of the function
}

func readPMU(name string) (pmu, error) {
	dir := "/sys/bus/event_source/devices/" + name
	text, err := os.ReadFile(filepath.Join(dir, "type"))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return pmu{}, missingPMU(name)
		}
		return pmu{}, err
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return pmu{}, fmt.Errorf("type of PMU %s: %w", name, err)
	}
	p := pmu{kind: uint32(kind), atExit: 1}
	// "config:0"
	if format, err := os.ReadFile(filepath.Join(dir, "format/retprobe")); err == nil {
		if _, bit, ok := strings.Cut(strings.TrimSpace(string(format)), ":"); ok {
			if n, err := strconv.ParseUint(bit, 10, 6); err == nil {
				p.atExit = 1 << n
			}
		}
	}
	return p, nil
}

func missingPMU(name string) error {
	if _, err := os.Stat("/sys/bus/event_source/devices"); err != nil {
		return &host.Missing{What: "a " + name, Why: "sysfs is not mounted at /sys", Way: "mount -t sysfs sysfs /sys"}
	}
	config := map[string]string{"kprobe": "CONFIG_KPROBE_EVENTS", "uprobe": "CONFIG_UPROBE_EVENTS"}[name]
	return &host.Missing{What: "a " + name, Why: "the kernel is built without " + config}
}

// attachPerf puts a program on a perf event, which goes into held: the event itself, or its link.
func (s *session) attachPerf(held *[]int, event int, a probe.Attach, i int, p *program) error {
	c, hasCookie := cookie(a, i)
	if !s.host.Has(ir.PerfLink) {
		*held = append(*held, event)
		if hasCookie {
			return &host.Missing{What: "a cookie on perf events", Since: "Linux 5.15"}
		}
		return explainSetProgram(a.Points[i].Name, perfIoctl(event, unix.PERF_EVENT_IOC_SET_BPF, p.fd))
	}
	link, err := bpf(unix.BPF_LINK_CREATE, &perfLinkAttr{
		linkCreateAttr: linkCreateAttr{prog: uint32(p.fd), target: uint32(event), attachType: unix.BPF_PERF_EVENT}, cookie: c})
	if err != nil {
		*held = append(*held, event)
		return explainSetProgram(a.Points[i].Name, err)
	}
	*held = append(*held, link)
	if held == &s.clocks {
		*held = append(*held, event) // to be switched on and off
	} else {
		unix.Close(event) // the link keeps it
	}
	return nil
}

// explainPerf says why an event could not be opened.
func explainPerf(what string, err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return denied("opening a perf event for "+what, err)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("too many open files: raise the limit with ulimit -n: %w", err)
	case errors.Is(err, unix.ENOSYS):
		return &host.Missing{What: "perf_event_open(2)", Why: "the kernel is built without CONFIG_PERF_EVENTS, or seccomp hides it"}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s does not exist on this kernel: %w", what, err)
	}
	return fmt.Errorf("opening a perf event for %s: %w", what, err)
}

// explainSetProgram says why a program could not be put on an event.
func explainSetProgram(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("the program reads more of the record than %s has", what)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%s has all the programs that it can have (64)", what)
	case errors.Is(err, unix.EPERM):
		return denied("putting a program on "+what, err)
	}
	return fmt.Errorf("putting a program on %s: %w", what, err)
}
