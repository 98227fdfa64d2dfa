package lower

import (
	"fmt"

	"github.com/cilium/ebpf"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// With Options.Record, programs tell on a ring of their own what they are given: a record when they begin, with the task and the context,
// one for what each helper has read or told, and one when they end. Records of one run have the same number.
//
//	 0 u64 number of the run
//	 8 u32 kind       RecordedBegin, RecordedEnd, RecordedResult
//	12 u32 program    index in Unit.Recorded; of a result, the helper
//
// Begin:
//
//	16 u64 boot clock        56 u32 ppid            64 char comm[16]
//	24 u64 pid_tgid          60 u32 probe, index    80 char pcomm[16]
//	32 u64 uid_gid              in ProbeNames       96 u32 pid, tgid in the tracer's namespace
//	40 u64 cgroup                                  104 u32 cpu, u32 0
//	48 u64 task_struct                             112 … context
//
// Result:
//
//	16 i64 what the helper returned
//	24 u64 address; of a stack its depth, and 1<<32 if it is the user's
//	32 u64 bytes that were asked for
//	40 …   the bytes
const (
	// MapRecording is the ring, MapUnrecorded an array of one element with u64 counters of what it had no room for: [0] begins, [1] results,
	// [2] ends.
	MapRecording  = "recording"
	MapUnrecorded = "unrecorded"

	RecordedBegin  = 1
	RecordedEnd    = 2
	RecordedResult = 3

	RecordedHeader = 16
	RecordedTask   = 112 // where the context begins
	RecordedData   = 40  // where the bytes of a result begin
	RecordedUser   = 1 << 32

	recordingRing = 16 << 20
	mostRecorded  = 4096 // bytes of a record of a tracepoint
	rawWords      = 12   // arguments of a raw tracepoint, at most
)

// RecordTarget is a kernel for Options.Record: programs read memory by helpers only, so that what they read can be taken down.
func RecordTarget(t *ir.Target) *ir.Target {
	less := *t
	less.Has = func(f ir.Feature) bool {
		switch f {
		case ir.BTFTracepoint, ir.FentryProg, ir.CurrentTaskBTF, ir.TaskPtRegs, ir.DPath, ir.CopyFromUserTask, ir.MayGoto:
			return false
		}
		return t.Supports(f)
	}
	return &less
}

// records reports whether the program tells what it is given.
func (p *program) records() bool { return p.opt.Record != 0 }

// recordBegin tells that the program begins to run for an event, unless that is one of the tracer's.
func (f *fn) recordBegin() {
	if !f.records() {
		return
	}
	switch f.attach.How {
	case probe.TestRun, probe.SignalSelf, probe.PerfInterval:
	default:
		own := f.b.Binary(ir.OpEq, f.pid(&check.Call{}), f.b.Const(int64(f.opt.Record)))
		f.branch(own, f.done, nil, ir.LikelyElse)
	}
	f.declareRecording()
	now := f.b.Call(fnKtimeBoot, ir.Scalar, 0)
	cpu := f.pure(fnGetCPU)
	f.run = f.b.Binary(ir.OpOr, f.b.Binary(ir.OpShl, now, f.b.Const(8)), f.b.Binary(ir.OpAnd, cpu, f.b.Const(0xff)))
	rec := f.scratchSlot("begin", RecordedTask+f.contextRoom())
	f.recordHeader(rec, RecordedBegin, int64(len(f.Recorded)-1))
	f.b.Store(rec, 16, 8, now)
	f.b.Store(rec, 24, 8, f.pure(fnGetPidTgid))
	f.b.Store(rec, 32, 8, f.pure(fnGetUidGid))
	f.b.Store(rec, 40, 8, f.pure(fnGetCgroupID))
	f.b.Store(rec, 48, 8, f.pure(fnGetTask))
	f.b.Store(rec, 60, 4, f.src.probeIndex(f))
	f.commInto(f.b.AddConst(rec, 64))
	f.recordParent(rec)
	if f.opt.OtherPIDNS {
		f.b.Store(rec, 96, 4, f.nsPidTgid(idsTid))
		f.b.Store(rec, 100, 4, f.nsPidTgid(idsTgid))
	} else {
		f.b.Store(rec, 96, 4, f.low32(f.pure(fnGetPidTgid)))
		f.b.Store(rec, 100, 4, f.tgid())
	}
	f.b.Store(rec, 104, 8, cpu)
	n := f.recordContext(rec)
	f.recordOutput(rec, f.b.AddConst(n, RecordedTask), ringNoWakeup, 0)
	f.b.Called = f.recordCall
	// What comes before the end is left by another way than what comes before the begin.
	skip := f.done
	f.done = f.newBlock()
	f.skipped = skip
}

// recordedTasks leaves out events of tasks that the predicate is not about: as far as its first conditions ask for nothing but the task, which is
// no secret of the event and has no effect.
func (f *fn) recordedTasks() {
	if !f.records() || f.probe.Pred == nil {
		return
	}
	for _, c := range taskConditions(f.probe.Pred) {
		next := f.newBlock()
		f.cond(c, next, f.done)
		next.Seal()
		f.b.At(next)
	}
}

// taskConditions are the first of those that a predicate joins by &&, up to one that asks for more than the task.
func taskConditions(x check.Expr) []check.Expr {
	if b, ok := x.(*check.Binary); ok && b.Op == "&&" {
		first := taskConditions(b.X)
		if aboutTask(b.X) && aboutTask(b.Y) {
			first = append(first, b.Y)
		}
		return first
	}
	if !aboutTask(x) {
		return nil
	}
	return []check.Expr{x}
}

// aboutTask reports whether an expression is made of what is known of the task, and constants.
func aboutTask(x check.Expr) bool {
	switch x := x.(type) {
	case *check.Const, *check.Str:
		return true
	case *check.Unary:
		return aboutTask(x.X)
	case *check.Convert:
		return aboutTask(x.X)
	case *check.Binary:
		return aboutTask(x.X) && aboutTask(x.Y)
	case *check.Call:
		switch x.Fn {
		case "pid", "tid", "uid", "gid", "comm", "cgroup", "cpid":
			return len(x.Args) == 0
		}
	}
	return false
}

// recordEnd ends a run that has begun.
func (f *fn) recordEnd() {
	if f.run == nil {
		return
	}
	f.b.Called = nil
	rec := f.slot("end", RecordedHeader, 8)
	f.recordHeader(rec, RecordedEnd, 0)
	f.recordOutput(rec, f.b.Const(RecordedHeader), 0, 2)
}

func (f *fn) recordHeader(rec *ir.Value, kind, word int64) {
	f.b.Store(rec, 0, 8, f.runNumber())
	f.b.Store(rec, 8, 4, f.b.Const(kind))
	f.b.Store(rec, 12, 4, f.b.Const(word))
}

// runNumber is the number of the run, which callbacks find in the frame.
func (f *fn) runNumber() *ir.Value {
	if f.outer == nil {
		return f.run
	}
	return f.loadWord(f.frame.run)
}

func (f *fn) recordOutput(rec, n *ir.Value, flags int64, counter int64) {
	full := f.b.Call(fnRingOutput, ir.Scalar, 0, f.b.Map(MapRecording), rec, n, f.b.Const(flags))
	f.ifElse(full, ir.LikelyElse, func() {
		f.b.Atomic(ir.OpAtomicAdd, f.b.MapValue(MapUnrecorded, 0), 8*counter, 8, f.b.Const(1))
	}, nil)
}

func (u *unit) declareRecording() {
	if u.Spec.Maps[MapRecording] != nil {
		return
	}
	u.Spec.Maps[MapRecording] = &ebpf.MapSpec{Name: MapRecording, Type: ebpf.RingBuf, MaxEntries: recordingRing}
	u.Spec.Maps[MapUnrecorded] = &ebpf.MapSpec{Name: MapUnrecorded, Type: ebpf.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1}
}

// recordParent stores the parent's id and name, if the kernel's types say where they are.
func (f *fn) recordParent(rec *ir.Value) {
	f.b.Store(rec, 56, 4, f.b.Const(0))
	f.b.Zero(rec, 80, 16)
	parent, ok1 := f.kernelOffset("task_struct", "real_parent")
	tgid, ok2 := f.kernelOffset("task_struct", "tgid")
	name, ok3 := f.kernelOffset("task_struct", "comm")
	if !ok1 || !ok2 || !ok3 {
		return
	}
	task := f.loadInt(place{space: kernel, base: f.pure(fnGetTask), off: parent}, 8, false)
	f.b.Store(rec, 56, 4, f.loadInt(place{space: kernel, base: task, off: tgid}, 4, false))
	f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(rec, 80), f.b.Const(16), f.b.AddConst(task, name))
}

