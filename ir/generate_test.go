package ir

import (
	"math/rand/v2"

	"github.com/cilium/ebpf/asm"
)

const (
	randomVars   = 6
	randomInputs = 8
)

// generator builds a random function of arithmetic, branches, small loops, memory and calls.
type generator struct {
	r     *rand.Rand
	b     *Builder
	vars  []*Var
	key   *Slot
	slots []*Slot
	deep  int
	left  int // statements
	child *Func
	loops *Func    // callback of bpf_loop
	wide  *Slot    // reached with variable offsets
	ptrs  []*Value // elements of the map, known not to be NULL
}

func randomModule(seed uint64, target *Target) *Module {
	r := rand.New(rand.NewPCG(seed, 1))
	m := NewModule("random")
	main := m.NewFunc("main", Pointer)
	g := &generator{r: r, left: 10 + r.IntN(40)}
	if r.IntN(3) == 0 {
		g.child = m.NewFunc("child", Scalar, Scalar)
		b := NewBuilder(g.child)
		c := &generator{r: r, b: b, left: 8}
		c.start()
		b.Write(c.vars[0], b.Param(0))
		b.Write(c.vars[1], b.Param(1))
		c.statements()
		b.Return(b.Read(c.vars[0]))
	}
	if target.Supports(Loop) && r.IntN(3) == 0 {
		g.loops = m.NewFunc("loops", Scalar, Pointer)
		g.loops.Callback = true
		b := NewBuilder(g.loops)
		c := &generator{r: r, b: b, left: 8}
		c.start()
		b.Write(c.vars[0], b.Param(0))
		b.Write(c.vars[1], b.Load(b.Param(1), 8, 8, false))
		c.statements()
		b.Store(b.Param(1), 8, 8, b.Read(c.vars[1]))
		b.Return(c.compare(b.Read(c.vars[0])))
	}
	g.b = NewBuilder(main)
	g.start()
	g.statements()
	for i, v := range g.vars {
		g.b.Store(g.b.MapValue("result", 0), int64(8*i), 8, g.b.Read(v))
	}
	g.b.Return(nil)
	return m
}

// hugeModule is a random program of many statements in a row.
func hugeModule(seed uint64, statements int) *Module {
	m := NewModule("huge")
	g := &generator{r: rand.New(rand.NewPCG(seed, 1)), left: statements}
	g.b = NewBuilder(m.NewFunc("main", Pointer))
	g.start()
	g.statements()
	for i, v := range g.vars {
		g.b.Store(g.b.MapValue("result", 0), int64(8*i), 8, g.b.Read(v))
	}
	g.b.Return(nil)
	return m
}

func (g *generator) start() {
	b := g.b
	for i := range randomVars {
		v := &Var{Name: string(rune('a' + i)), Type: Scalar}
		g.vars = append(g.vars, v)
		if i > 0 { // the first reads as 0
			b.Write(v, b.Load(b.MapValue("input", 0), int64(8*i), 8, false))
		}
	}
	g.key = b.F.NewSlot("key", 4, 4, Auto)
	g.wide = b.F.NewSlot("wide", 512, 8, Scratch)
	b.Zero(b.SlotAddr(g.wide), 0, 512)
	for range 1 + g.r.IntN(3) {
		s := b.F.NewSlot("mem", []int{8, 16, 24, 48, 100}[g.r.IntN(5)], 8, Auto)
		g.slots = append(g.slots, s)
		b.Zero(b.SlotAddr(s), 0, int64(s.Size))
	}
}

func (g *generator) statements() {
	n := 1 + g.r.IntN(6)
	if g.deep == 0 {
		n = g.left
	}
	for range n {
		if g.left <= 0 {
			return
		}
		g.left--
		g.statement()
	}
}

func (g *generator) read() *Value {
	if g.r.IntN(4) == 0 {
		return g.b.Const(g.number())
	}
	return g.b.Read(g.vars[g.r.IntN(len(g.vars))])
}

func (g *generator) number() int64 {
	switch g.r.IntN(6) {
	case 0:
		return int64(g.r.Uint64())
	case 1:
		return 1 << g.r.IntN(63)
	case 2:
		return -int64(g.r.IntN(100))
	case 3:
		return int64(g.r.Uint32())
	}
	return int64(g.r.IntN(10))
}

func (g *generator) write(x *Value) { g.b.Write(g.vars[g.r.IntN(len(g.vars))], x) }

