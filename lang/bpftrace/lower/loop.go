package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// loop is where break and continue lead. In the body of a callback they return from it: both blocks are nil.
type loop struct {
	next, end *ir.Block
	chunked   bool // break tells the callback that goes through the chunks
	broken    int  // in which word of the frame
}

// inlineRange is the number of rounds up to which a range is a plain loop, which the verifier walks through round by round.
const inlineRange = 16

// oldRange is the number of rounds that a range of unknown length may have on kernels without bpf_loop.
const oldRange = 1024

// maxRange is the kernel's limit of rounds of one bpf_loop.
const maxRange = 1 << 23

// maxChunks is how many times that many rounds a range of known length may have: the chunks are a bpf_loop, too.
const maxChunks = maxRange

func (f *fn) whileStmt(s *check.While) {
	head, body, end := f.newBlock(), f.newBlock(), f.newBlock()
	f.enterLoop()
	f.b.Jump(head)
	f.b.At(head)
	f.cond(s.Cond, body, end)
	f.loops = append(f.loops, &loop{next: head, end: end})
	f.arm(body, head, func() { f.body(s.Body) })
	f.loops = f.loops[:len(f.loops)-1]
	head.Seal()
	end.Seal()
	f.b.At(end)
}

// rangeIsCallback reports whether the body of a range becomes a function that bpf_loop calls.
func (u *unit) rangeIsCallback(s *check.ForRange) bool {
	from, ok1 := s.From.(*check.Const)
	to, ok2 := s.To.(*check.Const)
	if ok1 && ok2 && (from.Value >= to.Value || uint64(to.Value)-uint64(from.Value) <= inlineRange) {
		return false
	}
	return u.target.Supports(ir.Loop)
}

func (f *fn) forRange(s *check.ForRange) {
	from, to := f.value(s.From), f.value(s.To)
	if f.rangeIsCallback(s) {
		f.rangeCallback(s, from, to)
		return
	}
	i := &ir.Var{Name: s.Var.Name, Type: ir.Scalar}
	round := &ir.Var{Name: "round", Type: ir.Scalar}
	f.b.Write(i, from)
	f.b.Write(round, f.b.Const(0))
	head, body, next, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	_, known1 := s.From.(*check.Const)
	_, known2 := s.To.(*check.Const)
	f.enterLoop()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpSLt, f.b.Read(i), to), body, end, ir.LikelyThen)
	f.loops = append(f.loops, &loop{next: next, end: end})
	f.arm(body, next, func() {
		if !known1 || !known2 {
			f.limitRounds(s, round, end)
		}
		f.writeVar(s.Var, f.b.Read(i))
		f.body(s.Body)
	})
	f.loops = f.loops[:len(f.loops)-1]
	next.Seal()
	f.b.At(next)
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 1))
	f.b.Jump(head)
	head.Seal()
	end.Seal()
	f.b.At(end)
}

// limitRounds ends a loop whose length the verifier cannot see after so many rounds as it can.
func (f *fn) limitRounds(s *check.ForRange, round *ir.Var, end *ir.Block) {
	tooMany, goOn := f.newBlock(), f.newBlock()
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(round), f.b.Const(oldRange)), goOn, tooMany, ir.LikelyThen)
	f.arm(tooMany, end, func() {
		f.runtimeError(s.Span, "", "the loop was ended after 1024 rounds: this kernel has no bpf_loop", nil)
	})
	goOn.Seal()
	f.b.At(goOn)
	f.b.Write(round, f.b.AddConst(f.b.Read(round), 1))
}

