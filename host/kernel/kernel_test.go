package kernel

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/internal/ktest"
	"skep/probe"
)

func TestMain(m *testing.M) {
	if ReaperMain() {
		return
	}
	os.Exit(m.Run())
}

// The maps of the test programs.
const (
	countMap  = "count" // one element of 8 u64 that the tests map
	eventRing = "events"
)

func testMaps() map[string]*ebpf.MapSpec {
	return map[string]*ebpf.MapSpec{
		countMap:  {Name: countMap, Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE},
		eventRing: {Name: eventRing, Type: ebpf.RingBuf},
	}
}

// countProgram counts in element index the events of process pid; 0 counts all.
func countProgram(kind ebpf.ProgramType, pid, index int) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "count", Type: kind, License: "GPL", Instructions: countInstructions(pid, index)}
}

func countInstructions(pid, index int) asm.Instructions {
	insns := asm.Instructions{asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32)}
	if pid != 0 {
		insns = append(insns, asm.JNE.Imm(asm.R0, int32(pid), "out"))
	}
	return append(insns,
		asm.LoadMapValue(asm.R1, 0, uint32(8*index)).WithReference(countMap),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	)
}

func testOptions() host.Options {
	return host.Options{StateMap: countMap, RingMap: eventRing}
}

// load loads one counting program for each attach, named by its Program, and closes the session with the test.
func load(t testing.TB, programs map[string]*ebpf.ProgramSpec, attach []probe.Attach, opt host.Options) host.Session {
	t.Helper()
	s, err := New().Load(&ebpf.CollectionSpec{Maps: testMaps(), Programs: programs}, attach, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func attachAll(t testing.TB, s host.Session) {
	t.Helper()
	_, failed, err := s.Attach(context.Background())
	for _, f := range failed {
		t.Error(f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func getppid(n int) {
	for range n {
		unix.Getppid()
	}
}

// nice sets the nice value to what it is, n times.
func nice(n int) {
	now, _ := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 minus the nice value
	for range n {
		unix.Setpriority(unix.PRIO_PROCESS, 0, 20-now)
	}
}

func syscallPoint(name string) []probe.Point {
	return []probe.Point{{Kind: probe.Tracepoint, Name: "tracepoint:syscalls:" + name, Category: "syscalls", Event: name}}
}

// A countCase is a way to attach that a workload of system calls can fire.
type countCase struct {
	name    string
	need    []ktest.Feature
	program *ebpf.ProgramSpec
	attach  probe.Attach
	work    func(n int) // getppid if nil
}

// count makes 1000 events while the programs are attached and some before and after, and wants 1000 counted.
func count(t *testing.T, cases []countCase) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			ktest.Need(t, test.need...)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			test.attach.Program = "p"
			if test.work == nil {
				test.work = getppid
			}
			s := load(t, map[string]*ebpf.ProgramSpec{"p": test.program}, []probe.Attach{test.attach}, testOptions())
			test.work(10)
			attachAll(t, s)
			test.work(1000)
			s.Disable()
			test.work(10)
			if got := atomic.LoadUint64(&s.State()[0]); got != 1000 {
				t.Errorf("counted %d events, want 1000", got)
			}
		})
	}
}

func TestTracepoint(t *testing.T) {
	ktest.Need(t, ktest.Root)
	raw := countProgram(ebpf.RawTracepoint, 0, 0)
	// ctx: struct pt_regs *, long id; only the test's getppid.
	onlyGetppid := func(spec *ebpf.ProgramSpec) *ebpf.ProgramSpec {
		spec.Instructions = append(asm.Instructions{
			asm.LoadMem(asm.R3, asm.R1, 8, asm.DWord),
			asm.JNE.Imm(asm.R3, unix.SYS_GETPPID, "out"),
		}, countInstructions(os.Getpid(), 0)...)
		return spec
	}
	count(t, []countCase{
		{name: "raw tracepoint", program: onlyGetppid(raw.Copy()),
			attach: probe.Attach{How: probe.RawTP, Target: "sys_enter"}},
		{name: "BTF tracepoint", need: []ktest.Feature{ktest.BTF},
			program: onlyGetppid(&ebpf.ProgramSpec{Name: "count", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sys_enter", License: "GPL"}),
			attach:  probe.Attach{How: probe.BTFTP, Target: "sys_enter"}},
		{name: "tracepoint", program: countProgram(ebpf.TracePoint, os.Getpid(), 0),
			attach: probe.Attach{How: probe.TracepointPerf, Points: syscallPoint("sys_enter_getppid")}},
	})
}

func TestKprobe(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Kprobe)
	count(t, []countCase{
		{name: "kprobe", program: countProgram(ebpf.Kprobe, os.Getpid(), 0),
			attach: probe.Attach{How: probe.KprobePerf, Points: []probe.Point{getppidFunction(probe.Kprobe)}}},
		{name: "kretprobe", need: []ktest.Feature{ktest.Kretprobe}, program: countProgram(ebpf.Kprobe, os.Getpid(), 0),
			attach: probe.Attach{How: probe.KprobePerf, Points: []probe.Point{getppidFunction(probe.Kretprobe)}}},
		{name: "kprobe multi", need: []ktest.Feature{ktest.KprobeMulti}, program: multi(countProgram(ebpf.Kprobe, os.Getpid(), 0), ebpf.AttachTraceKprobeMulti),
			attach: probe.Attach{How: probe.KprobeMulti, Points: []probe.Point{getppidFunction(probe.Kprobe), getpidFunction(probe.Kprobe)}}},
		{name: "kretprobe multi", need: []ktest.Feature{ktest.KprobeMulti}, program: multi(countProgram(ebpf.Kprobe, os.Getpid(), 0), ebpf.AttachTraceKprobeMulti),
			attach: probe.Attach{How: probe.KprobeMulti, Points: []probe.Point{getppidFunction(probe.Kretprobe)}}},
	})
}

func TestFentry(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Fentry)
	count(t, []countCase{
		{name: "fentry",
			program: &ebpf.ProgramSpec{Name: "count", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "set_user_nice", License: "GPL", Instructions: countInstructions(os.Getpid(), 0)},
			attach:  probe.Attach{How: probe.Trampoline, Points: []probe.Point{{Kind: probe.Fentry, Name: "fentry:set_user_nice", Function: "set_user_nice"}}}, work: nice},
		{name: "fexit", need: []ktest.Feature{ktest.Fexit},
			program: &ebpf.ProgramSpec{Name: "count", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFExit, AttachTo: "set_user_nice", License: "GPL", Instructions: countInstructions(os.Getpid(), 0)},
			attach:  probe.Attach{How: probe.Trampoline, Points: []probe.Point{{Kind: probe.Fexit, Name: "fexit:set_user_nice", Function: "set_user_nice"}}}, work: nice},
	})
}

func multi(spec *ebpf.ProgramSpec, kind ebpf.AttachType) *ebpf.ProgramSpec {
	spec.AttachType = kind
	return spec
}

func systemCall(kind probe.Kind, name string) probe.Point {
	prefix := map[string]string{"amd64": "__x64_sys_", "arm64": "__arm64_sys_"}[runtime.GOARCH]
	return probe.Point{Kind: kind, Name: "kprobe:" + prefix + name, Function: prefix + name}
}

func getppidFunction(kind probe.Kind) probe.Point { return systemCall(kind, "getppid") }
func getpidFunction(kind probe.Kind) probe.Point  { return systemCall(kind, "gettid") }

// ringProgram sends a record of n bytes, its first 8 being the number of the record in this session.
func ringProgram(kind ebpf.ProgramType, size int32, flags int32) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "send", Type: kind, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapValue(asm.R6, 0, 0).WithReference(countMap),
		asm.LoadMapPtr(asm.R1, 0).WithReference(eventRing),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JEq.Imm(asm.R0, 0, "lost"),
		asm.LoadMem(asm.R2, asm.R6, 0, asm.DWord),
		asm.StoreMem(asm.R0, 0, asm.R2, asm.DWord),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R6, 0, asm.R2, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.Mov.Imm(asm.R2, flags),
		asm.FnRingbufSubmit.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.LoadMem(asm.R2, asm.R6, 8, asm.DWord).WithSymbol("lost"),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R6, 8, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}}
}

