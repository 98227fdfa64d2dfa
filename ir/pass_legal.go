package ir

import (
	"github.com/cilium/ebpf/asm"

	"skep/internal/diag"
)

// legalise replaces operations that the target does not have, and those that no machine has (zero, copy).
func legalise(f *Func, opt *Options) {
	l := &legaliser{f: f, opt: opt, atomics: opt.Target.Supports(FetchAtomics), isaV4: opt.Target.Supports(ISAv4)}
	for _, b := range f.Blocks {
		old := b.Values
		b.Values = make([]*Value, 0, len(old))
		l.b = b
		with := map[*Value]*Value{}
		for _, v := range old {
			l.span = v.Span
			if r := l.value(v); r != nil {
				with[v] = r
			}
		}
		f.replaceAll(with)
	}
}

// wideStores is how many bytes of OpZero and OpCopy are worth a row of stores; above that a helper does it.
const wideStores = 64

type legaliser struct {
	f              *Func
	b              *Block
	opt            *Options
	span           diag.Span
	atomics, isaV4 bool
}

func (l *legaliser) add(op Op, t Type, args ...*Value) *Value {
	v := l.f.newValue(op, t, args...)
	v.Block, v.Span = l.b, l.span
	l.b.Values = append(l.b.Values, v)
	return v
}

func (l *legaliser) op(op Op, args ...*Value) *Value { return l.add(op, Scalar, args...) }

func (l *legaliser) num(n int64) *Value {
	v := l.add(OpConst, Scalar)
	v.Aux = n
	return v
}

func (l *legaliser) load(addr *Value, off int64, size int) *Value {
	v := l.op(OpLoad, addr)
	v.Aux, v.Size = off, size
	return v
}

func (l *legaliser) store(addr *Value, off int64, size int, x *Value) {
	v := l.add(OpStore, Void, addr, x)
	v.Aux, v.Size = off, size
}

// value adds v or what replaces it; it returns what users of v shall use instead, or nil.
func (l *legaliser) value(v *Value) *Value {
	switch v.Op {
	case OpSDiv, OpSMod:
		if !l.isaV4 {
			return l.signedDivision(v)
		}
	case OpAtomicAdd, OpFetchAdd, OpXchg, OpCmpXchg, OpAtomicOr:
		// A slot belongs to one run of the program. Besides, verifiers (6.18) lose track of the old value of an atomic
		// operation on the stack, and take branches on it for decided that are not.
		own := rootOf(v.Args[0]).base.Op == OpSlot
		if own || !l.atomics && v.Op != OpAtomicAdd {
			return l.plain(v, own)
		}
	case OpZero:
		l.zero(v)
		return nil
	case OpCopy:
		l.copy(v)
		return nil
	}
	l.b.Values = append(l.b.Values, v)
	return nil
}

// signedDivision divides the magnitudes and gives the result its sign. x/0 is 0 and x%0 is x in this way too.
func (l *legaliser) signedDivision(v *Value) *Value {
	signX, x := l.magnitude(v.Args[0])
	signY, y := l.magnitude(v.Args[1])
	if v.Op == OpSDiv {
		q := l.op(OpUDiv, x, y)
		sign := signX
		switch {
		case signX.Op == OpConst && signX.Aux == 0:
			sign = signY
		case signY.Op != OpConst || signY.Aux != 0:
			sign = l.op(OpXor, signX, signY)
		}
		return l.withSign(q, sign)
	}
	return l.withSign(l.op(OpUMod, x, y), signX)
}

// magnitude returns the sign of x (0 or -1) and its absolute value.
func (l *legaliser) magnitude(x *Value) (sign, abs *Value) {
	if signBits(x) > 0 && unsignedBits(x) < 64 {
		return l.num(0), x
	}
	if x.Op == OpConst {
		if x.Aux < 0 {
			return l.num(-1), l.num(-x.Aux)
		}
		return l.num(0), x
	}
	sign = l.op(OpSar, x, l.num(63))
	return sign, l.withSign(x, sign)
}

