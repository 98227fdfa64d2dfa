package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// mapGet reads a map's value; a missing one reads as zero.
func (f *fn) mapGet(x *check.MapGet) operand {
	m := f.maps[x.Map]
	if isAggregate(m.Value) && (x.T == nil || !isAggregate(x.T)) {
		return operand{v: f.total(m, x)}
	}
	if m.Key == nil {
		return f.singleGet(m, x.T)
	}
	p := f.lookupKey(m, x.Key)
	if isScalar(m.Value) {
		return operand{v: f.pick(p, ir.Scalar, ir.LikelyThen,
			func() *ir.Value { return f.load(place{base: p}, m.Value) },
			func() *ir.Value { return f.b.Const(0) })}
	}
	v := f.pick(p, ir.Pointer, ir.LikelyThen,
		func() *ir.Value { return p },
		func() *ir.Value { return f.b.MapValue(MapStrings, 0) })
	return operand{place: place{base: v, padded: true}}
}

func (f *fn) singleGet(m *mapInfo, t *schema.Type) operand {
	if !m.PerCPU {
		p := place{base: f.b.MapValue(m.Object, 0), padded: true}
		if isScalar(m.Value) {
			return operand{v: f.load(p, m.Value)}
		}
		return operand{place: p}
	}
	key := f.slot("zero", 4, 4)
	f.b.Store(key, 0, 4, f.b.Const(0))
	p := f.lookup(m, key)
	if isScalar(m.Value) {
		return operand{v: f.pick(p, ir.Scalar, ir.LikelyThen,
			func() *ir.Value { return f.load(place{base: p}, m.Value) },
			func() *ir.Value { return f.b.Const(0) })}
	}
	v := f.pick(p, ir.Pointer, ir.LikelyThen,
		func() *ir.Value { return p },
		func() *ir.Value { return f.b.MapValue(MapStrings, 0) })
	return operand{place: place{base: v, padded: true}}
}

func (f *fn) setMap(s *check.SetMap) {
	m := f.maps[s.Map]
	if s.Op != "" {
		f.changeMap(m, s)
		return
	}
	if m.Key == nil {
		if isScalar(m.Value) {
			x := f.fit(f.value(s.X), s.X.Type(), m.Value)
			f.single(m, func(p *ir.Value) {
				f.b.Store(p, 0, scalarSize(m.Value), x)
				f.b.Store(p, presentOffset(m.Value), 8, f.b.Const(1))
			})
			return
		}
		// The value is finished before any of it is seen, and it may read the map itself.
		tmp := f.memoryOf(s.X, m.Value)
		f.single(m, func(p *ir.Value) {
			f.copyOwn(p, tmp, size(m.Value))
			f.b.Store(p, presentOffset(m.Value), 8, f.b.Const(1))
		})
		return
	}
	if isScalar(m.Value) && !m.PerCPU && m.of.Declared == "" && !f.facts.shrinking[m.of] {
		f.setInPlace(m, s)
		return
	}
	var v *ir.Value
	if isScalar(m.Value) {
		// The value before the key: fewer registers are alive while the key is made.
		x := f.fit(f.value(s.X), s.X.Type(), m.Value)
		v = f.slot("val", (scalarSize(m.Value)+7)&^7, 8)
		f.b.Store(v, 0, scalarSize(m.Value), x)
	} else {
		v = f.memoryOf(s.X, m.Value)
	}
	k := f.key(m, s.Key)
	f.changed(m)
	r := f.b.Call(fnMapUpdate, ir.Scalar, 0, f.b.Map(m.Object), k, v, f.b.Const(updateAny))
	f.ifElse(r, ir.LikelyElse, func() { f.countFull(m) }, nil)
}