// contextRoom is the most that the context has.
func (f *fn) contextRoom() int {
	switch f.attach.How {
	case probe.RawTP:
		if _, ok := f.src.(*syscallSource); ok {
			return 8 + regsOf(f.target.Arch).kernelSize
		}
		return 8 * rawWords
	case probe.TracepointPerf:
		return mostRecorded
	case probe.KprobePerf, probe.KprobeMulti, probe.UprobePerf, probe.UprobeMulti:
		return regsOf(f.target.Arch).kernelSize
	case probe.PerfClock, probe.PerfSoftware:
		return regsOf(f.target.Arch).size
	}
	return 8
}

// recordContext copies the context and returns its length.
func (f *fn) recordContext(rec *ir.Value) *ir.Value {
	room := f.contextRoom()
	to := f.b.AddConst(rec, RecordedTask)
	length := f.b.Const(int64(room))
	switch f.attach.How {
	case probe.RawTP:
		if src, ok := f.src.(*syscallSource); ok {
			f.b.Store(rec, RecordedTask, 8, f.b.Load(f.context(), 8, 8, false))
			f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(rec, RecordedTask+8), f.b.Const(int64(room-8)), src.pointer(f))
			return length
		}
	case probe.TracepointPerf:
		length = f.recordLength()
	case probe.KprobePerf, probe.KprobeMulti, probe.UprobePerf, probe.UprobeMulti:
	case probe.PerfClock, probe.PerfSoftware:
		// The kernel's context is another struct, of which only loads make this one.
		for off := 0; off < room; off += 8 {
			f.b.Store(rec, int64(RecordedTask+off), 8, f.b.Load(f.context(), int64(off), 8, false))
		}
		return length
	default:
		return f.b.Const(0)
	}
	f.b.Call(fnProbeReadKernel, ir.Scalar, 0, to, length, f.plain(f.context()))
	return length
}

