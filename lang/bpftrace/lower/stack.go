package lower

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

const (
	stackUser    = 1 << 8 // BPF_F_USER_STACK
	stackEntries = 1 << 14
	// overflowEntries is the number of stacks that find their place in the stack map taken by another.
	overflowEntries = 4096
	errExist        = -17
	stackCollided   = -1 << 63
)

// StackMapName names the stack trace map of stacks of that many frames.
func StackMapName(user bool, depth int) string {
	if user {
		return fmt.Sprintf("ustack%d", depth)
	}
	return fmt.Sprintf("kstack%d", depth)
}

// OverflowMapName names the hash map of stacks that collided in the stack trace map.
func OverflowMapName(user bool, depth int) string { return "more_" + StackMapName(user, depth) }

// overflowIndexName names the map from a whole stack to its key in the overflow map.
func overflowIndexName(user bool, depth int) string { return "key_" + StackMapName(user, depth) }

func kstackCall(f *fn, x *check.Call) operand {
	f.NeedsKernelSymbols = true
	return operand{v: f.stackID(x, false)}
}

func ustackCall(f *fn, x *check.Call) operand {
	f.NeedsUserSymbols = true
	id := f.stackID(x, true)
	slot := f.slot("ustack", 16, 8)
	f.b.Store(slot, 0, 8, id)
	f.b.Store(slot, 8, 4, f.processID())
	f.b.Store(slot, 12, 4, f.pure(fnGetPidTgid))
	return operand{place: place{base: slot}}
}

// stackID stores the stack and gives its id. The stack map compares whole stacks; a stack whose place is taken goes to a hash
// map that is keyed by the stack itself, so that no two are ever confused. Where keys cannot be that long, the key is a 64-bit hash.
func (f *fn) stackID(x *check.Call, user bool) *ir.Value {
	depth := x.T.StackDepth
	f.declareStacks(user, depth)
	flags := f.stackFlags(user)
	ctx := f.context()
	id := f.b.Call(fnGetStackid, ir.Scalar, 0, ctx, f.b.Map(StackMapName(user, depth)), f.b.Const(flags))
	collided := f.b.Binary(ir.OpEq, id, f.b.Const(errExist))
	return f.pick(collided, ir.Scalar, ir.LikelyElse,
		func() *ir.Value { return f.overflowID(ctx, user, depth, flags) },
		func() *ir.Value { return id })
}

func (f *fn) stackFlags(user bool) int64 {
	switch {
	case user:
		return stackUser
	case f.attach.How == probe.RawTP, f.attach.How == probe.BTFTP, f.attach.How == probe.Trampoline:
		// The stack begins in the program itself; the frame after it is that of what called it. What calls those of system calls
		// disables preemption around the call since Linux 6.13, and so has a frame of its own.
		if t := f.attach.Target; (t == "sys_enter" || t == "sys_exit") && f.target.Kernel >= 6<<16|13<<8 {
			return 3
		}
		return 2
	}
	return 0
}

// stackLen is the number of frames of a stack that is not kept.
func (f *fn) stackLen(x *check.Call) *ir.Value {
	n := 8 * x.T.StackDepth
	buf := f.scratchSlot("stack", 8+n)
	got := f.b.Call(fnGetStack, ir.Scalar, 0, f.context(), buf, f.b.Const(int64(n)), f.b.Const(f.stackFlags(x.Fn == "ustack")))
	return f.pick(f.b.Binary(ir.OpSLt, f.b.Const(0), got), ir.Scalar, ir.LikelyThen,
		func() *ir.Value { return f.b.Binary(ir.OpShr, got, f.b.Const(3)) },
		func() *ir.Value { return f.b.Const(0) })
}

