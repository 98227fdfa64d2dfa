package lower

import (
	"sort"

	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

const (
	ringNoWakeup    = 1 // BPF_RB_NO_WAKEUP
	ringForceWakeup = 2 // BPF_RB_FORCE_WAKEUP
	ringAvailable   = 0 // BPF_RB_AVAIL_DATA
	ringSize        = 1 // BPF_RB_RING_SIZE
	ringProducerPos = 3 // BPF_RB_PROD_POS
)

// headerSize is that of a record's fixed header; see schema.Event.
func headerSize(k schema.EventKind) int {
	if isControl(k) {
		return 16
	}
	return 8
}

// eventID lays out an event's record and gives it a number. The layout has no gaps: arguments are placed by falling
// alignment.
func (u *unit) eventID(e *schema.Event, args []check.Expr) int {
	if id, ok := u.events[e]; ok {
		return id
	}
	off := headerSize(e.Kind)
	order := make([]int, len(e.Args))
	for i := range order {
		order[i] = i
		if a := &e.Args[i]; !a.Literal && i < len(args) {
			a.Var = variableLength(a.Type, args[i])
		}
	}
	alignOf := func(i int) int {
		if e.Args[i].Var {
			return 4
		}
		return align(e.Args[i].Type)
	}
	sort.SliceStable(order, func(a, b int) bool { return alignOf(order[a]) > alignOf(order[b]) })
	for _, i := range order {
		a := &e.Args[i]
		if a.Literal {
			continue
		}
		al, n := alignOf(i), 4
		if !a.Var {
			n = size(a.Type)
		}
		off = (off + al - 1) &^ (al - 1)
		a.Offset = off
		off += n
	}
	e.Size = off
	id := len(u.Script.Events)
	u.events[e] = id
	u.Script.Events = append(u.Script.Events, e)
	u.noteSymbols(e.Args)
	return id
}

// noteSymbols remembers which names user space will have to find.
func (u *unit) noteSymbols(args []schema.Arg) {
	for _, a := range args {
		if a.Type != nil {
			u.noteType(a.Type)
		}
	}
}

func (u *unit) noteType(t *schema.Type) {
	switch t.Kind {
	case schema.KSym, schema.KStack:
		u.NeedsKernelSymbols = true
	case schema.USym, schema.UStack:
		u.NeedsUserSymbols = true
	case schema.Tuple:
		for _, m := range t.Fields {
			u.noteType(m.Type)
		}
	}
}

// variableLength tells whether a string or buffer is sent with its real length.
func variableLength(t *schema.Type, x check.Expr) bool {
	switch t.Kind {
	case schema.String, schema.Buffer:
		return size(t) > 32 || readsString(x)
	}
	return false
}

// send makes the record of an event and sends it.
func (f *fn) send(e *schema.Event, args []check.Expr) {
	id := f.eventID(e, args)
	if isControl(e.Kind) {
		f.sendControl(e, id, args)
		return
	}
	room := 0
	for i, a := range e.Args {
		if a.Var && !a.Literal {
			room += varRoom(a.Type, args[i])
		}
	}
	var rec *ir.Value
	if room == 0 {
		rec = f.slot("record", e.Size, 8)
	} else {
		rec = f.scratchSlot("record", e.Size+room)
	}
	f.fixedPart(e, id, args, rec)
	n := f.b.Const(int64(e.Size))
	if room > 0 {
		n = f.variablePart(e, args, rec)
	}
	f.output(rec, n)
}

// fixedPart stores the header and the arguments of known size.
func (f *fn) fixedPart(e *schema.Event, id int, args []check.Expr, rec *ir.Value) {
	f.b.Store(rec, 0, 8, f.b.Const(int64(id)))
	end := headerSize(e.Kind)
	for i := range e.Args {
		a := &e.Args[i]
		if a.Literal || a.Var {
			continue
		}
		f.into(args[i], a.Type, rec, int64(a.Offset))
	}
	// Padding would otherwise hand out what was on the stack before, which the verifier forbids.
	var fixed []schema.Arg
	for _, a := range e.Args {
		if !a.Literal {
			fixed = append(fixed, a)
		}
	}
	sort.Slice(fixed, func(i, j int) bool { return fixed[i].Offset < fixed[j].Offset })
	for _, a := range fixed {
		f.zero(rec, int64(end), a.Offset-end)
		end = a.Offset + 4
		if !a.Var {
			end = a.Offset + size(a.Type)
		}
	}
}

// variablePart appends strings and buffers with their real length and returns the record's size.
func (f *fn) variablePart(e *schema.Event, args []check.Expr, rec *ir.Value) *ir.Value {
	tail := &tail{rec: rec, off: int64(e.Size)}
	for i, a := range e.Args {
		if a.Var && !a.Literal {
			f.appendVar(tail, int64(a.Offset), a.Type, args[i])
		}
	}
	return tail.end(f)
}

// tail is the end of a record that grows by amounts known only at run time.
type tail struct {
	rec *ir.Value
	off int64     // bytes up to here that are always there
	n   *ir.Value // and as many more; nil for none
	max int64     // most of n
}

func (t *tail) addr(f *fn) *ir.Value {
	p := f.b.AddConst(t.rec, t.off)
	if t.n == nil {
		return p
	}
	return f.b.Binary(ir.OpAdd, p, f.b.Bound(t.n, t.max, !isMask(t.max)))
}

func (t *tail) end(f *fn) *ir.Value {
	if t.n == nil {
		return f.b.Const(t.off)
	}
	return f.b.AddConst(f.b.Bound(t.n, t.max, !isMask(t.max)), t.off)
}

// grow adds n ≤ max bytes.
func (t *tail) grow(f *fn, n *ir.Value, most int64) {
	if t.n == nil {
		t.n, t.max = n, most
		return
	}
	t.n = f.b.Binary(ir.OpAdd, f.b.Bound(t.n, t.max, !isMask(t.max)), n)
	t.max += most
}

func isMask(n int64) bool { return n&(n+1) == 0 }

// output sends a record on the data ring, and counts it if it is lost.
func (f *fn) output(rec, n *ir.Value) {
	f.ifElse(f.submit(rec, n, nil), ir.LikelyElse, func() { f.countDrop(0) }, nil)
}

// submit sends a record on the data ring, and returns 0 if there was room. A reader that sleeps is woken, once; if urgent is not nil, only
// where it is not 0, or else the reader finds the record when it next looks.
func (f *fn) submit(rec, n *ir.Value, urgent func() *ir.Value) *ir.Value {
	state := f.b.MapValue(MapState, 0)
	sleeping := f.b.Load(state, StateSleeping, 8, false)
	flags := &ir.Var{Name: "flags", Type: ir.Scalar}
	f.b.Write(flags, f.b.Const(ringNoWakeup))
	end := f.newBlock()
	f.branch(sleeping, nil, end, ir.LikelyElse)
	if urgent != nil {
		f.branch(urgent(), nil, end, ir.LikelyElse)
	}
	f.b.Store(state, StateSleeping, 8, f.b.Const(0))
	f.b.Write(flags, f.b.Const(ringForceWakeup))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	return f.b.Call(fnRingOutput, ir.Scalar, 0, f.b.Map(MapEvents), rec, n, f.b.Read(flags))
}

// sendControl sends a record on the control ring, with the position of the data ring.
func (f *fn) sendControl(e *schema.Event, id int, args []check.Expr) {
	rec := f.slot("control", (e.Size+7)&^7, 8)
	f.fixedPart(e, id, args, rec)
	f.zero(rec, int64(e.Size), (e.Size+7)&^7-e.Size)
	f.outputControl(rec, e.Size)
}

// outputControl completes a control record and sends it.
func (f *fn) outputControl(rec *ir.Value, n int) {
	pos := f.b.Const(0)
	if f.facts.data {
		pos = f.b.Call(fnRingQuery, ir.Scalar, 0, f.b.Map(MapEvents), f.b.Const(ringProducerPos))
	}
	f.b.Store(rec, 8, 8, pos)
	r := f.b.Call(fnRingOutput, ir.Scalar, 0, f.b.Map(MapControl), rec, f.b.Const(int64(n)), f.b.Const(ringForceWakeup))
	f.ifElse(r, ir.LikelyElse, func() { f.countDrop(1) }, nil)
}

// runtimeError is a place where a program may fail: one entry in Script.Errors.
type runtimeError struct {
	at              diag.Span
	helper, message string
}

// errorEvent is the one event that all runtime errors are sent with.
func (u *unit) errorEvent() *schema.Event {
	for e := range u.events {
		if e.Kind == schema.RunError {
			return e
		}
	}
	e := &schema.Event{Kind: schema.RunError, Args: []schema.Arg{
		{Type: &schema.Type{Kind: schema.Int, Size: 4}},
		{Type: &schema.Type{Kind: schema.Int, Size: 4, Signed: true}},
	}}
	u.eventID(e, nil)
	return e
}

// runtimeError reports that something failed in the program. result is the failed helper's result, or nil.
func (f *fn) runtimeError(at diag.Span, helper, message string, result *ir.Value) {
	key := runtimeError{at, helper, message}
	index, ok := f.errors[key]
	if !ok {
		index = len(f.Script.Errors)
		f.errors[key] = index
		f.Script.Errors = append(f.Script.Errors, schema.RuntimeError{Span: at, Helper: helper, Message: message})
	}
	e := f.errorEvent()
	rec := f.slot("error", 24, 8)
	f.b.Store(rec, 0, 8, f.b.Const(int64(f.events[e])))
	if result == nil {
		f.b.Store(rec, 16, 8, f.b.Const(int64(index)))
	} else {
		f.b.Store(rec, 16, 4, f.b.Const(int64(index)))
		f.b.Store(rec, 20, 4, result)
	}
	f.outputControl(rec, 24)
}

// helperError reports a negative result of a helper if the user asked for that.
func (f *fn) helperError(r *ir.Value, helper string) {
	if !f.opt.HelperErrors {
		return
	}
	failed := f.b.Binary(ir.OpSLt, r, f.b.Const(0))
	f.ifElse(failed, ir.LikelyElse, func() { f.runtimeError(f.b.Span, helper, "", r) }, nil)
}