func (g *generator) expr() *Value {
	b := g.b
	x := g.read()
	for range 1 + g.r.IntN(3) {
		switch g.r.IntN(12) {
		case 0, 1, 2, 3, 4:
			op := OpAdd + Op(g.r.IntN(int(OpSar-OpAdd)+1))
			x = b.Binary(op, x, g.read())
		case 5:
			x = b.Ext(OpZExt, x, []int{1, 5, 8, 16, 31, 32, 33, 48}[g.r.IntN(8)])
		case 6:
			x = b.Ext(OpSExt, x, []int{8, 16, 32, 7, 40}[g.r.IntN(5)])
		case 7:
			x = b.Ext(OpSwap, x, []int{16, 32, 64}[g.r.IntN(3)])
		case 8:
			x = b.Add(OpNeg, Scalar, x)
		case 9, 10:
			x = g.compare(x)
		case 11:
			x = b.Bound(x, []int64{7, 63, 255, 4095}[g.r.IntN(4)], g.r.IntN(2) == 0)
		}
	}
	return x
}

func (g *generator) compare(x *Value) *Value {
	op := OpEq + Op(g.r.IntN(int(OpSLe-OpEq)+1))
	y := g.read()
	if g.r.IntN(3) == 0 {
		x, y = g.b.Ext(OpZExt, x, 32), g.b.Ext(OpZExt, y, 32)
	}
	c := g.b.Binary(op, x, y)
	if g.r.IntN(4) == 0 {
		c = g.b.Binary(OpEq, c, g.b.Const(0))
	}
	return c
}

// address returns a random address and how many bytes may be accessed there.
func (g *generator) address() (*Value, int64, int64) {
	if g.r.IntN(4) == 0 {
		off := int64(g.r.IntN(8)) * 8
		return g.b.MapValue("memory", off), 0, 64 - off
	}
	s := g.slots[g.r.IntN(len(g.slots))]
	off := int64(g.r.IntN(s.Size)) &^ 7
	return g.b.AddConst(g.b.SlotAddr(s), off), 0, int64(s.Size) - off
}

func (g *generator) size(room int64) int {
	for {
		if n := 1 << g.r.IntN(4); int64(n) <= room {
			return n
		}
	}
}

func (g *generator) statement() {
	b := g.b
	switch n := g.r.IntN(24); {
	case n < 7:
		g.write(g.expr())
	case n < 9:
		addr, off, room := g.address()
		b.Store(addr, off, g.size(room), g.read())
	case n < 12:
		addr, off, room := g.address()
		g.write(b.Load(addr, off, g.size(room), g.r.IntN(2) == 0))
	case n == 12:
		addr, off, room := g.address()
		if room >= 8 {
			op := []Op{OpAtomicAdd, OpFetchAdd, OpAtomicOr, OpXchg}[g.r.IntN(4)]
			if v := b.Atomic(op, addr, off, 4+4*g.r.IntN(2), g.read()); v.Type != Void {
				g.write(v)
			}
		}
	case n == 13:
		addr, off, room := g.address()
		if room >= 8 {
			g.write(b.Atomic(OpCmpXchg, addr, off, 4+4*g.r.IntN(2), g.read(), g.read()))
		}
	case n == 14:
		b.Call(int64(asm.FnKtimeGetNs), Scalar, []int64{0, Droppable}[g.r.IntN(2)])
	case n == 15:
		g.copy()
	case n == 16 && g.child != nil:
		g.write(b.CallFunc(g.child, g.read(), g.read()))
	case n == 16:
		g.lookup()
	case n == 17:
		g.index()
	case n == 18:
		g.readKernel()
	case n == 19 && g.loops != nil:
		g.callback()
	case n == 19 && len(g.ptrs) > 0:
		p := g.ptrs[g.r.IntN(len(g.ptrs))]
		b.Atomic(OpAtomicAdd, p, 0, 8, g.read())
		g.write(b.Load(p, 0, 8, false))
	case n < 23:
		if g.deep < 3 {
			g.branch()
		}
	default:
		if g.deep < 2 {
			g.loop()
		}
	}
}

func (g *generator) copy() {
	dst, _, n := g.address()
	src, _, k := g.address()
	n = min(n, k)
	if rootOf(dst).base.Slot != nil && rootOf(dst).base.Slot == rootOf(src).base.Slot ||
		rootOf(dst).base.Slot == nil && rootOf(src).base.Slot == nil {
		return // would overlap
	}
	if n > 8 && g.r.IntN(2) == 0 {
		n -= int64(g.r.IntN(8))
	}
	g.b.Copy(dst, src, n)
}