// recordLength is that of a tracepoint's record: up to the last field, and up to the end of the last of those whose bytes come behind.
func (f *fn) recordLength() *ir.Value {
	end := &ir.Var{Name: "end", Type: ir.Scalar}
	fixed := 8
	for _, m := range f.probe.Args.Fields {
		n := 4
		if !m.DataLoc && !m.DataRel {
			n = size(m.Type)
		}
		fixed = max(fixed, m.Offset+n)
	}
	f.b.Write(end, f.b.Const(int64(min(fixed, mostRecorded))))
	for _, m := range f.probe.Args.Fields {
		if !m.DataLoc && !m.DataRel {
			continue
		}
		loc := f.b.Load(f.context(), int64(m.Offset), 4, false)
		last := f.b.Binary(ir.OpAdd, f.b.Binary(ir.OpAnd, loc, f.b.Const(0xffff)), f.b.Binary(ir.OpShr, loc, f.b.Const(16)))
		if m.DataRel {
			last = f.b.AddConst(last, int64(m.Offset)+4)
		}
		f.ifElse(f.b.Binary(ir.OpULt, f.b.Read(end), last), ir.LikelyThen, func() { f.b.Write(end, last) }, nil)
	}
	return f.b.Bound(f.b.Read(end), mostRecorded, true)
}

// recordCall tells what a helper has given. The builder calls it behind each call.
func (f *fn) recordCall(v *ir.Value) {
	called := f.b.Called
	f.b.Called = nil
	defer func() { f.b.Called = called }()
	switch v.Aux {
	case fnProbeRead, fnProbeReadUser, fnProbeReadKernel:
		if v.Args[2].Type == ir.Scalar { // else it is the program's own memory
			f.recordResult(v, v.Args[2], v.Args[1], v.Args[0], v.Args[1])
		}
	case fnProbeReadStr, fnProbeReadUserStr, fnProbeReadKernelStr:
		if v.Args[2].Type == ir.Scalar {
			f.recordResult(v, v.Args[2], v.Args[1], v.Args[0], v)
		}
	case fnGetStackid:
		depth, user := 0, int64(0)
		if n, _ := fmt.Sscanf(v.Args[1].Sym[1:], "stack%d", &depth); n == 1 && v.Args[1].Sym[0] == 'u' {
			user = RecordedUser
		}
		f.recordResult(v, f.b.Const(int64(depth)|user), f.b.Const(0), nil, nil)
	case fnGetStack:
		user := f.b.Binary(ir.OpShl, f.b.Binary(ir.OpAnd, v.Args[3], f.b.Const(stackUser)), f.b.Const(32-8))
		f.recordResult(v, user, v.Args[2], v.Args[1], v)
	case fnKtimeBoot, fnKtimeMono, fnKtimeTAI, fnGetPrandom, fnSendSignal, fnSendSignalThread:
		f.recordResult(v, f.b.Const(0), f.b.Const(0), nil, nil)
	}
}

// mostUnknown is how much is recorded of what has no constant size.
const mostUnknown = 1024

// recordResult tells that a call has returned v, and n bytes of what it has written to data, of which size were asked for.
func (f *fn) recordResult(v, addr, size, data, n *ir.Value) {
	room := 0
	if data != nil {
		room = max(mostUnknown, f.tree.Config.MaxStrlen)
		if size.Op == ir.OpConst {
			room = int(size.Aux)
		}
	}
	rec := f.scratchSlot("result", RecordedData+room)
	f.recordHeader(rec, RecordedResult, v.Aux)
	f.b.Store(rec, 16, 8, v)
	f.b.Store(rec, 24, 8, addr)
	f.b.Store(rec, 32, 8, size)
	length := f.b.Const(RecordedData)
	if data != nil {
		failed := f.b.Binary(ir.OpSLt, v, f.b.Const(0))
		got := f.pick(failed, ir.Scalar, ir.LikelyElse, func() *ir.Value { return f.b.Const(0) }, func() *ir.Value { return n })
		got = f.b.Bound(got, int64(room), true)
		f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(rec, RecordedData), got, data)
		length = f.b.AddConst(got, RecordedData)
	}
	f.recordOutput(rec, length, ringNoWakeup, 1)
}