// withSign returns x if sign is 0 and -x if it is -1.
func (l *legaliser) withSign(x, sign *Value) *Value {
	if sign.Op == OpConst && sign.Aux == 0 {
		return x
	}
	return l.op(OpSub, l.op(OpXor, x, sign), sign)
}

// plain does in several steps what old kernels do not have in one. Between the steps another CPU may write, unless the
// memory is the program's own: a count that is only added to stays exact, the old value that is returned may be off.
func (l *legaliser) plain(v *Value, own bool) *Value {
	addr := v.Args[0]
	old := l.load(addr, v.Aux, v.Size)
	switch v.Op {
	case OpAtomicAdd, OpFetchAdd:
		if own {
			l.store(addr, v.Aux, v.Size, l.op(OpAdd, old, v.Args[1]))
			break
		}
		n := l.add(OpAtomicAdd, Void, addr, v.Args[1])
		n.Aux, n.Size = v.Aux, v.Size
	case OpAtomicOr:
		l.store(addr, v.Aux, v.Size, l.op(OpOr, old, v.Args[1]))
	case OpXchg:
		l.store(addr, v.Aux, v.Size, v.Args[1])
	case OpCmpXchg:
		want := v.Args[1]
		if v.Size == 4 {
			want = l.op(OpZExt, want)
			want.Aux = 32
		}
		same := l.op(OpNeg, l.op(OpEq, old, want)) // all bits, or none
		keep := l.op(OpAnd, old, l.op(OpXor, same, l.num(-1)))
		l.store(addr, v.Aux, v.Size, l.op(OpOr, keep, l.op(OpAnd, v.Args[2], same)))
	}
	if v.Type == Void {
		return nil
	}
	return old
}

func (l *legaliser) zero(v *Value) {
	addr, off, n := v.Args[0], v.Aux, v.Aux2
	if n > wideStores && l.opt.ZeroMap != "" {
		for n > 0 {
			part := min(n, int64(l.opt.ZeroSize))
			from := l.add(OpMapValue, Pointer)
			from.Sym = l.opt.ZeroMap
			l.helperCopy(l.pointer(addr, off), from, part)
			off, n = off+part, n-part
		}
		return
	}
	zero := l.num(0)
	l.pieces(addr, addr, off, n, func(off int64, size int) { l.store(addr, off, size, zero) })
}

func (l *legaliser) copy(v *Value) {
	dst, src, n := v.Args[0], v.Args[1], v.Aux2
	if n > wideStores && src.Type != KernelPointer {
		l.helperCopy(dst, src, n)
		return
	}
	l.pieces(dst, src, 0, n, func(off int64, size int) { l.store(dst, off, size, l.load(src, off, size)) })
}

func (l *legaliser) helperCopy(dst, src *Value, n int64) {
	c := l.add(OpCall, Scalar, dst, l.num(n), src)
	c.Aux = int64(asm.FnProbeReadKernel)
}

func (l *legaliser) pointer(addr *Value, off int64) *Value {
	if off == 0 {
		return addr
	}
	t := addr.Type
	if t == MaybeNull {
		t = Pointer
	}
	return l.add(OpAdd, t, addr, l.num(off))
}

// pieces splits n bytes into accesses that are as wide as the alignment of both addresses allows.
func (l *legaliser) pieces(a, b *Value, off, n int64, each func(off int64, size int)) {
	for n > 0 {
		size := int64(8)
		for size > n || !aligned(a, off, size) || !aligned(b, off, size) {
			size /= 2
		}
		each(off, int(size))
		off, n = off+size, n-size
	}
}

// aligned reports whether addr+off is a multiple of size, as far as the verifier asks for it: all memory but slots starts
// at a multiple of 8.
func aligned(addr *Value, off, size int64) bool {
	r := rootOf(addr)
	if !r.exact {
		return size == 1 || r.base.Op != OpSlot && r.base.Op != OpParam
	}
	if r.base.Op == OpSlot && size > int64(r.base.Slot.alignment()) {
		return false
	}
	return (r.off+off)%size == 0
}