func (f *fn) overflowID(ctx *ir.Value, user bool, depth int, flags int64) *ir.Value {
	n := 8 * depth
	buf := f.scratchSlot("stack", 8+n)
	f.b.Store(buf, 0, 8, f.b.Const(0))
	f.zeroStack(buf, n)
	got := f.b.Call(fnGetStack, ir.Scalar, 0, ctx, f.b.AddConst(buf, 8), f.b.Const(int64(n)), f.b.Const(flags))
	result := &ir.Var{Name: "stack", Type: ir.Scalar}
	end := f.newBlock()
	f.b.Write(result, got)
	f.branch(f.b.Binary(ir.OpSLt, got, f.b.Const(0)), end, nil, ir.LikelyElse)
	f.b.Store(buf, 0, 4, f.b.Binary(ir.OpShr, got, f.b.Const(3)))
	index := f.b.Map(overflowIndexName(user, depth))
	whole := buf
	if 8+n > f.maxKey() {
		whole = f.stackHash(buf, depth)
	}
	known := f.newBlock()
	key := &ir.Var{Name: "key", Type: ir.Scalar}
	p := f.b.Call(fnMapLookup, ir.MaybeNull, 0, index, whole)
	f.ifElse(p, ir.LikelyThen, func() {
		f.b.Write(key, f.b.Load(p, 0, 4, false))
		f.b.Jump(known)
	}, nil)
	// A new one gets a random key: should that be taken, the stack is lost, and counted.
	slot := f.slot("key", 8, 8)
	random := f.b.Call(fnGetPrandom, ir.Scalar, 0)
	f.b.Store(slot, 0, 8, f.b.Ext(ir.OpZExt, random, 32))
	r := f.b.Call(fnMapUpdate, ir.Scalar, 0, f.b.Map(OverflowMapName(user, depth)), slot, buf, f.b.Const(updateNoExist))
	lost := f.newBlock()
	f.branch(r, lost, nil, ir.LikelyElse)
	r = f.b.Call(fnMapUpdate, ir.Scalar, 0, f.b.Map(overflowIndexName(user, depth)), whole, slot, f.b.Const(updateAny))
	f.branch(r, lost, nil, ir.LikelyElse)
	f.b.Write(key, f.b.Load(slot, 0, 4, false))
	f.b.Jump(known)
	known.Seal()
	f.b.At(known)
	f.b.Write(result, f.b.Binary(ir.OpOr, f.b.Read(key), f.b.Const(stackCollided)))
	f.b.Jump(end)
	lost.Seal()
	f.b.At(lost)
	f.countDrop(2)
	f.b.Write(result, f.b.Const(-1))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	return f.b.Read(result)
}

// stackHash gives the address of a hash of the frames at buf+8.
func (f *fn) stackHash(buf *ir.Value, depth int) *ir.Value {
	h, i := &ir.Var{Name: "hash", Type: ir.Scalar}, &ir.Var{Name: "i", Type: ir.Scalar}
	f.b.Write(h, f.b.Const(0))
	f.b.Write(i, f.b.Const(0))
	head, body, end := f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(i), f.b.Const(int64(8*depth))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	at := f.b.Binary(ir.OpAdd, buf, f.b.Bound(f.b.Read(i), int64(8*depth-8), true))
	x := f.b.Binary(ir.OpXor, f.b.Read(h), f.b.Load(at, 8, 8, false))
	x = f.b.Binary(ir.OpMul, x, f.b.Const(-0x61c8864680b583eb)) // 2^64 divided by the golden ratio
	f.b.Write(h, f.b.Binary(ir.OpXor, x, f.b.Binary(ir.OpShr, x, f.b.Const(32))))
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 8))
	f.b.Jump(head)
	head.Seal()
	end.Seal()
	f.b.At(end)
	slot := f.slot("hash", 8, 8)
	f.b.Store(slot, 0, 8, f.b.Read(h))
	return slot
}

// zeroStack clears the frames of a stack buffer, since the whole buffer is a key.
func (f *fn) zeroStack(buf *ir.Value, n int) {
	for off := 0; off < n; off += f.zeroSize {
		f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.AddConst(buf, int64(8+off)), f.b.Const(int64(min(f.zeroSize, n-off))), f.b.MapValue(MapStrings, 0))
	}
}

func (u *unit) declareStacks(user bool, depth int) {
	name := StackMapName(user, depth)
	if u.stacks[name] != nil {
		return
	}
	u.stacks[name] = &ebpf.MapSpec{Name: name, Type: ebpf.StackTrace, KeySize: 4, ValueSize: uint32(8 * depth), MaxEntries: stackEntries}
	more := &ebpf.MapSpec{Name: OverflowMapName(user, depth), Type: ebpf.Hash, KeySize: 4, ValueSize: uint32(8 + 8*depth), MaxEntries: overflowEntries}
	key := &ebpf.MapSpec{Name: overflowIndexName(user, depth), Type: ebpf.Hash, KeySize: uint32(8 + 8*depth), ValueSize: 4, MaxEntries: overflowEntries}
	if int(key.KeySize) > u.maxKey() {
		key.KeySize = 8
	}
	if u.target.Supports(ir.MemAlloc) {
		more.Flags |= unix.BPF_F_NO_PREALLOC
		key.Flags |= unix.BPF_F_NO_PREALLOC
	} else {
		more.MaxEntries, key.MaxEntries = overflowEntries/4, overflowEntries/4
	}
	u.stacks[more.Name], u.stacks[key.Name] = more, key
}