// setInPlace is setMap for a map whose entries stay: nearly always, there is one for the key. The kernel's update would make another one
// and put it in that one's place.
func (f *fn) setInPlace(m *mapInfo, s *check.SetMap) {
	n := scalarSize(m.Value)
	x := f.fit(f.value(s.X), s.X.Type(), m.Value)
	k, text := f.namedKey(m, s.Key)
	p := f.lookupNamed(m, k, text)
	f.changed(m)
	f.ifElse(p, ir.LikelyThen, func() { f.b.Store(p, 0, n, x) }, func() {
		v := f.slot("val", (n+7)&^7, 8)
		f.b.Store(v, 0, n, x)
		r := f.b.Call(fnMapUpdate, ir.Scalar, 0, f.b.Map(m.Object), k, v, f.b.Const(updateAny))
		f.ifElse(r, ir.LikelyElse, func() { f.countFull(m) }, nil)
	})
}

// memoryOf gives the address of own memory that holds the value of x as type t.
func (f *fn) memoryOf(x check.Expr, t *schema.Type) *ir.Value {
	if v, ok := x.(*check.VarRef); ok && schema.Equal(v.Var.Type, t) {
		return f.addressOfOwn(f.at(x))
	}
	v := f.slot("val", (size(t)+7)&^7, 8)
	f.into(x, t, v, 0)
	return v
}

// copyOwn copies between places in own memory, with a helper if that is shorter.
func (f *fn) copyOwn(dst, src *ir.Value, n int) {
	if n > 128 {
		f.b.Call(fnProbeReadKernel, ir.Scalar, 0, dst, f.b.Const(int64(n)), src)
		return
	}
	f.b.Copy(dst, src, int64(n))
}

// changeMap is @m[k] op= x.
func (f *fn) changeMap(m *mapInfo, s *check.SetMap) {
	if !isScalar(m.Value) {
		f.fail(s.Span, "%s= cannot be applied to this map", s.Op)
	}
	n := scalarSize(m.Value)
	x := f.fit(f.value(s.X), s.X.Type(), m.Value)
	f.element(m, s.Key, func(p *ir.Value) {
		if (s.Op == "+" || s.Op == "-") && n >= 4 {
			if s.Op == "-" {
				x = f.b.Add(ir.OpNeg, ir.Scalar, x)
			}
			f.b.Atomic(ir.OpAtomicAdd, p, 0, n, x)
			return
		}
		old := f.load(place{base: p}, m.Value)
		f.b.Store(p, 0, n, f.arithmetic(s.X, s.Op, old, x, m.Value))
	})
}

// incDec is ++ and --. The result is the old or new value if it is used.
func (f *fn) incDec(x *check.IncDec, used bool) *ir.Value {
	step := x.Step
	if x.Op == "--" {
		step = -step
	}
	if x.Var != nil {
		old := f.readVar(x.Var).v
		now := f.wrap(f.b.AddConst(old, step), x.Var.Type)
		f.writeVar(x.Var, now)
		if x.Postfix {
			return old
		}
		return now
	}
	m := f.maps[x.Map]
	n := scalarSize(m.Value)
	result := &ir.Var{Name: "value", Type: ir.Scalar}
	f.b.Write(result, f.b.Const(0))
	f.element(m, x.Key, func(p *ir.Value) {
		var old *ir.Value
		switch {
		case n < 4 || used && !f.target.Supports(ir.FetchAtomics):
			old = f.load(place{base: p}, m.Value)
			f.b.Store(p, 0, n, f.b.AddConst(old, step))
		case used:
			old = f.wrap(f.b.Atomic(ir.OpFetchAdd, p, 0, n, f.b.Const(step)), m.Value)
		default:
			f.b.Atomic(ir.OpAtomicAdd, p, 0, n, f.b.Const(step))
			return
		}
		if x.Postfix {
			f.b.Write(result, old)
		} else {
			f.b.Write(result, f.wrap(f.b.AddConst(old, step), m.Value))
		}
	})
	if !used {
		return nil
	}
	return f.b.Read(result)
}