// TestRing sends more than the ring holds in all, so that records wrap, and checks that each arrives once, whole and in order.
func TestRing(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	for _, size := range []int32{8, 24, 33, 1000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			opt := testOptions()
			opt.RingPages = 4
			s := load(t, map[string]*ebpf.ProgramSpec{"p": ringProgram(ebpf.RawTracepoint, size, 0)}, []probe.Attach{{Program: "p", How: probe.TestRun}}, opt)
			r := s.Ring(eventRing)
			if r.Size() != 4*os.Getpagesize() {
				t.Fatalf("ring of %d bytes", r.Size())
			}
			var next uint64
			for range 2000 {
				for range 5 {
					if err := s.Run("p"); err != nil {
						t.Fatal(err)
					}
				}
				n, more := r.Drain(0, func(record []byte) bool {
					if len(record) != int(size) {
						t.Fatalf("record of %d bytes", len(record))
					}
					if got := binary.NativeEndian.Uint64(record); got != next {
						t.Fatalf("record %d where %d was due", got, next)
					}
					next++
					return true
				})
				if n != 5 || !more {
					t.Fatalf("drained %d, %v", n, more)
				}
			}
			if lost := s.State()[1]; lost != 0 {
				t.Errorf("%d records lost", lost)
			}
		})
	}
}

