package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// Offsets in the record of a copied stack; see schema.StackCopy. The frames that the kernel found follow the registers.
const (
	copyStack     = 8
	copyFound     = 24
	copyRegisters = 32
	copyPage      = 4096
	// maxFound is how many frames the kernel finds by frame pointers.
	maxFound   = 127
	errFault   = -14
	stackLost  = -1
	dropCopied = 3 // in MapDrops
)

// dwUstackCall hands registers and the top of the stack to user space, which unwinds them. The frames that frame pointers lead to go with
// them, since they may go on where the copied piece ends.
func dwUstackCall(f *fn, x *check.Call) operand {
	e := f.stackCopy(x)
	id, found := f.events[e], e.Args[1:]
	rec := f.scratchSlot("copy", e.Size+f.tree.Config.StackCopy)
	pid, tid := f.processID(), f.pure(fnGetPidTgid)
	word := &ir.Var{Name: "copied", Type: ir.Scalar}
	f.b.Write(word, f.b.Const(errFault))
	end := f.newBlock()
	f.copyRegisters(rec, found[1].Type.Size, end, x)
	f.branch(f.userMode(rec), nil, end, ir.LikelyThen)

	stamp := f.b.Binary(ir.OpOr, f.b.Call(fnKtimeBoot, ir.Scalar, 0), f.b.Const(schema.UnwoundStack))
	f.b.Store(rec, 0, 8, f.b.Const(int64(id)))
	f.b.Store(rec, copyStack, 8, stamp)
	f.b.Store(rec, copyStack+8, 4, pid)
	f.b.Store(rec, copyStack+12, 4, tid)
	frames := found[2]
	got := f.b.Call(fnGetStack, ir.Scalar, 0, f.context(), f.b.AddConst(rec, int64(frames.Offset)), f.b.Const(int64(frames.Type.Size)), f.b.Const(stackUser))
	f.b.Store(rec, copyFound, 8, got)
	n := f.copyStack(rec, int64(e.Size))
	f.b.Write(word, stamp)
	sent := f.submit(rec, f.b.AddConst(n, int64(e.Size)), f.ringFills)
	f.branch(sent, nil, end, ir.LikelyElse)
	f.countDrop(dropCopied)
	f.b.Write(word, f.b.Const(stackLost))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)

	slot := f.slot("ustack", 16, 8)
	f.b.Store(slot, 0, 8, f.b.Read(word))
	f.b.Store(slot, 8, 4, pid)
	f.b.Store(slot, 12, 4, tid)
	return operand{place: place{base: slot}}
}

// ringFills tells whether a quarter of the data ring is in use: nobody waits for the frames of a stack, so that the reader need not be woken
// for each.
func (f *fn) ringFills() *ir.Value {
	ring := f.b.Map(MapEvents)
	used := f.b.Call(fnRingQuery, ir.Scalar, 0, ring, f.b.Const(ringAvailable))
	size := f.b.Call(fnRingQuery, ir.Scalar, 0, ring, f.b.Const(ringSize))
	return f.b.Binary(ir.OpULt, f.b.Binary(ir.OpShr, size, f.b.Const(2)), used)
}

// copyStack copies the stack from its pointer up, a page at a time: the page after the last of a stack cannot be read. It returns the
// number of bytes.
func (f *fn) copyStack(rec *ir.Value, at int64) *ir.Value {
	most := int64(f.tree.Config.StackCopy)
	sp := f.b.Load(rec, copyRegisters+int64(regsOf(f.target.Arch).sp), 8, false)
	n := &ir.Var{Name: "n", Type: ir.Scalar}
	f.b.Write(n, f.b.Const(0))
	end := f.newBlock()
	dst := f.b.AddConst(rec, at)
	// The rest of the page in which the pointer is: 1 to 4096 bytes.
	first := f.b.AddConst(f.b.Bound(f.b.Binary(ir.OpXor, f.b.Binary(ir.OpAnd, sp, f.b.Const(copyPage-1)), f.b.Const(copyPage-1)), copyPage-1, false), 1)
	f.branch(f.b.Call(fnProbeReadUser, ir.Scalar, 0, dst, first, sp), end, nil, ir.LikelyElse)
	f.b.Write(n, first)
	for done := int64(copyPage); done+copyPage <= most; done += copyPage {
		have := f.b.Read(n)
		to := f.b.Binary(ir.OpAdd, dst, f.b.Bound(have, done, true))
		f.branch(f.b.Call(fnProbeReadUser, ir.Scalar, 0, to, f.b.Const(copyPage), f.b.Binary(ir.OpAdd, sp, have)), end, nil, ir.LikelyElse)
		f.b.Write(n, f.b.AddConst(have, copyPage))
	}
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	return f.b.Bound(f.b.Read(n), most, true)
}

