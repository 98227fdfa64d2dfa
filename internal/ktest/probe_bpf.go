package ktest

import (
	"debug/elf"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// probedFunction exists under this name in all kernels, and is not called while nobody mounts anything.
const probedFunction = "vfs_mkdir"

// program loads the smallest program of a kind: it returns 0.
func program(spec ebpf.ProgramSpec) (*ebpf.Program, error) {
	spec.Name = "ktest"
	spec.License = "GPL"
	if spec.Instructions == nil {
		spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	}
	// Before Linux 5.11 what is loaded counts as locked memory, and a test's own programs have used it up by now.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, err
	}
	p, err := ebpf.NewProgram(&spec)
	if err != nil {
		return nil, fmt.Errorf("loading a program: %w", err)
	}
	return p, nil
}

// attached closes the program and, if attaching it worked, the link.
func attached(p *ebpf.Program, l link.Link, err error) error {
	p.Close()
	if err != nil {
		return fmt.Errorf("attaching a program: %w", err)
	}
	return l.Close()
}

func probeRingBuf() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "ktest", Type: ebpf.RingBuf, MaxEntries: 4096})
	if err != nil {
		return err
	}
	return m.Close()
}

func probeIter() error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task"})
	if err != nil {
		return err
	}
	l, err := link.AttachIter(link.IterOptions{Program: p})
	return attached(p, l, err)
}

func probeTracepoint() error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.TracePoint})
	if err != nil {
		return err
	}
	l, err := link.Tracepoint("sched", "sched_process_exit", p, nil)
	return attached(p, l, err)
}

func probeRawTracepoint() error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.RawTracepoint})
	if err != nil {
		return err
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: p})
	return attached(p, l, err)
}

func probeTracing(kind ebpf.AttachType, to string) error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: kind, AttachTo: to})
	if err != nil {
		return err
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	return attached(p, l, err)
}

func probeLSM() error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "path_mkdir"})
	if err != nil {
		return err
	}
	l, err := link.AttachLSM(link.LSMOptions{Program: p})
	return attached(p, l, err)
}

func probeKprobe(atReturn bool) error {
	p, err := program(ebpf.ProgramSpec{Type: ebpf.Kprobe})
	if err != nil {
		return err
	}
	attach := link.Kprobe
	if atReturn {
		attach = link.Kretprobe
	}
	l, err := attach(probedFunction, p, nil)
	return attached(p, l, err)
}

// probeUprobe probes the entry point of this process's own file, which no running process gets to again.
func probeUprobe(atReturn bool) error {
	const self = "/proc/self/exe"
	offset, err := entryOffset(self)
	if err != nil {
		return err
	}
	executable, err := link.OpenExecutable(self)
	if err != nil {
		return err
	}
	p, err := program(ebpf.ProgramSpec{Type: ebpf.Kprobe})
	if err != nil {
		return err
	}
	attach := executable.Uprobe
	if atReturn {
		attach = executable.Uretprobe
	}
	l, err := attach("entry", p, &link.UprobeOptions{Address: offset, PID: unix.Getpid()})
	return attached(p, l, err)
}

// entryOffset is where in the file the program starts.
func entryOffset(path string) (uint64, error) {
	f, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && f.Entry >= p.Vaddr && f.Entry < p.Vaddr+p.Filesz {
			return f.Entry - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("%s has no entry point", path)
}

// probePerf runs a program on a sampled event of this thread.
func probePerf(kind uint32, config uint64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := openSampled(kind, config)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p, err := program(ebpf.ProgramSpec{Type: ebpf.PerfEvent})
	if err != nil {
		return err
	}
	defer p.Close()
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, p.FD()); err != nil {
		return fmt.Errorf("attaching a program: %w", err)
	}
	return nil
}

func probePerfLink() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := openSampled(unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p, err := program(ebpf.ProgramSpec{Type: ebpf.PerfEvent})
	if err != nil {
		return err
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: p, Attach: ebpf.AttachPerfEvent})
	if err != nil {
		return attached(p, nil, err)
	}
	return attached(p, l, nil)
}

func openSampled(kind uint32, config uint64) (int, error) {
	attr := unix.PerfEventAttr{Type: kind, Config: config, Sample: 1_000_000, Bits: unix.PerfBitDisabled}
	attr.Size = unix.PERF_ATTR_SIZE_VER5
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("perf_event_open: %w", err)
	}
	return fd, nil
}
