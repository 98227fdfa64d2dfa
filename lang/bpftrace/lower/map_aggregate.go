package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// aggregate is @m[k] = count() and the like.
func (f *fn) aggregate(s *check.Aggregate) {
	m := f.maps[s.Map]
	t := m.Value
	var x, weight *ir.Value
	if s.X != nil {
		x = f.value(s.X)
	}
	if s.Weight != nil {
		weight = f.value(s.Weight)
	}
	switch t.Kind {
	case schema.Count:
		f.element(m, s.Key, func(p *ir.Value) { f.addTo(m, p, 0, f.b.Const(1)) })
	case schema.Sum:
		f.element(m, s.Key, func(p *ir.Value) { f.addTo(m, p, 0, x) })
	case schema.Avg, schema.Stats:
		f.element(m, s.Key, func(p *ir.Value) {
			f.addTo(m, p, 0, x)
			f.addTo(m, p, 8, f.b.Const(1))
		})
	case schema.Min, schema.Max:
		f.element(m, s.Key, func(p *ir.Value) { f.extreme(p, 0, 8, x, t.Kind == schema.Min, t.Signed, nil) })
	case schema.Hist:
		f.bucket(m, s, func() *ir.Value { return f.histIndex(x, t.Bits) }, schema.HistBuckets(t.Bits), weight)
	case schema.LHist:
		f.bucket(m, s, func() *ir.Value { return f.lhistIndex(x, t) }, schema.LHistBuckets(t.Min, t.Max, t.Step), weight)
	case schema.TSeries:
		f.timeSeries(m, s, x)
	default:
		f.fail(s.Span, "this aggregation cannot be compiled")
	}
}

// addTo adds to a word of a per-CPU value.
func (f *fn) addTo(m *mapInfo, p *ir.Value, off int64, x *ir.Value) {
	if m.atomic || !m.PerCPU {
		f.b.Atomic(ir.OpAtomicAdd, p, off, 8, x)
		return
	}
	f.b.Store(p, off, 8, f.b.Binary(ir.OpAdd, f.b.Load(p, off, 8, false), x))
}

// extreme keeps the smaller or larger of x and the word at p+off; the word at p+set tells whether there is one. then, if not nil,
// is done whether it changed or not.
func (f *fn) extreme(p *ir.Value, off, set int64, x *ir.Value, least, signed bool, then func()) {
	take, end := f.newBlock(), f.newBlock()
	isSet := f.b.Load(p, set, 8, false)
	f.branch(isSet, nil, take, ir.LikelyThen)
	old := f.b.Load(p, off, 8, false)
	op := ">"
	if least {
		op = "<"
	}
	f.b.If(f.compare(op, x, old, signed), take, end, ir.LikelyElse)
	f.arm(take, end, func() {
		f.b.Store(p, off, 8, x)
		f.b.Store(p, set, 8, f.b.Const(1))
	})
	end.Seal()
	f.b.At(end)
	if then != nil {
		then()
	}
}

// bucket adds to one of n words. Which one is found out last: the verifier follows each outcome to the end of its use.
func (f *fn) bucket(m *mapInfo, s *check.Aggregate, index func() *ir.Value, n int, weight *ir.Value) {
	if weight == nil {
		weight = f.b.Const(1)
	}
	f.element(m, s.Key, func(p *ir.Value) {
		j := f.b.Bound(index(), int64(n-1), true)
		at := f.b.Binary(ir.OpAdd, p, f.b.Binary(ir.OpShl, j, f.b.Const(3)))
		f.addTo(m, at, 0, weight)
	})
}

