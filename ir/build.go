package ir

import "skep/internal/diag"

// NewModule returns an empty module.
func NewModule(name string) *Module { return &Module{Name: name} }

// NewFunc adds a function with an empty, sealed entry block.
func (m *Module) NewFunc(name string, params ...Type) *Func {
	f := &Func{Name: name, Module: m, Params: params}
	m.Funcs = append(m.Funcs, f)
	f.NewBlock().Seal()
	return f
}

// NewBlock adds an empty block. It must be sealed with Seal when all its predecessors are known.
func (f *Func) NewBlock() *Block {
	b := &Block{ID: f.nextBlock, Func: f}
	f.nextBlock++
	f.Blocks = append(f.Blocks, b)
	return b
}

// NewSlot adds memory to the function.
func (f *Func) NewSlot(name string, size, align int, where Where) *Slot {
	s := &Slot{Name: name, Size: size, Align: align, Where: where, index: len(f.Slots)}
	f.Slots = append(f.Slots, s)
	return s
}

func (f *Func) newValue(op Op, t Type, args ...*Value) *Value {
	v := &Value{ID: f.nextValue, Op: op, Type: t, Args: args}
	f.nextValue++
	return v
}

// Builder adds values to the end of its current block.
type Builder struct {
	F    *Func
	B    *Block
	Span diag.Span // given to every new value
	// Called, if not nil, is told of each helper call that Call has added, and may add more behind it.
	Called func(call *Value)
}

// NewBuilder returns a builder at the function's entry.
func NewBuilder(f *Func) *Builder { return &Builder{F: f, B: f.Blocks[0]} }

// Terminated reports whether the current block has its terminator, so that nothing can be added.
func (b *Builder) Terminated() bool {
	n := len(b.B.Values)
	return n > 0 && b.B.Values[n-1].Op >= OpJump
}

// Add appends a value. The more special methods below are easier to read.
func (b *Builder) Add(op Op, t Type, args ...*Value) *Value {
	if b.Terminated() {
		panic("ir: value after the end of a block")
	}
	for i, a := range args {
		args[i] = b.F.resolve(a)
	}
	v := b.F.newValue(op, t, args...)
	v.Block, v.Span = b.B, b.Span
	b.B.Values = append(b.B.Values, v)
	return v
}

// Const returns a constant.
func (b *Builder) Const(n int64) *Value {
	v := b.Add(OpConst, Scalar)
	v.Aux = n
	return v
}

// Param returns parameter i.
func (b *Builder) Param(i int) *Value {
	v := b.Add(OpParam, b.F.Params[i])
	v.Aux = int64(i)
	return v
}

// Binary adds an arithmetic operation or comparison. A pointer plus or minus a scalar is a pointer.
func (b *Builder) Binary(op Op, x, y *Value) *Value {
	if op == OpAdd && x.Type == Scalar && y.Type.pointer() {
		x, y = y, x
	}
	t := Scalar
	if (op == OpAdd || op == OpSub) && x.Type.pointer() && y.Type == Scalar {
		t = x.Type
		if t == MaybeNull {
			t = Pointer
		}
	}
	return b.Add(op, t, x, y)
}

// AddConst returns x+n, with x's type.
func (b *Builder) AddConst(x *Value, n int64) *Value {
	if n == 0 {
		return x
	}
	return b.Binary(OpAdd, x, b.Const(n))
}

// Ext adds OpZExt, OpSExt or OpSwap of the low bits.
func (b *Builder) Ext(op Op, x *Value, bits int) *Value {
	v := b.Add(op, Scalar, x)
	v.Aux = int64(bits)
	return v
}

// Bound limits x to [0, max]: see OpBound.
func (b *Builder) Bound(x *Value, max int64, clamp bool) *Value {
	v := b.Add(OpBound, Scalar, x)
	v.Aux = max
	if clamp {
		v.Sym = "clamp"
	}
	return v
}

// Load reads size bytes at addr+off, sign-extended if signed.
func (b *Builder) Load(addr *Value, off int64, size int, signed bool) *Value {
	op := OpLoad
	if signed {
		op = OpLoadS
	}
	v := b.Add(op, Scalar, addr)
	v.Aux, v.Size = off, size
	return v
}

