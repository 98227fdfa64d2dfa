package kernel

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/internal/ktest"
	"skep/ir"
	"skep/probe"
)

// TestRejected: the verifier's reason and the instruction come back, with and without a gate before the program.
func TestRejected(t *testing.T) {
	ktest.Need(t, ktest.Root)
	insns := asm.Instructions{
		asm.LoadMapValue(asm.R3, 0, 0).WithReference(countMap),
		asm.Mov.Imm(asm.R0, 0),
		asm.LoadMem(asm.R2, asm.R3, 64, asm.DWord), // behind the end of the value
		asm.Return(),
	}
	for _, how := range []probe.How{probe.RawTP, probe.TracepointPerf} {
		kind := map[probe.How]ebpf.ProgramType{probe.RawTP: ebpf.RawTracepoint, probe.TracepointPerf: ebpf.TracePoint}[how]
		_, err := New().Load(&ebpf.CollectionSpec{Maps: testMaps(),
			Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: kind, License: "GPL", Instructions: insns}}},
			[]probe.Attach{{Program: "p", How: how, Target: "sys_enter", Points: syscallPoint("sys_enter_getppid")}}, testOptions())
		var rejected *host.Rejected
		if !errors.As(err, &rejected) {
			t.Fatalf("%v: %v", how, err)
		}
		if rejected.Program != "p" || rejected.Insn != 3 || !strings.Contains(rejected.Reason, "invalid access to map value") || !strings.Contains(rejected.Log, "processed") {
			t.Errorf("%v: %q at %d of %s; log:\n%s", how, rejected.Reason, rejected.Insn, rejected.Program, rejected.Log)
		}
	}
}

// TestLoading: the verifier is announced when it is its turn, and not before maps that cannot be made.
func TestLoading(t *testing.T) {
	ktest.Need(t, ktest.Root)
	for _, test := range []struct {
		name  string
		size  uint32
		calls int
	}{{"good map", 8, 1}, {"bad map", 0, 0}} {
		calls := 0
		s, err := New().Load(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": {Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: test.size, MaxEntries: 1}}},
			nil, host.Options{Loading: func() { calls++ }})
		if (err == nil) != (test.calls == 1) || calls != test.calls {
			t.Errorf("%s: %d calls, error %v", test.name, calls, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestReadLog(t *testing.T) {
	for _, test := range []struct {
		name, log string
		insn      int
		reason    string
	}{
		{name: "no log", insn: -1, reason: "no reason given"},
		{name: "5.10", insn: 2, reason: "R0 !read_ok", log: `unknown
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
0: (b7) r1 = 0
1: R1_w=inv0 R10=fp0
2: (95) exit
R0 !read_ok
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`},
		{name: "6.12", insn: 12, reason: "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'", log: `0: R1=ctx() R10=fp0
0: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()
12: (85) call bpf_probe_read_kernel#113
mark_precise: frame0: last_idx 12 first_idx 0 subseq_idx -1
R2 unbounded memory access, use 'var &= const' or 'if (var < const)'
processed 13 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
`},
		{name: "loop", insn: 6, reason: "infinite loop detected", log: `5: (79) r0 = *(u64 *)(r0 +0)          ; R0=scalar()
6: (d5) if r0 s<= 0x5 goto pc-7 infinite loop detected at insn 0
cur state: R0=scalar(smax=5) R1=1 R10=fp0
old state: R0=scalar(smax=5) R1=1 R10=fp0
processed 17 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
`},
		{name: "before the first instruction", insn: 4, reason: "unreachable insn 4", log: "unreachable insn 4\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			insn, reason := readLog(test.log)
			if insn != test.insn || reason != test.reason {
				t.Errorf("%d, %q", insn, reason)
			}
		})
	}
}

// TestCallback loads and runs a program with a callback, which needs the types of its functions; gated, they have moved.
func TestCallback(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Release("5.17"))
	number := &btf.Int{Name: "u64", Size: 8}
	function := func(name string, linkage btf.FuncLinkage, params ...string) *btf.Func {
		proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
		for _, p := range params {
			proto.Params = append(proto.Params, btf.FuncParam{Name: p, Type: number})
		}
		return &btf.Func{Name: name, Type: proto, Linkage: linkage}
	}
	address := asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("each")
	insns := asm.Instructions{
		btf.WithFuncMetadata(asm.FnGetCurrentPidTgid.Call().WithSymbol("main"), function("main", btf.GlobalFunc, "ctx")),
		asm.RSh.Imm(asm.R0, 32),
		asm.JNE.Imm(asm.R0, int32(os.Getpid()), "out"),
		asm.Mov.Imm(asm.R1, 5),
		address,
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnLoop.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
		btf.WithFuncMetadata(asm.LoadMapValue(asm.R1, 0, 0).WithReference(countMap).WithSymbol("each"), function("each", btf.StaticFunc, "i", "ctx")),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	s := load(t, map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.TracePoint, License: "GPL", Instructions: insns}},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: syscallPoint("sys_enter_getppid")}}, testOptions())
	attachAll(t, s)
	getppid(100)
	s.Disable()
	if got := s.State()[0]; got != 500 {
		t.Errorf("the callback ran %d times, want 500", got)
	}
}

