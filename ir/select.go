package ir

import (
	"github.com/cilium/ebpf/asm"

	"skep/internal/diag"
)

// Instruction selection: each block is walked backwards, so that a value is made only if an instruction behind it wants it
// in a register. Constants, addresses of slots and map handles are made where they are used.

type selector struct {
	f      *Func
	mf     *machineFunc
	target *Target
	blocks []*block
	regs   []reg  // by value ID
	wanted []bool // an instruction further down needs the value in its register
	uses   []int
	out    []inst // of the value at hand, in order
	span   diag.Span
	isaV4  bool
}

func selectFunc(f *Func, target *Target, stack int) *machineFunc {
	g := newGraph(f)
	s := &selector{
		f: f, target: target, uses: f.useCounts(), isaV4: target.Supports(ISAv4),
		mf:     &machineFunc{name: f.Name, next: firstVirtual, stack: stack, slots: stack, bound: map[reg]inst{}},
		regs:   make([]reg, f.nextValue),
		wanted: make([]bool, f.nextValue),
		blocks: make([]*block, f.nextBlock),
	}
	for _, b := range g.order {
		mb := &block{loops: g.loops[b.ID]}
		s.blocks[b.ID] = mb
		s.mf.blocks = append(s.mf.blocks, mb)
		for _, v := range b.Values {
			s.regs[v.ID] = s.mf.newReg()
		}
	}
	for i := len(g.order) - 1; i >= 0; i-- {
		s.block(g.order[i])
	}
	return s.mf
}

func (s *selector) block(b *Block) {
	mb := s.blocks[b.ID]
	for _, x := range b.Succs {
		mb.succs = append(mb.succs, s.blocks[x.ID])
		s.blocks[x.ID].preds = append(s.blocks[x.ID].preds, mb)
	}
	var parts [][]inst
	add := func() {
		parts = append(parts, s.out)
		s.out = nil
	}
	s.span = b.end().Span
	s.terminator(b.end(), mb)
	add()
	s.phiMoves(b)
	add()
	for i := len(b.Values) - 2; i >= 0; i-- {
		v := b.Values[i]
		if v.Op == OpPhi || v.leaf() || v.Op == OpParam || !v.effect() && !s.wanted[v.ID] {
			continue
		}
		s.span = v.Span
		s.value(v)
		add()
	}
	if b == s.f.Blocks[0] {
		for _, v := range b.Values {
			if v.Op == OpParam && s.wanted[v.ID] {
				s.emit(inst{op: mMov, dst: s.regs[v.ID], src: reg(v.Aux) + 1})
			}
		}
		add()
	}
	for i := len(parts) - 1; i >= 0; i-- {
		mb.insts = append(mb.insts, parts[i]...)
	}
}

func (s *selector) emit(i inst) {
	if i.op != mSet && i.op != mBranch {
		i.src2 = noReg
	}
	i.span = s.span
	s.out = append(s.out, i)
}

func fits32(n int64) bool { return n == int64(int32(n)) }
func fits16(n int64) bool { return n == int64(int16(n)) }

// cheap reports whether v is made where it is used instead of being kept: leaves, and addresses inside of stack slots.
func cheap(v *Value) bool {
	if v.leaf() {
		return true
	}
	if v.Op != OpAdd || !v.Type.pointer() {
		return false
	}
	r := rootOf(v)
	return r.exact && r.base.Op == OpSlot
}

// want returns the register of v.
func (s *selector) want(v *Value) reg {
	if cheap(v) {
		r := s.mf.newReg()
		s.leaf(r, v)
		return r
	}
	s.wanted[v.ID] = true
	return s.regs[v.ID]
}

// into puts v in dst.
func (s *selector) into(dst reg, v *Value) {
	if cheap(v) {
		s.leaf(dst, v)
		return
	}
	s.emit(inst{op: mMov, dst: dst, src: s.want(v)})
}

func (s *selector) leaf(dst reg, v *Value) {
	switch v.Op {
	case OpConst:
		s.emit(inst{op: mMovImm, dst: dst, imm: v.Aux})
	case OpSlot, OpAdd:
		r := rootOf(v)
		s.emit(inst{op: mFrame, dst: dst, imm: int64(r.base.Slot.offset) + r.off})
	case OpMap:
		s.emit(inst{op: mMap, dst: dst, sym: v.Sym})
	case OpMapValue:
		s.emit(inst{op: mMapValue, dst: dst, sym: v.Sym, imm: v.Aux})
	case OpFuncAddr:
		s.emit(inst{op: mFunc, dst: dst, sym: v.Sym})
	}
}

