package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
)

// maxArgv is how many words argv() reads; three dots stand for those behind.
const maxArgv = 128

// argvCall is argv() where its words would have to be kept.
func argvCall(f *fn, x *check.Call) operand {
	f.fail(x.Span, "argv() can only be printed")
	return operand{}
}

// appendArgv appends the words that an array of pointers points to, each with its NUL, to a record.
func (f *fn) appendArgv(t *tail, lengthAt int64, limit int, x *check.Call) {
	const (
		longest = 4096 // of a word
		room    = 8192 // in which a word may begin; the record has as much again behind it
	)
	array := f.stringAt(x.Args[0])
	word := f.slot("word", 8, 8)
	dst := t.addr(f)
	off, i := &ir.Var{Name: "off", Type: ir.Scalar}, &ir.Var{Name: "i", Type: ir.Scalar}
	f.b.Write(off, f.b.Const(0))
	f.b.Write(i, f.b.Const(0))
	at := &ir.Var{Name: "at", Type: ir.Scalar}
	first := f.value(x.Args[1])
	f.b.Write(at, f.b.Binary(ir.OpAdd, f.address(array), f.b.Binary(ir.OpMul, first, f.b.Const(8))))

	head, body, cut, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.enterLoop()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(i), f.b.Const(maxArgv)), body, cut, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	f.b.Write(i, f.b.AddConst(f.b.Read(i), 1))
	f.readBytes(word, f.b.Const(8), place{space: array.space, base: f.b.Read(at)})
	f.b.Write(at, f.b.AddConst(f.b.Read(at), 8))
	pointer := f.b.Load(word, 0, 8, false)
	f.branch(pointer, nil, end, ir.LikelyThen)
	to := f.b.Binary(ir.OpAdd, dst, f.b.Bound(f.b.Read(off), room-1, false))
	n := f.readString(to, f.b.Const(longest), place{space: array.space, base: pointer})
	f.ifElse(f.b.Binary(ir.OpSLt, f.b.Const(0), n), ir.LikelyThen, func() {
		f.b.Write(off, f.b.Binary(ir.OpAdd, f.b.Read(off), n))
	}, func() {
		f.b.Store(to, 0, 1, f.b.Const(0)) // a word that cannot be read
		f.b.Write(off, f.b.AddConst(f.b.Read(off), 1))
	})
	f.b.If(f.b.Binary(ir.OpULe, f.b.Read(off), f.b.Const(int64(limit))), head, end, ir.LikelyThen)
	head.Seal()
	cut.Seal()
	f.b.At(cut)
	dots := f.b.Binary(ir.OpAdd, dst, f.b.Bound(f.b.Read(off), room-1, false))
	for i, b := range []byte("...\x00") {
		f.b.Store(dots, int64(i), 1, f.b.Const(int64(b)))
	}
	f.b.Write(off, f.b.AddConst(f.b.Read(off), 4))
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	length := f.b.Bound(f.b.Read(off), int64(limit), true)
	f.b.Store(t.rec, lengthAt, 4, length)
	t.grow(f, length, int64(roomFor(limit)-1))
}
