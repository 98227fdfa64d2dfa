package lower

import (
	"strconv"

	"skep/ir"
	"skep/lang/bpftrace/check"
)

// frame is what the entry function shares with its callbacks: a few addresses on its stack, which each callback is given, and scratch
// memory with the scalar variables that more than one of them uses. These are not on the stack since the verifier knows what lies there:
// it would follow a counter from round to round of a loop that has no end in its eyes.
type frame struct {
	slot   *ir.Slot // addresses, on the entry function's stack
	shared *ir.Slot // scalars, in scratch memory
	// ctx and words are the offsets in slot of the addresses of the context and of shared.
	ctx, words int
	// stop is the offset in shared of a word that is not 0 after return or exit() in a callback, index that of the probe's name.
	stop, index int
	run         int // that of the number of a recorded run
}

// newFrame finds the variables that a function shares with its callbacks and sets them to zero. A program without callbacks has no
// frame.
func (f *fn) newFrame(body []check.Stmt) {
	shared, called := f.sharedVars(body)
	if !called {
		return
	}
	fr := &frame{
		slot:   f.b.F.NewSlot("frame", 0, 8, ir.Stack),
		shared: f.b.F.NewSlot("shared", 0, 8, ir.Scratch),
	}
	fr.slot.Whole, fr.shared.Whole = true, true
	f.frame = fr
	f.frameBase, f.words = f.b.SlotAddr(fr.slot), f.b.SlotAddr(fr.shared)
	fr.ctx, fr.words = fr.address(), fr.address()
	if f.claim != nil {
		f.claim.Words, f.claim.Offset = fr.shared, int64(fr.words)
	}
	f.b.Store(f.frameBase, int64(fr.ctx), 8, f.ctx)
	f.b.Store(f.frameBase, int64(fr.words), 8, f.words)
	fr.stop = fr.word()
	f.storeWord(fr.stop, f.b.Const(0))
	if f.probe.UsesProbe || f.probe.UsesFunc {
		fr.index = fr.word()
		f.storeWord(fr.index, f.src.probeIndex(f))
	}
	if f.run != nil {
		fr.run = fr.word()
		f.storeWord(fr.run, f.run)
	}
	for _, v := range shared {
		if v.Type == nil {
			continue
		}
		if isScalar(v.Type) {
			off := fr.word()
			f.vars[v] = &variable{inFrame: off}
			f.storeWord(off, f.b.Const(0))
			continue
		}
		off := fr.address()
		f.vars[v] = &variable{inFrame: off}
		mem := f.b.F.NewSlot(v.Name, (size(v.Type)+7)&^7, 8, ir.Auto)
		mem.Whole = true
		f.b.Store(f.frameBase, int64(off), 8, f.b.SlotAddr(mem))
	}
}

// address adds room for an address and returns its offset in slot, word one for a scalar, in shared.
func (fr *frame) address() int { return grow(fr.slot) }
func (fr *frame) word() int    { return grow(fr.shared) }

func grow(s *ir.Slot) int {
	s.Size += 8
	return s.Size - 8
}

func (f *fn) loadWord(off int) *ir.Value     { return f.b.Load(f.words, int64(off), 8, false) }
func (f *fn) storeWord(off int, x *ir.Value) { f.b.Store(f.words, int64(off), 8, x) }

// loadAddress reads an address of own memory, or the context, from the frame.
func (f *fn) loadAddress(off int) *ir.Value {
	v := f.b.Load(f.frameBase, int64(off), 8, false)
	v.Type = ir.Pointer
	return v
}

// sharedVars lists the variables that are used in more than one function, in the order of their first use, and tells whether there
// are callbacks at all.
func (f *fn) sharedVars(body []check.Stmt) (shared []*check.Var, called bool) {
	first := map[*check.Var]int{}
	isShared := map[*check.Var]bool{}
	next := 0
	var scan func(body []check.Stmt, in int)
	use := func(v *check.Var, in int) {
		if v == nil {
			return
		}
		if at, ok := first[v]; !ok {
			first[v] = in
		} else if at != in && !isShared[v] {
			isShared[v] = true
			shared = append(shared, v)
		}
	}
	scan = func(body []check.Stmt, in int) {
		walkBody(body, func(n any) bool {
			switch n := n.(type) {
			case *check.VarRef:
				use(n.Var, in)
			case *check.SetVar:
				use(n.Var, in)
			case *check.DeclareVar:
				use(n.Var, in)
			case *check.IncDec:
				use(n.Var, in)
			case *check.ForMap:
				called = true
				next++
				use(n.Var, next)
				scan(n.Body, next)
				return false
			case *check.ForRange:
				if !f.rangeIsCallback(n) {
					use(n.Var, in)
					return true
				}
				called = true
				scan([]check.Stmt{&check.Eval{X: n.From}, &check.Eval{X: n.To}}, in)
				next++
				use(n.Var, next)
				scan(n.Body, next)
				return false
			}
			return true
		})
	}
	scan(body, 0)
	return shared, called
}

// callback starts a function that the kernel calls from this one.
func (f *fn) callback(name string, params ...ir.Type) *fn {
	f.nextFunc++
	cb := f.module.NewFunc(objectName(name+strconv.Itoa(f.nextFunc)), params...)
	cb.Callback = true
	c := &fn{program: f.program, b: ir.NewBuilder(cb), vars: map[*check.Var]*variable{}, outer: f, frame: f.frame}
	c.b.Span = f.b.Span
	if f.b.Called != nil {
		c.b.Called = c.recordCall
	}
	c.frameBase = c.b.Param(len(params) - 1)
	c.words = c.loadAddress(f.frame.words)
	for v, s := range f.vars {
		if s.inFrame >= 0 {
			c.vars[v] = s
		}
	}
	return c
}

// context is the program's context; callbacks find it in the frame.
func (f *fn) context() *ir.Value {
	if f.ctx == nil {
		return f.loadAddress(f.frame.ctx)
	}
	return f.ctx
}

// leave ends the program. A callback tells its caller to end, too.
func (f *fn) leave() {
	if f.outer == nil {
		f.b.Jump(f.done)
		return
	}
	f.storeWord(f.frame.stop, f.b.Const(1))
	f.b.Return(f.b.Const(1))
}

// afterCallback ends the program if a callback said so.
func (f *fn) afterCallback(body []check.Stmt) {
	if !leaves(body) {
		return
	}
	stop, goOn := f.newBlock(), f.newBlock()
	f.b.If(f.loadWord(f.frame.stop), stop, goOn, ir.LikelyElse)
	stop.Seal()
	f.b.At(stop)
	if f.outer == nil {
		f.b.Jump(f.done)
	} else {
		f.b.Return(f.b.Const(1))
	}
	goOn.Seal()
	f.b.At(goOn)
}

// leaves reports whether a body may end the program.
func leaves(body []check.Stmt) bool {
	found := false
	walkBody(body, func(n any) bool {
		switch n := n.(type) {
		case *check.Jump:
			found = found || n.Word == "return"
		case *check.Call:
			found = found || n.Fn == "exit"
		}
		return !found
	})
	return found
}