// address returns base and offset of v+off.
func (s *selector) address(v *Value, off int64) (reg, int64) {
	for (v.Op == OpAdd || v.Op == OpSub) && v.Args[1].Op == OpConst {
		n := v.Args[1].Aux
		if v.Op == OpSub {
			n = -n
		}
		if !fits16(off + n) {
			break
		}
		off += n
		v = v.Args[0]
	}
	switch v.Op {
	case OpSlot:
		return frameReg, int64(v.Slot.offset) + off
	case OpMapValue:
		// The same base for all small offsets, so that it can be shared.
		base, n := int64(0), v.Aux+off
		if n < 0 || !fits16(n) {
			base, n = n, 0
		}
		r := s.mf.newReg()
		s.emit(inst{op: mMapValue, dst: r, sym: v.Sym, imm: base})
		return r, n
	}
	base := s.want(v)
	if !fits16(off) {
		r := s.mf.newReg()
		s.emit(inst{op: mMov, dst: r, src: base})
		s.emit(inst{op: mALUImm, alu: asm.Add, dst: r, imm: off})
		return r, 0
	}
	return base, off
}

func (s *selector) value(v *Value) {
	dst := s.regs[v.ID]
	switch {
	case v.Op.binary():
		s.binary(dst, v, false)
		return
	case v.Op.compare():
		s.set(dst, v, 1)
		return
	}
	switch v.Op {
	case OpNeg:
		if s.setOnly(v.Args[0]) {
			s.set(dst, v.Args[0], -1)
			return
		}
		s.into(dst, v.Args[0])
		s.emit(inst{op: mNeg, dst: dst})
	case OpZExt:
		s.zeroExtend(dst, v)
	case OpSExt:
		s.signExtend(dst, v.Args[0], v.Aux)
	case OpSwap:
		s.into(dst, v.Args[0])
		s.emit(inst{op: mSwap, dst: dst, imm: v.Aux})
	case OpBound:
		s.bound(dst, v)
	case OpLoad:
		base, off := s.address(v.Args[0], v.Aux)
		s.emit(inst{op: mLoad, dst: dst, src: base, off: off, size: v.Size})
	case OpLoadS:
		base, off := s.address(v.Args[0], v.Aux)
		if s.isaV4 && v.Size < 8 {
			s.emit(inst{op: mLoadSX, dst: dst, src: base, off: off, size: v.Size})
			return
		}
		s.emit(inst{op: mLoad, dst: dst, src: base, off: off, size: v.Size})
		if v.Size < 8 {
			s.shiftPair(dst, 64-8*int64(v.Size), asm.ArSh)
		}
	case OpStore:
		s.store(v)
	case OpAtomicAdd, OpAtomicOr, OpFetchAdd, OpXchg, OpCmpXchg:
		s.atomic(v)
	case OpCall, OpCallFunc:
		s.call(v)
	default:
		panic("ir: no instruction for " + v.text())
	}
}

// set makes value or 0 of a comparison.
func (s *selector) set(dst reg, v *Value, value int64) {
	c := s.comparison(v)
	s.emit(inst{op: mSet, dst: dst, cond: c.cond, src: c.a, src2: c.b, imm: c.imm, narrow: c.narrow, value: value})
}

// setOnly reports whether v is a comparison that only one value uses, so that it can be made in the form that this wants.
func (s *selector) setOnly(v *Value) bool { return v.Op.compare() && s.uses[v.ID] == 1 }

func (s *selector) binary(dst reg, v *Value, narrow bool) {
	a, b := v.Args[0], v.Args[1]
	if v.Op == OpShl && b.Op == OpConst && b.Aux&63 < 31 && s.setOnly(a) {
		s.set(dst, a, 1<<(b.Aux&63))
		return
	}
	if v.Op.commutative() && a.Type == Scalar && b.Type == Scalar {
		swap := a.Op == OpConst
		if b.Op != OpConst && !a.leaf() && !b.leaf() {
			swap = s.wanted[a.ID] && !s.wanted[b.ID] // b ends here, so its register can become the result
		}
		if swap {
			a, b = b, a
		}
	}
	op := aluOps[v.Op]
	if (v.Op == OpUDiv || v.Op == OpUMod) && unsignedBits(a) <= 32 && unsignedBits(b) <= 32 {
		narrow = true // several times as fast on most machines
	}
	if b.Op == OpConst {
		n := b.Aux
		zero := n == 0 && v.Op >= OpUDiv && v.Op <= OpSMod // the verifier does not take it as an immediate
		if v.Op == OpShl || v.Op == OpShr || v.Op == OpSar {
			n &= 63
		}
		if (fits32(n) || narrow) && !zero {
			s.into(dst, a)
			s.emit(inst{op: mALUImm, alu: op, dst: dst, imm: int64(int32(n)), narrow: narrow})
			return
		}
	}
	rb := s.want(b)
	s.into(dst, a)
	s.emit(inst{op: mALU, alu: op, dst: dst, src: rb, narrow: narrow})
}

var aluOps = [...]asm.ALUOp{OpAdd: asm.Add, OpSub: asm.Sub, OpMul: asm.Mul, OpUDiv: asm.Div, OpSDiv: asm.SDiv,
	OpUMod: asm.Mod, OpSMod: asm.SMod, OpAnd: asm.And, OpOr: asm.Or, OpXor: asm.Xor, OpShl: asm.LSh, OpShr: asm.RSh,
	OpSar: asm.ArSh}

