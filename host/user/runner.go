package user

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/vm"
)

// hook is a program that waits for an event.
type hook struct {
	program *vm.Program
	cookie  uint64
	attach  int // of the session's attachments
	point   int // of that
}

// event is what happened: what the machine's helpers need to know of it.
type event struct {
	task  *task
	regs  *unix.PtraceRegs // of the task in user mode; nil if they are not known yet
	asked unix.PtraceRegs
	// partial says that of the registers only those of a notification are known.
	partial bool

	// What was read of the task's memory, which does not run: helpers read texts in small steps.
	ahead     [readAhead]byte
	aheadAt   uint64
	aheadSize int
}

// readAhead is how much is read at once, within a page. It divides every page's size.
const readAhead = 256

// read copies memory of the task.
func (e *event) read(addr uint64, to []byte) error {
	if at := addr - e.aheadAt; addr >= e.aheadAt && at+uint64(len(to)) <= uint64(e.aheadSize) {
		copy(to, e.ahead[at:])
		return nil
	}
	e.aheadSize = 0
	if n := min(readAhead, os.Getpagesize()-int(addr)&(os.Getpagesize()-1)); len(to) < n && readMemory(e.task.tid, addr, e.ahead[:n]) == nil {
		e.aheadAt, e.aheadSize = addr, n
		copy(to, e.ahead[:])
		return nil
	}
	return readMemory(e.task.tid, addr, to)
}

// set makes it another event.
func (e *event) set(t *task, regs *unix.PtraceRegs) { e.task, e.regs, e.aheadSize = t, regs, 0 }

// runner runs the session's programs, one at a time. All of it is under the session's lock.
type runner struct {
	session *session
	threads []*vm.Thread // by CPU, made when needed
	own     task         // skep itself, for what happens in no traced process
	event   event

	words  *vm.Record // of raw tracepoints
	regs   *vm.Record // the kernel's struct pt_regs, to which the first word leads
	perf   *vm.Record // of intervals
	record *vm.Record // of tracepoints
	probe  *vm.Record // of functions
	at     uint64     // address of regs

	tap      *tap // nil if nobody records
	needsCPU bool
	wants    properties // that programs may ask for
	said     said
}

// said is what the user has been told once.
type said struct {
	once [saidCount]sync.Once
}

const (
	saidFault = iota
	saidKernelStack
	saidKernelMemory
	saidBreak
	saidCount
)

// recordSize is the most that a tracepoint's record can have here: an executable's path is its largest part.
const recordSize = 512 + unix.PathMax

func newRunner(s *session) (*runner, error) {
	r := &runner{
		session: s, threads: make([]*vm.Thread, possibleCPUs()), own: task{tid: os.Getpid(), pid: os.Getpid()},
		wants: wantsOf(s.collection.Programs),
	}
	var errs [5]error
	r.words, errs[0] = s.Machine.NewContext(ebpf.RawTracepoint, nil)
	r.regs, errs[1] = s.Machine.NewRecord(make([]byte, ptRegsSize))
	r.perf, errs[2] = s.Machine.NewContext(ebpf.PerfEvent, nil)
	r.record, errs[3] = s.Machine.NewRecord(make([]byte, recordSize))
	r.probe, errs[4] = s.Machine.NewContext(ebpf.Kprobe, nil)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.at = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r.regs.Bytes()))))
	return r, nil
}

// check refuses programs that ask for what is not here, rather than to give them zeros.
func (r *runner) check() error {
	for name, p := range r.session.collection.Programs {
		for _, call := range p.Calls() {
			what := ""
			switch call {
			case "get_current_task":
				if r.session.host.Types == nil {
					what = "the task_struct of processes"
				}
			case "get_current_task_btf", "task_pt_regs":
				what = "the task_struct of processes"
			case "d_path":
				what = "d_path"
			case "override_return":
				what = "override()"
			case "probe_write_user":
				what = "writing to memory of processes"
			case "trace_printk":
				what = "the kernel's trace pipe"
			case "get_current_cgroup_id", "get_current_ancestor_cgroup_id":
				if _, err := cgroupsOf(os.Getpid()); err != nil {
					return fmt.Errorf("the cgroup of processes cannot be known: %w", err)
				}
			case "get_smp_processor_id":
				r.needsCPU = true
			}
			if what != "" {
				return &host.Missing{On: "the user-space host", What: what, Why: "it is the kernel's (program " + name + ")", Way: "--host=kernel has it, as root"}
			}
		}
	}
	r.tap = newTap(r)
	return nil
}

// thread is the one of a CPU.
func (r *runner) thread(cpu int) (*vm.Thread, error) {
	if cpu < 0 || cpu >= len(r.threads) {
		cpu = 0
	}
	if r.threads[cpu] == nil {
		t, err := r.session.Machine.NewThread(cpu)
		if err != nil {
			return nil, err
		}
		t.Event = &r.event
		r.threads[cpu] = t
	}
	return r.threads[cpu], nil
}