// cookieProgram adds its cookie to the count.
func cookieProgram(kind ebpf.ProgramType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "cookie", Type: kind, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnGetCurrentPidTgid.Call(),
		asm.RSh.Imm(asm.R0, 32),
		asm.JNE.Imm(asm.R0, int32(os.Getpid()), "out"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnGetAttachCookie.Call(),
		asm.LoadMapValue(asm.R1, 0, 0).WithReference(countMap),
		asm.AddAtomic.Mem(asm.R1, asm.R0, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}}
}

func TestCookies(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.PerfLink)
	points := append(syscallPoint("sys_enter_getppid"), syscallPoint("sys_enter_gettid")...)
	s := load(t, map[string]*ebpf.ProgramSpec{"p": cookieProgram(ebpf.TracePoint)},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: points, Cookies: []uint64{1, 1000}}}, testOptions())
	attachAll(t, s)
	unix.Getppid()
	unix.Gettid()
	unix.Gettid()
	s.Disable()
	if got := s.State()[0] % 1000; got != 1 {
		t.Errorf("cookies of getppid add up to %d", got)
	}
	if got := s.State()[0] / 1000; got < 2 {
		t.Errorf("cookies of gettid add up to %d", got)
	}
}

// TestAttachErrors: what cannot be attached is told apart, and does not keep the rest from being attached.
func TestAttachErrors(t *testing.T) {
	ktest.Need(t, ktest.Root)
	points := append(syscallPoint("sys_enter_getppid"), syscallPoint("sys_enter_nosuch")...)
	s := load(t, map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.TracePoint, os.Getpid(), 0), "q": countProgram(ebpf.RawTracepoint, os.Getpid(), 1),
		"r": countProgram(ebpf.Kprobe, os.Getpid(), 1)},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: points},
			{Program: "q", How: probe.RawTP, Target: "nosuch", Points: []probe.Point{{Name: "rawtracepoint:nosuch"}}},
			{Program: "r", How: probe.UprobePerf, Points: []probe.Point{{Kind: probe.Uprobe, Name: "uprobe:/nosuch:f", Binary: "/nosuch", FileOffset: 16}}},
		}, testOptions())
	attached, failed, err := s.Attach(context.Background())
	if err != nil || attached != 1 {
		t.Errorf("attached %d, %v", attached, err)
	}
	var got []string
	for _, f := range failed {
		got = append(got, f.Error())
	}
	want := []string{
		"attaching to tracepoint:syscalls:sys_enter_nosuch: the kernel has no tracepoint syscalls:sys_enter_nosuch",
		"attaching to rawtracepoint:nosuch: the kernel has no raw tracepoint nosuch",
		"attaching to uprobe:/nosuch:f: probe /nosuch: no such file or directory",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	getppid(10)
	if s.State()[0] != 10 {
		t.Errorf("counted %d", s.State()[0])
	}
}