// narrowable reports whether the low half of the result depends on the low halves of the operands alone, so that the
// 32-bit instruction, which clears the high half, does the same and a zero extension.
func narrowable(v *Value) bool {
	switch v.Op {
	case OpAdd, OpSub, OpMul, OpAnd, OpOr, OpXor:
		return v.Args[0].Type == Scalar && v.Args[1].Type == Scalar
	case OpShl:
		return v.Args[1].Op == OpConst && uint64(v.Args[1].Aux) < 32
	}
	return false
}

func (s *selector) zeroExtend(dst reg, v *Value) {
	a, n := v.Args[0], v.Aux
	switch {
	case n == 32 && narrowable(a) && s.uses[a.ID] == 1:
		s.binary(dst, a, true)
	case n == 32:
		s.emit(inst{op: mMov32, dst: dst, src: s.want(a)})
	case n < 32:
		s.into(dst, a)
		s.emit(inst{op: mALUImm, alu: asm.And, dst: dst, imm: 1<<n - 1})
	default:
		s.into(dst, a)
		s.shiftPair(dst, 64-n, asm.RSh)
	}
}

func (s *selector) signExtend(dst reg, a *Value, n int64) {
	if s.isaV4 && (n == 8 || n == 16 || n == 32) {
		s.emit(inst{op: mMovSX, dst: dst, src: s.want(a), imm: n})
		return
	}
	s.into(dst, a)
	s.shiftPair(dst, 64-n, asm.ArSh)
}

func (s *selector) shiftPair(dst reg, n int64, back asm.ALUOp) {
	if n > 0 {
		s.emit(inst{op: mALUImm, alu: asm.LSh, dst: dst, imm: n})
		s.emit(inst{op: mALUImm, alu: back, dst: dst, imm: n})
	}
}

func (s *selector) bound(dst reg, v *Value) {
	s.into(dst, v.Args[0])
	i := inst{op: mClamp, dst: dst, imm: v.Aux, src2: noReg}
	if v.Sym == "" {
		i = inst{op: mALUImm, alu: asm.And, dst: dst, imm: v.Aux, src2: noReg}
	}
	s.mf.bound[dst] = i
	s.emit(i)
}

var loadSizes = [...]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}

func (s *selector) store(v *Value) {
	x := v.Args[1]
	if x.Op == OpConst {
		n := x.Aux
		switch v.Size {
		case 1:
			n = int64(int8(n))
		case 2:
			n = int64(int16(n))
		case 4:
			n = int64(int32(n))
		}
		if fits32(n) {
			base, off := s.address(v.Args[0], v.Aux)
			s.emit(inst{op: mStoreImm, dst: base, off: off, size: v.Size, imm: n})
			return
		}
	}
	r := s.want(x)
	base, off := s.address(v.Args[0], v.Aux)
	s.emit(inst{op: mStore, dst: base, off: off, size: v.Size, src: r})
}

func (s *selector) atomic(v *Value) {
	i := inst{op: mAtomic, size: v.Size}
	if v.Op == OpCmpXchg {
		i.op, i.src = mCmpXchg, s.want(v.Args[2])
		i.dst, i.off = s.address(v.Args[0], v.Aux)
		// If they are equal, x86 leaves R0 as it is. The verifier should clear its high half then, but does not see
		// each reader (6.18).
		switch want := v.Args[1]; {
		case v.Size == 8 || want.Op != OpConst && unsignedBits(want) <= 32:
			s.into(0, want)
		case want.Op == OpConst:
			s.emit(inst{op: mMovImm, dst: 0, imm: want.Aux & mask(32)})
		default:
			s.emit(inst{op: mMov32, dst: 0, src: s.want(want)})
		}
		s.emit(i)
		s.emit(inst{op: mMov, dst: s.regs[v.ID], src: 0})
		return
	}
	switch v.Op {
	case OpAtomicAdd:
		i.atomic = asm.AddAtomic
	case OpAtomicOr:
		i.atomic = asm.OrAtomic
	case OpFetchAdd:
		i.atomic = asm.FetchAdd
		if !s.wanted[v.ID] {
			i.atomic = asm.AddAtomic
		}
	case OpXchg:
		i.atomic = asm.Xchg
	}
	if i.fetches() {
		i.dst, i.off = s.address(v.Args[0], v.Aux)
		i.src = s.regs[v.ID]
		s.into(i.src, v.Args[1])
	} else {
		i.src = s.want(v.Args[1])
		i.dst, i.off = s.address(v.Args[0], v.Aux)
	}
	s.emit(i)
}

func (s *selector) call(v *Value) {
	for pass := range 2 { // what has a register first, so that its life may end here
		for i, a := range v.Args {
			if cheap(a) == (pass == 1) {
				s.into(reg(i)+1, a)
			}
		}
	}
	i := inst{op: mCall, imm: v.Aux, nargs: len(v.Args)}
	if v.Op == OpCallFunc {
		i.op, i.sym = mCallFunc, v.Sym
	}
	s.emit(i)
	if s.wanted[v.ID] {
		s.emit(inst{op: mMov, dst: s.regs[v.ID], src: 0})
	}
}