// rangeCallback lets the kernel go through a range.
func (f *fn) rangeCallback(s *check.ForRange, from, to *ir.Value) {
	first, ok1 := s.From.(*check.Const)
	last, ok2 := s.To.(*check.Const)
	if ok1 && ok2 && first.Value < last.Value {
		if n := uint64(last.Value) - uint64(first.Value); n > maxRange {
			f.rangeChunks(s, first.Value, n)
			return
		}
	}
	start := f.frame.word()
	f.storeWord(start, from)
	f.enterLoop()
	cb := f.rangeRound(s, start, &loop{})

	n := f.b.Binary(ir.OpSub, to, from)
	rounds := f.pick(f.b.Binary(ir.OpSLt, from, to), ir.Scalar, ir.LikelyThen,
		func() *ir.Value {
			return f.pick(f.b.Binary(ir.OpULe, n, f.b.Const(maxRange)), ir.Scalar, ir.LikelyThen,
				func() *ir.Value { return n },
				func() *ir.Value {
					f.runtimeError(s.Span, "", "the loop ends after 8388608 rounds, the most that the kernel allows where the bounds are no constants", nil)
					return f.b.Const(maxRange)
				})
		},
		func() *ir.Value { return f.b.Const(0) })
	f.callLoop(rounds, cb)
	f.enterLoop()
	f.afterCallback(s.Body)
}

// rangeRound builds the callback of a range's rounds, which begin with the value in the frame's word start.
func (f *fn) rangeRound(s *check.ForRange, start int, l *loop) *fn {
	cb := f.callback("range", ir.Scalar, ir.Pointer)
	cb.writeVar(s.Var, cb.b.Binary(ir.OpAdd, cb.loadWord(start), cb.b.Param(0)))
	cb.callbackBody(s.Body, l)
	return cb
}

func (f *fn) callLoop(rounds *ir.Value, cb *fn) {
	f.b.Call(fnLoop, ir.Scalar, 0, rounds, f.b.FuncAddr(cb.b.F), f.frameBase, f.b.Const(0))
}

// rangeChunks goes through a range of more rounds than a bpf_loop may have: the rounds of an outer one are as many as possible of the
// range's.
func (f *fn) rangeChunks(s *check.ForRange, from int64, n uint64) {
	chunks := (n-1)/maxRange + 1
	if chunks > maxChunks {
		f.fail(s.Span, "a loop has at most %d rounds", uint64(maxChunks)*maxRange)
	}
	start, broken := f.frame.word(), f.frame.word()
	f.storeWord(broken, f.b.Const(0))
	f.enterLoop()
	outer := f.callback("chunk", ir.Scalar, ir.Pointer)
	chunk := outer.b.Param(0)
	first := outer.b.Binary(ir.OpMul, chunk, outer.b.Const(maxRange))
	outer.storeWord(start, outer.b.AddConst(first, from))
	round := outer.rangeRound(s, start, &loop{chunked: true, broken: broken})
	rounds := outer.pick(outer.b.Binary(ir.OpULt, chunk, outer.b.Const(int64(chunks-1))), ir.Scalar, ir.LikelyThen,
		func() *ir.Value { return outer.b.Const(maxRange) },
		func() *ir.Value { return outer.b.Const(int64(n - (chunks-1)*maxRange)) })
	outer.callLoop(rounds, round)
	outer.enterLoop()
	outer.afterCallback(s.Body)
	end, goOn := outer.newBlock(), outer.newBlock()
	outer.b.If(outer.loadWord(broken), end, goOn, ir.LikelyElse)
	end.Seal()
	outer.b.At(end)
	outer.b.Return(outer.b.Const(1))
	goOn.Seal()
	outer.b.At(goOn)
	outer.b.Return(nil)

	f.callLoop(f.b.Const(int64(chunks)), outer)
	f.enterLoop()
	f.afterCallback(s.Body)
}

// callbackBody builds what a callback does for each element. It returns 0 to go on.
func (f *fn) callbackBody(body []check.Stmt, l *loop) {
	f.loops = append(f.loops, l)
	f.body(body)
	if !f.b.Terminated() {
		f.b.Return(nil)
	}
}

