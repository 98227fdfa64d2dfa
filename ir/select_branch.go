package ir

import (
	"math"

	"github.com/cilium/ebpf/asm"
)

// comparison is a condition of two registers, or of one and imm if b is noReg.
type comparison struct {
	cond   asm.JumpOp
	a, b   reg
	imm    int64
	narrow bool
	number bool // see inst.number
}

// number reports whether the verifier takes v for a number when it has been compared with one. What is read from a
// context or through a typed pointer may be a typed pointer itself, which stays one even where it is 0.
func number(v *Value, depth int) bool {
	switch {
	case v.Type == MaybeNull:
		return v.Op == OpCall
	case v.Type != Scalar, depth == 0:
		return false
	case v.Op == OpLoad && v.Size == 8:
		base := rootOf(v.Args[0]).base
		return base.Op != OpParam && base.Type != KernelPointer
	case v.Op == OpParam:
		return false
	case v.Op == OpPhi, v.Op == OpAdd, v.Op == OpSub:
		for _, a := range v.Args {
			if !number(a, depth-1) {
				return false
			}
		}
	}
	return true
}

var jumpOps = [...]asm.JumpOp{OpEq: asm.JEq, OpNe: asm.JNE, OpULt: asm.JLT, OpULe: asm.JLE, OpSLt: asm.JSLT, OpSLe: asm.JSLE}

func swapped(c asm.JumpOp) asm.JumpOp {
	switch c {
	case asm.JLT:
		return asm.JGT
	case asm.JLE:
		return asm.JGE
	case asm.JSLT:
		return asm.JSGT
	case asm.JSLE:
		return asm.JSGE
	}
	return c
}

// inverted returns the condition that holds when c does not; JSet has none.
func inverted(c asm.JumpOp) asm.JumpOp {
	switch c {
	case asm.JEq:
		return asm.JNE
	case asm.JNE:
		return asm.JEq
	case asm.JLT:
		return asm.JGE
	case asm.JLE:
		return asm.JGT
	case asm.JGT:
		return asm.JLE
	case asm.JGE:
		return asm.JLT
	case asm.JSLT:
		return asm.JSGE
	case asm.JSLE:
		return asm.JSGT
	case asm.JSGT:
		return asm.JSLE
	case asm.JSGE:
		return asm.JSLT
	}
	return asm.InvalidJumpOp
}

func (s *selector) comparison(v *Value) comparison {
	a, b := v.Args[0], v.Args[1]
	c := comparison{cond: jumpOps[v.Op], b: noReg}
	if a.Op == OpConst && b.Op != OpConst {
		a, b = b, a
		c.cond = swapped(c.cond)
	}
	if v.Op != OpSLt && v.Op != OpSLe {
		na, oka := s.lowHalf(a)
		nb, okb := s.lowHalf(b)
		if oka && okb {
			a, b, c.narrow = na, nb, true
		}
	}
	c.a, c.number = s.want(a), number(a, 3)
	if b.Op == OpConst && (fits32(b.Aux) || c.narrow) {
		c.imm = int64(int32(b.Aux))
		return c
	}
	c.b = s.want(b)
	return c
}

// lowHalf returns a value whose low half is all of v, if that saves the zero extension.
func (s *selector) lowHalf(v *Value) (*Value, bool) {
	if v.Op == OpConst {
		return v, v.Aux >= 0 && v.Aux <= math.MaxUint32
	}
	if v.Op == OpZExt && v.Aux == 32 && !s.wanted[v.ID] && v.Args[0].Type == Scalar {
		return v.Args[0], true
	}
	return nil, false
}

func (s *selector) terminator(v *Value, mb *block) {
	switch v.Op {
	case OpReturn:
		if len(v.Args) == 0 {
			s.emit(inst{op: mMovImm, dst: 0})
		} else {
			s.into(0, v.Args[0])
		}
		s.emit(inst{op: mExit})
	case OpJump:
		s.emit(inst{op: mJump})
	case OpIf:
		mb.likely = v.Aux
		s.branch(v.Args[0], mb)
	}
}

func (s *selector) branch(cond *Value, mb *block) {
	invert := false
	for (cond.Op == OpEq || cond.Op == OpNe) && cond.Args[1].isConst(0) && (cond.Args[0].Op.compare() || cond.Args[0].Op == OpAnd) {
		invert = invert != (cond.Op == OpEq)
		cond = cond.Args[0]
	}
	c := comparison{}
	switch {
	case cond.Op.compare():
		c = s.comparison(cond)
	case cond.Op == OpAnd && !s.wanted[cond.ID] && cond.Args[0].Op != OpConst:
		c = comparison{cond: asm.JSet, b: noReg, a: s.want(cond.Args[0])}
		if m := cond.Args[1]; m.Op == OpConst && fits32(m.Aux) {
			c.imm = m.Aux
		} else {
			c.b = s.want(m)
		}
	default:
		c = comparison{cond: asm.JNE, a: s.want(cond), b: noReg, number: number(cond, 3)}
	}
	if invert {
		if c.cond != asm.JSet {
			c.cond = inverted(c.cond)
		} else {
			mb.succs[0], mb.succs[1] = mb.succs[1], mb.succs[0]
			mb.likely = -mb.likely
		}
	}
	s.emit(inst{op: mBranch, cond: c.cond, src: c.a, src2: c.b, imm: c.imm, narrow: c.narrow, number: c.number})
}

// phiMoves gives the phis of the successors their values, as if all at once.
func (s *selector) phiMoves(b *Block) {
	for _, to := range b.Succs {
		at := to.predIndex(b)
		var moves []phiMove
		var leaves []phiMove
		for _, phi := range to.Values {
			if phi.Op != OpPhi {
				continue
			}
			s.wanted[phi.ID] = true
			m := phiMove{dst: s.regs[phi.ID], from: phi.Args[at]}
			s.span = phi.Span
			if cheap(m.from) {
				leaves = append(leaves, m)
			} else if m.src = s.want(m.from); m.src != m.dst {
				moves = append(moves, m)
			}
		}
		s.parallel(moves)
		for _, m := range leaves {
			s.leaf(m.dst, m.from)
		}
	}
}

type phiMove struct {
	dst, src reg
	from     *Value
}

func (s *selector) parallel(moves []phiMove) {
	for len(moves) > 0 {
		ready := -1
		for i, m := range moves {
			blocked := false
			for j, o := range moves {
				blocked = blocked || j != i && o.src == m.dst
			}
			if !blocked {
				ready = i
				break
			}
		}
		if ready < 0 { // a circle: one of its values steps aside
			t := s.mf.newReg()
			s.emit(inst{op: mMov, dst: t, src: moves[0].src})
			moves[0].src = t
			continue
		}
		s.emit(inst{op: mMov, dst: moves[ready].dst, src: moves[ready].src})
		moves = append(moves[:ready:ready], moves[ready+1:]...)
	}
}