// stackCopy is the event that copied stacks of that many frames are sent with.
func (f *fn) stackCopy(x *check.Call) *schema.Event {
	f.NeedsUserSymbols = true
	for e := range f.events {
		if e.Kind == schema.StackCopy && e.Args[0].Type.StackDepth == x.T.StackDepth {
			return e
		}
	}
	word := &schema.Type{Kind: schema.Int, Size: 8}
	words := func(bytes int) *schema.Type {
		return &schema.Type{Kind: schema.Array, Elem: word, Size: bytes, Len: bytes / 8}
	}
	registers := regsOf(f.target.Arch).size
	e := &schema.Event{Kind: schema.StackCopy, Span: x.Span, Args: []schema.Arg{
		{Type: x.T, Offset: copyStack},
		{Type: &schema.Type{Kind: schema.Int, Size: 8, Signed: true}, Offset: copyFound},
		{Type: words(registers), Offset: copyRegisters},
		{Type: words(8 * min(x.T.StackDepth, maxFound)), Offset: copyRegisters + registers},
	}}
	e.Size = e.Args[3].Offset + e.Args[3].Type.Size
	f.events[e] = len(f.Script.Events)
	f.Script.Events = append(f.Script.Events, e)
	return e
}

// copyRegisters copies what the current task had in its registers in user mode, or goes to none: the kernel has put it at the top of the
// task's kernel stack, whatever interrupted the task. Where the kernel says where that is, it is read directly, as lockdown allows.
func (f *fn) copyRegisters(rec *ir.Value, size int, none *ir.Block, x *check.Call) {
	if f.target.Supports(ir.TaskPtRegs) && f.target.Supports(ir.CurrentTaskBTF) {
		regs := f.b.Call(fnTaskPtRegs, ir.KernelPointer, 0, f.curtask())
		for off := int64(0); off < int64(size); off += 8 {
			f.b.Store(rec, copyRegisters+off, 8, f.b.Load(regs, off, 8, false))
		}
		return
	}
	off, ok := f.kernelOffset("task_struct", "stack")
	if !ok {
		f.need(ir.TaskPtRegs, x.Span, "dw_ustack")
		f.fail(x.Span, "dw_ustack needs the kernel's BTF, in which there is no task_struct.stack")
	}
	stack := f.loadInt(place{space: kernel, base: f.plain(f.curtask()), off: off}, 8, false)
	from := f.b.AddConst(stack, kernelStack-int64(regsOf(f.target.Arch).kernelSize))
	failed := f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(rec, copyRegisters), f.b.Const(int64(size)), from)
	f.branch(failed, none, nil, ir.LikelyElse)
}

// kernelStack is the size of a task's stack in the kernel, where it must be known.
const kernelStack = 16 << 10

// userMode tells whether the registers in a record are of user mode: tasks of the kernel have none.
func (f *fn) userMode(rec *ir.Value) *ir.Value {
	r := regsOf(f.target.Arch)
	mode := f.b.Load(rec, copyRegisters+int64(r.mode), 8, false)
	user := f.b.Binary(ir.OpEq, f.b.Binary(ir.OpAnd, mode, f.b.Const(r.modeMask)), f.b.Const(r.userMode))
	ip := f.b.Load(rec, copyRegisters+int64(r.ip), 8, false)
	return f.b.Binary(ir.OpAnd, user, f.b.Binary(ir.OpNe, ip, f.b.Const(0)))
}