// lookup reads and changes an element of an array map, if the key is inside.
func (g *generator) lookup() {
	b := g.b
	b.Store(b.SlotAddr(g.key), 0, 4, b.Ext(OpZExt, g.read(), 3))
	p := b.Call(int64(asm.FnMapLookupElem), MaybeNull, ReadsMemory, b.Map("array"), b.SlotAddr(g.key))
	then, after := b.F.NewBlock(), b.F.NewBlock()
	b.If(b.Binary(OpNe, p, b.Const(0)), then, after, LikelyThen)
	then.Seal()
	b.At(then)
	g.write(b.Load(p, 0, 8, false))
	b.Store(p, 0, 8, g.read())
	if g.deep < 3 {
		g.deep++
		g.ptrs = append(g.ptrs, p)
		g.statements()
		g.ptrs = g.ptrs[:len(g.ptrs)-1]
		g.deep--
	}
	b.Jump(after)
	after.Seal()
	b.At(after)
}

// bound clamps only what carries no ranges from before: a verifier that follows a branch that is never taken (6.1 does
// not see all of these) may believe in an impossible range and then give up.
func (g *generator) bound(limit int64) *Value {
	if g.r.IntN(2) == 0 {
		return g.b.Bound(g.b.Ext(OpZExt, g.read(), 16), limit, true)
	}
	return g.b.Bound(g.read(), limit, false)
}

// index stores and loads at an offset that is known to the verifier by its bound alone.
func (g *generator) index() {
	b := g.b
	i := g.bound(63)
	if g.r.IntN(3) == 0 { // lives across a call, perhaps on the stack
		b.Call(int64(asm.FnKtimeGetNs), Scalar, 0)
	}
	addr := b.Binary(OpAdd, b.SlotAddr(g.wide), b.Binary(OpShl, i, b.Const(3)))
	if g.r.IntN(2) == 0 {
		b.Store(addr, 0, 8, g.read())
	}
	g.write(b.Load(addr, 0, 8, false))
}

// readKernel copies a bounded number of bytes with a helper.
func (g *generator) readKernel() {
	b := g.b
	n := g.bound([]int64{7, 63, 255}[g.r.IntN(3)])
	dst := b.AddConst(b.SlotAddr(g.wide), int64(8*g.r.IntN(20)))
	b.Call(int64(asm.FnProbeReadKernel), Scalar, 0, dst, n, b.MapValue("source", 0))
}

// callback runs the callback a few times, with a struct on the stack as its context.
func (g *generator) callback() {
	b := g.b
	s := b.F.NewSlot("context", 16, 8, Stack)
	addr := b.SlotAddr(s)
	b.Store(addr, 0, 8, g.read())
	b.Store(addr, 8, 8, g.read())
	n := b.Call(int64(asm.FnLoop), Scalar, 0, b.Const(int64(g.r.IntN(5))), b.FuncAddr(g.loops), addr, b.Const(0))
	g.write(n)
	g.write(b.Load(addr, 8, 8, false))
}

func (g *generator) branch() {
	b := g.b
	then, otherwise, after := b.F.NewBlock(), b.F.NewBlock(), b.F.NewBlock()
	cond := g.read()
	if g.r.IntN(3) > 0 {
		cond = g.compare(cond)
	} else if g.r.IntN(2) == 0 {
		cond = b.Binary(OpAnd, cond, b.Const(int64(g.r.IntN(100))))
	}
	g.deep++
	b.If(cond, then, otherwise, int64(g.r.IntN(3)-1))
	then.Seal()
	otherwise.Seal()
	b.At(then)
	g.statements()
	b.Jump(after)
	b.At(otherwise)
	if g.r.IntN(2) == 0 {
		g.statements()
	}
	if g.r.IntN(10) == 0 {
		x := g.read()
		if b.F.Callback { // returns 0 or 1
			x = g.compare(x)
		}
		b.Return(x)
	} else {
		b.Jump(after)
	}
	after.Seal()
	b.At(after)
	g.deep--
}

func (g *generator) loop() {
	b := g.b
	count := &Var{Name: "count", Type: Scalar}
	b.Write(count, b.Const(0))
	head, body, after := b.F.NewBlock(), b.F.NewBlock(), b.F.NewBlock()
	b.Jump(head)
	b.At(head)
	limit := b.Const(int64(1 + g.r.IntN(4)))
	b.If(b.Binary(OpULt, b.Read(count), limit), body, after, 0)
	body.Seal()
	b.At(body)
	g.deep++
	g.statements()
	g.deep--
	if g.r.IntN(3) == 0 {
		next := b.F.NewBlock()
		b.If(g.compare(g.read()), after, next, 0)
		next.Seal()
		b.At(next)
	}
	b.Write(count, b.AddConst(b.Read(count), 1))
	b.Jump(head)
	head.Seal()
	after.Seal()
	b.At(after)
}