// histIndex is schema.HistIndex: the position of the highest set bit, found by halving, so that about ten instructions run.
func (f *fn) histIndex(x *ir.Value, bits int) *ir.Value {
	i := &ir.Var{Name: "bucket", Type: ir.Scalar}
	rest := &ir.Var{Name: "rest", Type: ir.Scalar}
	end, small, large := f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Write(i, f.b.Const(0))
	notNegative := f.newBlock()
	f.b.If(f.b.Binary(ir.OpSLt, x, f.b.Const(0)), end, notNegative, ir.LikelyElse)
	notNegative.Seal()
	f.b.At(notNegative)
	f.b.If(f.b.Binary(ir.OpULt, x, f.b.Const(1<<bits)), small, large, ir.LikelyElse)
	f.arm(small, end, func() { f.b.Write(i, f.b.AddConst(x, 1)) })
	f.arm(large, end, func() {
		f.b.Write(rest, x)
		f.b.Write(i, f.b.Const(0))
		for _, n := range []int64{32, 16, 8, 4, 2, 1} {
			// The value stays at least 2^bits, so that after the last step rest = x >> (msb-bits).
			if n == 32 {
				high := f.b.Binary(ir.OpShr, f.b.Read(rest), f.b.Const(n+int64(bits)))
				f.ifElse(high, ir.LikelyElse, func() {
					f.b.Write(rest, f.b.Binary(ir.OpShr, f.b.Read(rest), f.b.Const(n)))
					f.b.Write(i, f.b.AddConst(f.b.Read(i), n))
				}, nil)
				continue
			}
			limit := int64(1) << (n + int64(bits))
			f.ifElse(f.b.Binary(ir.OpULt, f.b.Read(rest), f.b.Const(limit)), ir.LikelyUnknown, nil, func() {
				f.b.Write(rest, f.b.Binary(ir.OpShr, f.b.Read(rest), f.b.Const(n)))
				f.b.Write(i, f.b.AddConst(f.b.Read(i), n))
			})
		}
		// Now i = msb-bits, and rest is 1 followed by the extra bits.
		if bits == 0 {
			f.b.Write(i, f.b.AddConst(f.b.Read(i), 2))
			return
		}
		// 1 + (i+1)<<bits + (rest - 1<<bits) = 1 + i<<bits + rest
		scaled := f.b.Binary(ir.OpShl, f.b.Read(i), f.b.Const(int64(bits)))
		f.b.Write(i, f.b.AddConst(f.b.Binary(ir.OpAdd, scaled, f.b.Read(rest)), 1))
	})
	end.Seal()
	f.b.At(end)
	return f.b.Read(i)
}

// lhistIndex is 0 below Min, the last bucket from Max, and the step between.
func (f *fn) lhistIndex(x *ir.Value, t *schema.Type) *ir.Value {
	n := schema.LHistBuckets(t.Min, t.Max, t.Step)
	i := &ir.Var{Name: "bucket", Type: ir.Scalar}
	end := f.newBlock()
	f.b.Write(i, f.b.Const(0))
	notBelow, inside := f.newBlock(), f.newBlock()
	f.b.If(f.b.Binary(ir.OpSLt, x, f.b.Const(t.Min)), end, notBelow, ir.LikelyElse)
	notBelow.Seal()
	f.b.At(notBelow)
	f.b.Write(i, f.b.Const(int64(n-1)))
	f.b.If(f.b.Binary(ir.OpSLt, x, f.b.Const(t.Max)), inside, end, ir.LikelyThen)
	f.arm(inside, end, func() {
		steps := f.b.Binary(ir.OpUDiv, f.b.AddConst(x, -t.Min), f.b.Const(t.Step))
		f.b.Write(i, f.b.AddConst(steps, 1))
	})
	end.Seal()
	f.b.At(end)
	return f.b.Read(i)
}