// TestBeginFirst: BEGIN runs before anything is attached, END not before it is asked for.
func TestBeginFirst(t *testing.T) {
	ktest.Need(t, ktest.Root)
	programs := map[string]*ebpf.ProgramSpec{
		"event": countProgram(ebpf.RawTracepoint, os.Getpid(), 0),
		"begin": {Name: "begin", Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMapValue(asm.R1, 0, 0).WithReference(countMap),
			asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord),
			asm.StoreMem(asm.R1, 8, asm.R2, asm.DWord), // events so far
			asm.Mov.Imm(asm.R2, 1),
			asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 16),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		}},
		"end": countProgram(ebpf.RawTracepoint, 0, 3),
	}
	s := load(t, programs, []probe.Attach{
		{Program: "event", How: probe.RawTP, Target: "sys_enter"},
		{Program: "begin", How: probe.TestRun, Points: []probe.Point{{Kind: probe.Begin, Name: "BEGIN"}}},
		{Program: "end", How: probe.TestRun, Points: []probe.Point{{Kind: probe.End, Name: "END"}}},
	}, testOptions())
	attachAll(t, s)
	getppid(1)
	s.Disable()
	state := s.State()
	if state[0] == 0 || state[1] != 0 || state[2] != 1 || state[3] != 0 {
		t.Errorf("state %v", state)
	}
	if err := s.Run("end"); err != nil || state[3] != 1 {
		t.Errorf("END: %v, state %v", err, state)
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string]uint32{
		"6.18.44-fc": 6<<16 | 18<<8 | 44, "5.10.0-30-cloud-amd64": 5<<16 | 10<<8, "6.1": 6<<16 | 1<<8, "4.9.337": 4<<16 | 9<<8 | 255, "7.0-rc1": 7 << 16, "": 0,
	} {
		if got := parseVersion(release); got != want {
			t.Errorf("%q: %#x, want %#x", release, got, want)
		}
	}
}

func TestCPUs(t *testing.T) {
	got, err := parseCPUs("0-2,5,7-8\n")
	if diff := cmp.Diff([]int{0, 1, 2, 5, 7, 8}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := parseCPUs("x"); err == nil {
		t.Error("no error")
	}
}

// TestFeatures compares what is tried out with what the tests' own probing finds.
func TestFeatures(t *testing.T) {
	ktest.Need(t, ktest.Root)
	target, err := New().Target()
	if err != nil {
		t.Fatal(err)
	}
	if target.CPUs < 1 || target.Kernel < 5<<16 {
		t.Errorf("%+v", target)
	}
	for feature, same := range map[ir.Feature]ktest.Feature{
		ir.FentryProg: ktest.Fentry, ir.KprobeHooks: ktest.Kprobe, ir.KprobeMulti: ktest.KprobeMulti, ir.UprobeMulti: ktest.UprobeMulti,
		ir.PerfLink: ktest.PerfLink, ir.RingBuf: ktest.RingBuf, ir.BTFTracepoint: ktest.TracepointBTF,
	} {
		t.Run(string(same), func(t *testing.T) {
			if !target.Supports(feature) {
				// Skipped if the tests' probing finds nothing either.
				ktest.Need(t, same)
				t.Errorf("not found")
				return
			}
			t.Run("really", func(t *testing.T) { ktest.Need(t, same) })
		})
	}
	for f := ir.Feature(0); f.Since() != 0 && f < 30; f++ {
		byVersion := target.Kernel >= f.Since()
		if tried := tryFeature(f, false); !byVersion && tried {
			t.Logf("feature %d was taken back to this kernel", f)
		}
	}
}

func BenchmarkRing(b *testing.B) {
	ktest.Need(b, ktest.Root, ktest.RingBuf)
	const batch = 10000
	opt := testOptions()
	opt.RingPages = 1024
	// The program sends a batch of records of 48 bytes in one run.
	insns := asm.Instructions{
		asm.Mov.Imm(asm.R6, 0),
		asm.LoadMapPtr(asm.R1, 0).WithReference(eventRing).WithSymbol("again"),
		asm.LoadMapValue(asm.R2, 0, 0).WithReference(countMap),
		asm.Mov.Imm(asm.R3, 40),
		asm.Mov.Imm(asm.R4, 1),
		asm.FnRingbufOutput.Call(),
		asm.Add.Imm(asm.R6, 1),
		asm.JLT.Imm(asm.R6, batch, "again"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	s := load(b, map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.RawTracepoint, License: "GPL", Instructions: insns}}, nil, opt)
	r := s.Ring(eventRing)
	var sum int
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := s.Run("p"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		n, _ := r.Drain(0, func(record []byte) bool {
			sum += len(record)
			return true
		})
		if n != batch {
			b.Fatalf("%d records", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/record")
}