// LoadPointer reads a BTF-typed pointer at addr+off from the context or through a KernelPointer.
func (b *Builder) LoadPointer(addr *Value, off int64) *Value {
	v := b.Load(addr, off, 8, false)
	v.Type = KernelPointer
	return v
}

// Store writes the low size bytes of x at addr+off.
func (b *Builder) Store(addr *Value, off int64, size int, x *Value) {
	v := b.Add(OpStore, Void, addr, x)
	v.Aux, v.Size = off, size
}

// Zero clears n bytes at addr+off.
func (b *Builder) Zero(addr *Value, off, n int64) {
	v := b.Add(OpZero, Void, addr)
	v.Aux, v.Aux2 = off, n
}

// Copy copies n bytes from src to dst; both must be Pointers with known offsets.
func (b *Builder) Copy(dst, src *Value, n int64) {
	v := b.Add(OpCopy, Void, dst, src)
	v.Aux2 = n
}

// Atomic adds OpAtomicAdd, OpFetchAdd, OpAtomicOr, OpXchg or OpCmpXchg of size bytes (4 or 8) at addr+off.
func (b *Builder) Atomic(op Op, addr *Value, off int64, size int, args ...*Value) *Value {
	t := Scalar
	if op == OpAtomicAdd || op == OpAtomicOr {
		t = Void
	}
	v := b.Add(op, t, append([]*Value{addr}, args...)...)
	v.Aux, v.Size = off, size
	return v
}

// SlotAddr returns the address of a slot.
func (b *Builder) SlotAddr(s *Slot) *Value {
	v := b.Add(OpSlot, Pointer)
	v.Slot = s
	return v
}

// Map returns a handle of the collection's map, for helpers.
func (b *Builder) Map(name string) *Value {
	v := b.Add(OpMap, MapHandle)
	v.Sym = name
	return v
}

// MapValue returns the address of byte off in the value of the one-element array map.
func (b *Builder) MapValue(name string, off int64) *Value {
	v := b.Add(OpMapValue, Pointer)
	v.Sym, v.Aux = name, off
	return v
}

// FuncAddr returns a handle of a function of the module, for helpers that take a callback.
func (b *Builder) FuncAddr(f *Func) *Value {
	v := b.Add(OpFuncAddr, FuncHandle)
	v.Sym = f.Name
	return v
}

// Call calls the helper of that number (asm.FnKtimeGetNs, …). t is the type of its result.
func (b *Builder) Call(helper int64, t Type, flags int64, args ...*Value) *Value {
	v := b.Add(OpCall, t, args...)
	v.Aux, v.Aux2 = helper, flags
	if b.Called != nil {
		b.Called(v)
	}
	return v
}

// CallFunc calls a function of the module.
func (b *Builder) CallFunc(f *Func, args ...*Value) *Value {
	v := b.Add(OpCallFunc, Scalar, args...)
	v.Sym = f.Name
	return v
}

// Jump ends the block.
func (b *Builder) Jump(to *Block) {
	b.Add(OpJump, Void)
	b.B.link(to)
}

// If ends the block: to then if cond is not zero, else to otherwise. likely is one of the Likely constants.
func (b *Builder) If(cond *Value, then, otherwise *Block, likely int64) {
	v := b.Add(OpIf, Void, cond)
	v.Aux = likely
	b.B.link(then)
	b.B.link(otherwise)
}

// Return ends the block and the function; x may be nil for 0.
func (b *Builder) Return(x *Value) {
	if x == nil {
		b.Add(OpReturn, Void)
		return
	}
	b.Add(OpReturn, Void, x)
}

func (b *Block) link(to *Block) {
	if to.sealed {
		panic("ir: new predecessor of a sealed block")
	}
	b.Succs = append(b.Succs, to)
	to.Preds = append(to.Preds, b)
}

// At continues building at the end of block to.
func (b *Builder) At(to *Block) { b.B = to }