// timeSeries adds to the slot of the current time; a slot of an earlier round is started anew.
func (f *fn) timeSeries(m *mapInfo, s *check.Aggregate, x *ir.Value) {
	t := m.Value
	now := f.b.Call(fnKtimeBoot, ir.Scalar, ir.Droppable)
	wall := f.b.Binary(ir.OpAdd, now, f.b.Load(f.b.MapValue(MapState, 0), StateWall, 8, false)) // intervals begin at whole seconds
	epoch := f.b.Binary(ir.OpUDiv, wall, f.b.Const(int64(t.Interval)))
	f.element(m, s.Key, func(p *ir.Value) {
		i := f.b.Bound(f.b.Binary(ir.OpUMod, epoch, f.b.Const(int64(t.Buckets))), int64(t.Buckets-1), true)
		at := f.b.Binary(ir.OpAdd, p, f.b.Binary(ir.OpMul, i, f.b.Const(24)))
		fresh := f.b.Binary(ir.OpNe, f.b.Load(at, 0, 8, false), epoch)
		f.ifElse(fresh, ir.LikelyElse, func() {
			f.b.Store(at, 0, 8, epoch)
			f.b.Store(at, 8, 8, f.b.Const(0))
			f.b.Store(at, 16, 8, f.b.Const(0))
		}, nil)
		switch t.Agg {
		case "avg":
			f.addTo(m, at, 8, x)
			f.addTo(m, at, 16, f.b.Const(1))
		case "sum":
			f.addTo(m, at, 8, x)
			f.b.Store(at, 16, 8, f.b.Const(1))
		case "min", "max":
			f.extreme(at, 8, 16, x, t.Agg == "min", isSigned(s.X.Type()), nil)
		default: // the last value; b orders the CPUs' values
			f.b.Store(at, 8, 8, x)
			f.b.Store(at, 16, 8, now)
		}
	})
}

// total is the cross-CPU result of an aggregation, as an integer.
func (f *fn) total(m *mapInfo, x *check.MapGet) *ir.Value {
	f.need(ir.LookupPerCPU, x.Span, "reading an aggregation in a program")
	var key *ir.Value
	if m.Key != nil {
		key = f.key(m, x.Key)
	} else {
		key = f.slot("zero", 4, 4)
		f.b.Store(key, 0, 4, f.b.Const(0))
	}
	return f.totalOf(m, key)
}

// totalOf sums the values of all CPUs.
func (f *fn) totalOf(m *mapInfo, key *ir.Value) *ir.Value {
	t := m.Value
	cpu := &ir.Var{Name: "cpu", Type: ir.Scalar}
	a := &ir.Var{Name: "total", Type: ir.Scalar}
	n := &ir.Var{Name: "n", Type: ir.Scalar}
	zero := f.b.Const(0)
	f.b.Write(cpu, zero)
	f.b.Write(a, zero)
	f.b.Write(n, zero)
	head, body, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(cpu), f.b.Const(int64(max(1, f.target.CPUs)))), body, end, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	p := f.b.Call(fnLookupPerCPU, ir.MaybeNull, 0, f.b.Map(m.Object), key, f.b.Read(cpu))
	f.branch(p, nil, next, ir.LikelyThen)
	switch t.Kind {
	case schema.Min, schema.Max:
		set := f.b.Load(p, 8, 8, false)
		f.branch(set, nil, next, ir.LikelyThen)
		v := f.b.Load(p, 0, 8, false)
		take, compare := f.newBlock(), f.newBlock()
		f.b.If(f.b.Read(n), compare, take, ir.LikelyUnknown)
		compare.Seal()
		f.b.At(compare)
		op := ">"
		if t.Kind == schema.Min {
			op = "<"
		}
		f.b.If(f.compare(op, v, f.b.Read(a), t.Signed), take, next, ir.LikelyUnknown)
		take.Seal()
		f.b.At(take)
		f.b.Write(a, v)
		f.b.Write(n, f.b.Const(1))
	default:
		f.b.Write(a, f.b.Binary(ir.OpAdd, f.b.Read(a), f.b.Load(p, 0, 8, false)))
		if t.Kind == schema.Avg || t.Kind == schema.Stats {
			f.b.Write(n, f.b.Binary(ir.OpAdd, f.b.Read(n), f.b.Load(p, 8, 8, false)))
		}
	}
	f.b.Jump(next)
	next.Seal()
	f.b.At(next)
	f.b.Write(cpu, f.b.AddConst(f.b.Read(cpu), 1))
	f.b.Jump(head)
	head.Seal()
	end.Seal()
	f.b.At(end)
	if t.Kind == schema.Avg || t.Kind == schema.Stats {
		op := ir.OpUDiv
		if t.Signed {
			op = ir.OpSDiv
		}
		return f.pick(f.b.Read(n), ir.Scalar, ir.LikelyThen,
			func() *ir.Value { return f.b.Binary(op, f.b.Read(a), f.b.Read(n)) },
			func() *ir.Value { return f.b.Const(0) })
	}
	return f.b.Read(a)
}
