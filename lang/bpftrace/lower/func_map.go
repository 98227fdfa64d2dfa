package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
)

// mapOf gives the map and the key of a call: @m[k] or @m, k.
func (f *fn) mapOf(x *check.Call) (*mapInfo, check.Expr) {
	switch a := x.Args[0].(type) {
	case *check.MapGet:
		return f.maps[a.Map], a.Key
	case *check.MapArg:
		if len(x.Args) > 1 {
			return f.maps[a.Map], x.Args[1]
		}
		return f.maps[a.Map], nil
	}
	f.fail(x.Span, "%s needs a map", x.Fn)
	return nil, nil
}

// deleteCall removes an entry and tells whether there was one.
func deleteCall(f *fn, x *check.Call) operand {
	m, key := f.mapOf(x)
	if m.Key != nil {
		k := f.key(m, key)
		f.changed(m)
		r := f.b.Call(fnMapDelete, ir.Scalar, 0, f.b.Map(m.Object), k)
		return operand{v: f.b.Binary(ir.OpEq, r, f.b.Const(0))}
	}
	had := &ir.Var{Name: "had", Type: ir.Scalar}
	f.b.Write(had, f.b.Const(0))
	clear := func(p *ir.Value) {
		f.b.Write(had, f.b.Load(p, presentOffset(m.Value), 8, false))
		f.clearValue(p, int(presentOffset(m.Value))+8)
	}
	if !m.PerCPU || !f.target.Supports(ir.LookupPerCPU) {
		f.single(m, clear)
		return operand{v: f.b.Read(had)}
	}
	f.eachCPU(m, func(p *ir.Value) {
		f.b.Write(had, f.b.Binary(ir.OpOr, f.b.Read(had), f.b.Load(p, presentOffset(m.Value), 8, false)))
		f.clearValue(p, int(presentOffset(m.Value))+8)
	})
	return operand{v: f.b.Read(had)}
}

func (f *fn) clearValue(p *ir.Value, n int) {
	if n > 128 {
		f.b.Call(fnProbeReadKernel, ir.Scalar, 0, p, f.b.Const(int64(n-8)), f.b.MapValue(MapStrings, 0))
		f.b.Store(p, int64(n-8), 8, f.b.Const(0))
		return
	}
	f.zero(p, 0, n)
}

// eachCPU calls use with each CPU's value of a map without key.
func (f *fn) eachCPU(m *mapInfo, use func(p *ir.Value)) {
	key := f.slot("zero", 4, 4)
	f.b.Store(key, 0, 4, f.b.Const(0))
	cpu := &ir.Var{Name: "cpu", Type: ir.Scalar}
	f.b.Write(cpu, f.b.Const(0))
	head, body, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(cpu), f.b.Const(int64(max(1, f.target.CPUs)))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	p := f.b.Call(fnLookupPerCPU, ir.MaybeNull, 0, f.b.Map(m.Object), key, f.b.Read(cpu))
	f.branch(p, nil, next, ir.LikelyThen)
	use(p)
	f.b.Jump(next)
	next.Seal()
	f.b.At(next)
	f.b.Write(cpu, f.b.AddConst(f.b.Read(cpu), 1))
	f.b.Jump(head)
	head.Seal()
	end.Seal()
	f.b.At(end)
}

func hasKey(f *fn, x *check.Call) operand {
	m, key := f.mapOf(x)
	p := f.lookupKey(m, key)
	return operand{v: f.pick(p, ir.Scalar, ir.LikelyUnknown,
		func() *ir.Value { return f.b.Const(1) }, func() *ir.Value { return f.b.Const(0) })}
}

// findCall is find(@m, key, $v): it sets $v if there is such a key.
func findCall(f *fn, x *check.Call) operand {
	m, key := f.mapOf(x)
	target := x.Args[len(x.Args)-1].(*check.VarRef)
	p := f.lookupKey(m, key)
	found := &ir.Var{Name: "found", Type: ir.Scalar}
	f.ifElse(p, ir.LikelyUnknown, func() {
		f.setVarFrom(target.Var, place{base: p, padded: true}, m.Value)
		f.b.Write(found, f.b.Const(1))
	}, func() { f.b.Write(found, f.b.Const(0)) })
	return operand{v: f.b.Read(found)}
}

// lenCall is the number of a map's entries, or of a stack's frames.
func lenCall(f *fn, x *check.Call) operand {
	if stack, ok := x.Args[0].(*check.Call); ok {
		return operand{v: f.stackLen(stack)}
	}
	m, _ := f.mapOf(x)
	if m.Key == nil {
		return operand{v: f.b.Const(1)}
	}
	f.need(ir.ForEachMapElem, x.Span, "len")
	count := f.funcs["count"]
	if count == nil {
		count = f.module.NewFunc("count", ir.Pointer, ir.Pointer, ir.Pointer, ir.Pointer)
		count.Callback = true
		ir.NewBuilder(count).Return(nil)
		f.funcs["count"] = count
	}
	// The helper's result is the number of elements that it went through.
	slot := f.slot("none", 8, 8)
	f.b.Store(slot, 0, 8, f.b.Const(0))
	r := f.b.Call(fnForEachMapElem, ir.Scalar, 0, f.b.Map(m.Object), f.b.FuncAddr(count), slot, f.b.Const(0))
	return operand{v: r}
}