// TestRingStops checks the limit by position and the callback's no.
func TestRingStops(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	s := load(t, map[string]*ebpf.ProgramSpec{"p": ringProgram(ebpf.RawTracepoint, 8, 0)}, []probe.Attach{{Program: "p", How: probe.TestRun}}, testOptions())
	for range 10 {
		if err := s.Run("p"); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Ring(eventRing)
	yes := func([]byte) bool { return true }
	if n, more := r.Drain(3*16, yes); n != 3 || !more || r.Position() != 3*16 {
		t.Errorf("drained %d up to %d, %v", n, r.Position(), more)
	}
	if n, more := r.Drain(0, func([]byte) bool { return false }); n != 1 || more {
		t.Errorf("drained %d after no, %v", n, more)
	}
	if n, more := r.Drain(0, yes); n != 6 || !more {
		t.Errorf("drained %d, %v", n, more)
	}
}

// TestRingWait: a record without wake-up does not end the wait, one with it does; so do the timeout and the context.
func TestRingWait(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	const noWakeup, forceWakeup = 1, 2
	programs := map[string]*ebpf.ProgramSpec{"quiet": ringProgram(ebpf.RawTracepoint, 8, noWakeup), "loud": ringProgram(ebpf.RawTracepoint, 8, forceWakeup)}
	s := load(t, programs, nil, testOptions())
	r := s.Ring(eventRing)
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Run("quiet"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Wait(ctx, 30*time.Millisecond); err != nil || time.Since(start) < 30*time.Millisecond {
		t.Errorf("waited %v, %v", time.Since(start), err)
	}
	if err := s.Run("loud"); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(ctx, -1); err != nil {
		t.Error(err)
	}
	if n, _ := r.Drain(0, func([]byte) bool { return true }); n != 2 {
		t.Errorf("drained %d", n)
	}
	time.AfterFunc(time.Millisecond, cancel)
	if err := r.Wait(ctx, -1); err != context.Canceled {
		t.Errorf("waiting with a cancelled context: %v", err)
	}
	if err := r.Wait(context.Background(), time.Millisecond); err != nil {
		t.Error(err)
	}
}

// TestClocks checks that clocks tick about as often as they should, and not when disabled.
func TestClocks(t *testing.T) {
	ktest.Need(t, ktest.Root)
	tests := []struct {
		name string
		how  probe.How
		pt   probe.Point
		opt  int // PID
	}{
		{name: "interval", how: probe.PerfInterval, pt: probe.Point{Kind: probe.Interval, Name: "interval:ms:1", Period: time.Millisecond}},
		{name: "profile", how: probe.PerfClock, pt: probe.Point{Kind: probe.Profile, Name: "profile:us:500", Period: 500 * time.Microsecond}},
		{name: "profile by frequency", how: probe.PerfClock, pt: probe.Point{Kind: probe.Profile, Name: "profile:hz:999", Frequency: 999}},
		{name: "profile of a process", how: probe.PerfClock, pt: probe.Point{Kind: probe.Profile, Name: "profile:hz:999", Frequency: 999}, opt: os.Getpid()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opt := testOptions()
			opt.PID = test.opt
			s := load(t, map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.PerfEvent, 0, 0)},
				[]probe.Attach{{Program: "p", How: test.how, Points: []probe.Point{test.pt}}}, opt)
			attachAll(t, s)
			deadline := time.Now().Add(10 * time.Second)
			for atomic.LoadUint64(&s.State()[0]) < 10 {
				if time.Now().After(deadline) {
					t.Fatal("the clock does not tick")
				}
			}
			s.Disable()
			ticks := atomic.LoadUint64(&s.State()[0])
			for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
			}
			if now := atomic.LoadUint64(&s.State()[0]); now != ticks {
				t.Errorf("%d ticks after Disable", now-ticks)
			}
		})
	}
}

func symbolOffset(t testing.TB, path, symbol string) uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name != symbol {
			continue
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_LOAD && p.Vaddr <= s.Value && s.Value < p.Vaddr+p.Filesz {
				return s.Value - p.Vaddr + p.Off
			}
		}
	}
	t.Fatalf("%s has no symbol %s", path, symbol)
	return 0
}

// TestUprobe counts calls of a function of a running process.
func TestUprobe(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Uprobe)
	for _, test := range []struct {
		name string
		how  probe.How
		kind probe.Kind
		need []ktest.Feature
	}{
		{name: "perf", how: probe.UprobePerf, kind: probe.Uprobe},
		{name: "multi", how: probe.UprobeMulti, kind: probe.Uprobe, need: []ktest.Feature{ktest.UprobeMulti}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ktest.Need(t, test.need...)
			w := ktest.StartWork(t, "call", "25")
			offset := symbolOffset(t, w.Binary, "main.bee")
			spec := countProgram(ebpf.Kprobe, w.PID, 0)
			if test.how == probe.UprobeMulti {
				spec.AttachType = ebpf.AttachTraceUprobeMulti
			}
			s := load(t, map[string]*ebpf.ProgramSpec{"p": spec}, []probe.Attach{{Program: "p", How: test.how,
				Points: []probe.Point{{Kind: test.kind, Name: "uprobe:work:main.bee", Binary: w.Binary, FileOffset: offset}}}}, testOptions())
			attachAll(t, s)
			w.Run()
			s.Disable()
			if got := s.State()[0]; got != 25 {
				t.Errorf("counted %d calls, want 25", got)
			}
		})
	}
}
