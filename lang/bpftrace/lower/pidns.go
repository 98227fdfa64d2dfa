package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
)

// processID is the number by which user space finds the current process in /proc, to name its addresses.
func (f *fn) processID() *ir.Value { return f.pid(&check.Call{}) }

// Offsets in struct bpf_pidns_info {u32 pid, tgid}.
const (
	idsTid  = 0
	idsTgid = 4
)

// nsPidTgid gives an id as the tracer's pid namespace has it. The helper knows the tasks of exactly that namespace; those of namespaces
// below it, which are seen in it as well, are looked up; for all others it is 0.
func (f *fn) nsPidTgid(which int64) *ir.Value {
	slot := f.slot("ids", 8, 8)
	state := f.b.MapValue(MapState, 0)
	inode := f.b.Load(state, StateNsIno, 8, false)
	failed := f.b.Call(fnGetNsPidTgid, ir.Scalar, 0, f.b.Load(state, StateNsDev, 8, false), inode, slot, f.b.Const(8))
	below, known := f.pidBelow()
	return f.pick(failed, ir.Scalar, ir.LikelyElse, func() *ir.Value {
		if !known {
			return f.b.Const(0)
		}
		return f.b.Read(f.lookUpPid(below, which, inode))
	}, func() *ir.Value { return f.b.Load(slot, which, 4, false) })
}

// pidFields are where the kernel keeps the ids of a task: task->thread_pid->numbers[level].nr, which is the id in the namespace
// numbers[level].ns->ns.inum.
type pidFields struct {
	leader, pid, level, numbers int64
	size, nr, ns, common, inum  int64 // of an element of numbers
}

func (u *unit) pidBelow() (p pidFields, known bool) {
	known = true
	at := func(structName, member string) int64 {
		off, ok := u.kernelOffset(structName, member)
		known = known && ok
		return off
	}
	p = pidFields{
		leader: at("task_struct", "group_leader"), pid: at("task_struct", "thread_pid"),
		level: at("pid", "level"), numbers: at("pid", "numbers"),
		size: 16, nr: at("upid", "nr"), ns: at("upid", "ns"), common: at("pid_namespace", "ns"), inum: at("ns_common", "inum"),
	}
	return p, known
}

// maxPidLevel bounds the search: the kernel nests namespaces 32 deep, and nobody more than a few.
const maxPidLevel = 8

// lookUpPid finds the id of the current task, or of its leader, in the namespace with that inode.
func (f *fn) lookUpPid(p pidFields, which int64, inode *ir.Value) *ir.Var {
	result, level := &ir.Var{Name: "id", Type: ir.Scalar}, &ir.Var{Name: "level", Type: ir.Scalar}
	read := func(base *ir.Value, off int64, n int) *ir.Value {
		return f.loadInt(place{space: kernel, base: base, off: off}, n, false)
	}
	task := f.pure(fnGetTask)
	if which == idsTgid {
		task = read(task, p.leader, 8)
	}
	pid := read(task, p.pid, 8)
	deepest := read(pid, p.level, 4)
	f.b.Write(result, f.b.Const(0))
	f.b.Write(level, f.b.Const(1)) // the initial namespace is level 0, and the tracer is not in it
	head, inRange, body, found, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(level), f.b.Const(maxPidLevel)), inRange, end, ir.LikelyThen)
	inRange.Seal()
	f.b.At(inRange)
	f.b.If(f.b.Binary(ir.OpULt, deepest, f.b.Read(level)), end, body, ir.LikelyElse)
	body.Seal()
	f.b.At(body)
	number := f.b.AddConst(f.b.Binary(ir.OpAdd, pid, f.b.Binary(ir.OpMul, f.b.Read(level), f.b.Const(p.size))), p.numbers)
	namespace := read(number, p.ns, 8)
	f.b.If(f.b.Binary(ir.OpEq, read(namespace, p.common+p.inum, 4), inode), found, next, ir.LikelyThen)
	next.Seal()
	f.b.At(next)
	f.b.Write(level, f.b.AddConst(f.b.Read(level), 1))
	f.b.Jump(head)
	head.Seal()
	found.Seal()
	f.b.At(found)
	f.b.Write(result, read(number, p.nr, 4))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	return result
}
