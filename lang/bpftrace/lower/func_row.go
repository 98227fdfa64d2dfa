package lower

import (
	"github.com/cilium/ebpf/asm"

	"skep/ir"
	"skep/lang/bpftrace/check"
)

// ratioCall keeps both numbers: user space divides.
func ratioCall(f *fn, x *check.Call) operand {
	slot := f.slot("ratio", 16, 8)
	f.b.Store(slot, 0, 8, f.value(x.Args[0]))
	f.b.Store(slot, 8, 8, f.value(x.Args[1]))
	return operand{place: place{base: slot}}
}

// viewCall asks user space to print maps in a form of its own.
func viewCall(f *fn, x *check.Call) operand {
	for i, a := range x.Args {
		m, ok := a.(*check.MapArg)
		if !ok {
			continue
		}
		f.noteType(m.Map.Value)
		if i == 0 {
			x.Event.Map, x.Event.View.More = f.maps[m.Map].Map, nil
			continue
		}
		x.Event.View.More = append(x.Event.View.More, f.maps[m.Map].Map)
	}
	f.send(x.Event, nil)
	return operand{}
}

const fnGetAncestorCgroupID = int64(asm.FnGetCurrentAncestorCgroupId)

// ancestorSince is the first kernel whose tracing programs may call bpf_get_current_ancestor_cgroup_id.
const ancestorSince = 5<<16 | 15<<8

// maxCgroupLevels is how many levels of the hierarchy are looked at: far more than are ever used.
const maxCgroupLevels = 16

// incgroupCall looks for a control group among those that the current task's lies in.
func incgroupCall(f *fn, x *check.Call) operand {
	id := f.value(x.Args[0])
	if f.target.Kernel < ancestorSince {
		return operand{v: f.climbCgroups(id, x)}
	}
	// It begins at the level that the group has for the tracer, which is the first that can be right: in a cgroup namespace the group is
	// deeper than it seems.
	level := &ir.Var{Name: "level", Type: ir.Scalar}
	f.b.Write(level, f.b.Const(int64(x.Index)))
	return operand{v: f.search(id, func(end *ir.Block) *ir.Value {
		ancestor := f.b.Call(fnGetAncestorCgroupID, ir.Scalar, ir.Droppable, f.b.Read(level))
		f.branch(ancestor, nil, end, ir.LikelyThen) // 0: the task's group is not that deep
		f.b.Write(level, f.b.AddConst(f.b.Read(level), 1))
		return ancestor
	})}
}

// climbCgroups goes from the current task's control group up to the root.
func (f *fn) climbCgroups(id *ir.Value, x *check.Call) *ir.Value {
	offset := func(name, member string) int64 {
		off, ok := f.kernelOffset(name, member)
		if !ok {
			f.fail(x.Span, "incgroup() needs the kernel's BTF, in which there is no %s.%s", name, member)
		}
		return off
	}
	pointer := func(base *ir.Value, off int64) *ir.Value {
		return f.loadInt(place{space: kernel, base: base, off: off}, 8, false)
	}
	kn, number := offset("cgroup", "kn"), offset("kernfs_node", "id")
	self, parent := offset("cgroup", "self"), offset("cgroup_subsys_state", "parent")
	sets := f.loadInt(f.taskMember(f.task(&check.Call{}), "cgroups", x), 8, false)
	group := &ir.Var{Name: "cgroup", Type: ir.Scalar}
	f.b.Write(group, pointer(sets, offset("css_set", "dfl_cgrp")))
	return f.search(id, func(end *ir.Block) *ir.Value {
		at := f.b.Read(group)
		node := pointer(at, kn)
		f.branch(node, nil, end, ir.LikelyThen) // above the root
		f.b.Write(group, f.b.AddConst(pointer(at, self+parent), -self))
		return pointer(node, number)
	})
}

// search is 1 if next gives a value within maxCgroupLevels rounds, before it goes to the end.
func (f *fn) search(want *ir.Value, next func(end *ir.Block) *ir.Value) *ir.Value {
	found, round := &ir.Var{Name: "found", Type: ir.Scalar}, &ir.Var{Name: "round", Type: ir.Scalar}
	f.b.Write(found, f.b.Const(0))
	f.b.Write(round, f.b.Const(0))
	head, body, again, hit, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(round), f.b.Const(maxCgroupLevels)), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	f.b.If(f.b.Binary(ir.OpEq, next(end), want), hit, again, ir.LikelyUnknown)
	again.Seal()
	f.b.At(again)
	f.b.Write(round, f.b.AddConst(f.b.Read(round), 1))
	f.b.Jump(head)
	head.Seal()
	hit.Seal()
	f.b.At(hit)
	f.b.Write(found, f.b.Const(1))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	return f.b.Read(found)
}

// ownCall is the table of skep's own functions.
func ownCall(name string) function {
	switch name {
	case "row", "count_rows", "banner", "refresh":
		return sendCall
	case "print_log2", "print_linear", "print_table", "print_folded", "print_stacks":
		return viewCall
	case "dns_answer":
		return sendCall
	case "dns_name":
		return func(f *fn, x *check.Call) operand { return f.operand(x.Args[0]) } // the address, under another type
	case "ratio", "number_in":
		return ratioCall
	case "pinned":
		return pinnedCall
	case "incgroup":
		return incgroupCall
	}
	return nil
}