// forMap lets the kernel go through a map's elements.
func (f *fn) forMap(s *check.ForMap) {
	m := f.maps[s.Map]
	if m.Key == nil {
		f.fail(s.Span, "%s has no keys to go through", m.Name)
	}
	f.need(ir.ForEachMapElem, s.Span, "for over a map")
	f.enterLoop()
	cb := f.callback("each", ir.Pointer, ir.Pointer, ir.Pointer, ir.Pointer)
	key, value := cb.b.Param(1), cb.b.Param(2)
	p := &pair{m: m, key: place{base: key, padded: true}, value: place{base: value, padded: true}}
	switch v := cb.vars[s.Var]; {
	case v != nil: // loops inside this one use it, too
		t := p.tuple(cb, s.Var.Type)
		cb.copyOwn(cb.loadAddress(v.inFrame), t.base, size(s.Var.Type))
	case changes(s.Body, s.Var):
		t := p.tuple(cb, s.Var.Type)
		cb.copyOwn(cb.b.SlotAddr(cb.variable(s.Var).mem), t.base, size(s.Var.Type))
	default:
		cb.vars[s.Var] = &variable{inFrame: -1, pair: p}
	}
	cb.callbackBody(s.Body, &loop{})
	f.b.Call(fnForEachMapElem, ir.Scalar, 0, f.b.Map(m.Object), f.b.FuncAddr(cb.b.F), f.frameBase, f.b.Const(0))
	f.enterLoop()
	f.afterCallback(s.Body)
}

// changes reports whether a variable gets another value, or can get one.
func changes(body []check.Stmt, v *check.Var) bool {
	found := false
	walkBody(body, func(n any) bool {
		switch n := n.(type) {
		case *check.SetVar:
			found = found || n.Var == v
		case *check.DeclareVar:
			found = found || n.Var == v
		case *check.Call:
			if n.Fn == "find" {
				t, ok := n.Args[len(n.Args)-1].(*check.VarRef)
				found = found || ok && t.Var == v
			}
		}
		return !found
	})
	return found
}

// pair is an element of a map in a loop over it, read only as far as it is used.
type pair struct {
	m          *mapInfo
	key, value place
}

// element gives the place that the offset of the tuple's field counts from.
func (p *pair) element(f *fn, t *schema.Type, field schema.Field) place {
	if field.Offset == t.Fields[0].Offset {
		return p.key.at(-int64(field.Offset))
	}
	if isAggregate(p.m.Value) && isScalar(field.Type) {
		slot := f.slot("total", 8, 8)
		f.b.Store(slot, 0, 8, f.totalOf(p.m, f.addressOfOwn(p.key)))
		return place{base: slot, off: -int64(field.Offset)}
	}
	return p.value.at(-int64(field.Offset))
}

// tuple gives the whole element as a tuple.
func (p *pair) tuple(f *fn, t *schema.Type) place {
	slot := f.slot("element", (t.Size+7)&^7, 8)
	f.zeroGaps(t, slot, 0)
	k, v := t.Fields[0], t.Fields[1]
	f.placeInto(p.key, p.m.Key, k.Type, slot, int64(k.Offset))
	if isAggregate(p.m.Value) && isScalar(v.Type) {
		f.b.Store(slot, int64(v.Offset), scalarSize(v.Type), f.totalOf(p.m, f.addressOfOwn(p.key)))
	} else {
		f.placeInto(p.value, p.m.Value, v.Type, slot, int64(v.Offset))
	}
	return place{base: slot, padded: true}
}

func (f *fn) jump(s *check.Jump) {
	if s.Word == "return" {
		f.leave()
		return
	}
	l := f.loops[len(f.loops)-1]
	switch {
	case s.Word == "break" && l.end != nil:
		f.b.Jump(l.end)
	case s.Word == "break":
		if l.chunked {
			f.storeWord(l.broken, f.b.Const(1))
		}
		f.b.Return(f.b.Const(1))
	case l.next != nil:
		f.b.Jump(l.next)
	default:
		f.b.Return(nil)
	}
}