// do runs the programs of hooks for the event.
func (r *runner) do(hooks []hook, ctx vm.Context) error {
	cpu := 0
	if r.needsCPU {
		cpu = r.event.task.cpu()
	}
	t, err := r.thread(cpu)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		t.Cookie = h.cookie
		r.tap.begin(r, ctx, cpu)
		if _, err := t.Run(h.program, ctx); err != nil {
			r.say(saidFault, "WARNING: a program was ended, which is a mistake of skep's: "+err.Error())
		}
		r.tap.end(h)
	}
	return nil
}

// self runs a program for an event of our own.
func (r *runner) self(h hook) error {
	r.event.set(&r.own, nil)
	ctx := r.words
	if h.program.Type == ebpf.PerfEvent {
		ctx = r.perf
	}
	clear(ctx.Bytes())
	return r.do([]hook{h}, ctx)
}

// syscall runs the programs of a raw tracepoint of system calls: with the registers, and the number or the result.
func (r *runner) syscall(t *task, regs *unix.PtraceRegs, word uint64, hooks []hook) {
	r.event.set(t, regs)
	copyRegs(r.regs.Bytes(), regs)
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(r.words.Bytes()))), 2)
	words[0], words[1] = r.at, word
	r.do(hooks, r.words)
}

// function runs programs with the registers of a task that has reached a place in its code.
func (r *runner) function(t *task, regs *unix.PtraceRegs, hooks []hook) {
	r.event.set(t, regs)
	clear(r.probe.Bytes())
	copyRegs(r.probe.Bytes(), regs)
	r.do(hooks, r.probe)
}

// sample runs programs with the registers of a task that was running.
func (r *runner) sample(t *task, regs *unix.PtraceRegs, hooks []hook) {
	r.event.set(t, regs)
	clear(r.perf.Bytes())
	copyRegs(r.perf.Bytes(), regs)
	r.do(hooks, r.perf)
}

// tracepoint runs programs with a record, which fill has written.
func (r *runner) tracepoint(t *task, regs *unix.PtraceRegs, hooks []hook, fill func(record []byte)) {
	r.event.set(t, regs)
	b := r.record.Bytes()
	clear(b)
	fill(b)
	r.do(hooks, r.record)
}

func (r *runner) say(what int, line string) {
	r.said.once[what].Do(func() {
		if r.session.opt.Notice != nil {
			r.session.opt.Notice(line)
		}
	})
}

// machineHost is what stands for the kernel around the programs.
func (s *session) machineHost() vm.Host {
	on := func(t *vm.Thread) *event { return t.Event.(*event) }
	return vm.Host{
		ReadUser: func(t *vm.Thread, addr uint64, to []byte) error { return on(t).read(addr, to) },
		ReadKernel: func(t *vm.Thread, addr uint64, to []byte) error {
			if regs := s.runner.regs.Bytes(); addr >= s.runner.at && addr+uint64(len(to)) <= s.runner.at+uint64(len(regs)) {
				at := addr - s.runner.at
				if s.runner.event.partial && !inNotification(int(at), len(to)) {
					return unix.EFAULT
				}
				copy(to, regs[at:])
				return nil
			}
			if addr >= userStack && addr < userStack+userStackSize {
				return s.runner.event.readStack(addr, to)
			}
			if addr >= signalStruct && addr < signalStruct+signalStructSize {
				clear(to)
				return nil
			}
			err := s.runner.event.readTask(s.host, addr, to)
			if err != nil && addr >= 1<<63 {
				s.runner.say(saidKernelMemory, "WARNING: the script reads the kernel's memory, of which the user-space host has none: what it reads there is 0")
			}
			return err
		},
		Task: func(t *vm.Thread) vm.Task { return on(t).task.asTask(s.runner.wants) },
		Signal: func(t *vm.Thread, signal uint32, process bool) error {
			return on(t).task.kill(unix.Signal(signal), process)
		},
		Stack: func(t *vm.Thread, user bool, frames []uint64) int {
			if !user {
				s.runner.say(saidKernelStack, "WARNING: kernel stacks are empty: only the kernel has them")
				return 0
			}
			return on(t).stack(frames)
		},
	}
}

// properties of a task that are read from /proc.
type properties struct{ comm, ids, cgroups bool }

func wantsOf(programs map[string]*vm.Program) (w properties) {
	for _, p := range programs {
		calls := p.Calls()
		w.comm = w.comm || slices.Contains(calls, "get_current_comm")
		w.ids = w.ids || slices.Contains(calls, "get_current_uid_gid")
		w.cgroups = w.cgroups || slices.Contains(calls, "get_current_cgroup_id") || slices.Contains(calls, "get_current_ancestor_cgroup_id") ||
			slices.Contains(calls, "current_task_under_cgroup")
	}
	return w
}
