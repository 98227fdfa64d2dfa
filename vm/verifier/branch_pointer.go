package verifier

import "github.com/cilium/ebpf"

// maxPacketOffset is how far into a packet offsets are followed.
const maxPacketOffset = 0xffff

// pastEnd are the ranges of packet pointers that were compared with the end without leaving room: at it, or beyond.
const (
	atEnd     = -1
	beyondEnd = -2
)

// decidePacket decides comparisons of a packet pointer with the end, where an earlier one tells.
func decidePacket(a, b *reg, op uint8) int {
	p := a
	switch {
	case a.kind == ptrPacketEnd:
		p, op = b, flip(op)
	case b.kind != ptrPacketEnd:
		return -1
	}
	if p.size >= 0 {
		return -1
	}
	// p is at the end, or beyond it.
	switch op {
	case jLE, jGT:
		if p.size == beyondEnd {
			if op == jGT {
				return 1
			}
			return 0
		}
	case jLT, jGE:
		if p.size == beyondEnd || p.size == atEnd {
			if op == jGE {
				return 1
			}
			return 0
		}
	}
	return -1
}

// learnNull learns from comparisons of pointers with 0, or with pointers that are not 0.
func (v *verifier) learnNull(in insn, d, s *reg, other *state, is32 bool) {
	op := in.op()
	if is32 || op != jEQ && op != jNE {
		return
	}
	if in.fromReg() && s.isPointer() && d.isPointer() && v.rules.kernel >= linux(6, 2) {
		if s.nullable() != d.nullable() && s.kind != ptrBTF && d.kind != ptrBTF {
			equal := &v.cur.frame().regs
			if op == jEQ {
				equal = &other.frame().regs
			}
			r := in.Dst()
			if s.nullable() {
				r = in.Src()
			}
			markNotNull(&equal[r])
		}
		return
	}
	if !in.fromReg() && in.Imm == 0 && d.nullable() {
		r := in.Dst()
		v.settleNull(v.cur, r, op == jNE)
		v.settleNull(other, r, op == jEQ)
	}
}

func markNotNull(r *reg) {
	r.flags &^= maybeNull
	if r.kind == ptrMapValue {
		settleMapValue(r)
	}
}

// settleNull makes all copies of the pointer what the branch says that they are: null, or not.
func (v *verifier) settleNull(s *state, regno uint8, null bool) {
	r := s.frame().regs[regno]
	id, ref := r.id, r.ref
	if ref != 0 && ref == id && null {
		// Nothing was acquired.
		s.release(ref)
	}
	s.each(func(r *reg) {
		if !r.nullable() || r.id != id {
			return
		}
		if r.smin != 0 || r.smax != 0 || r.bits != (tnum{}) || r.off != 0 && r.flags&allocated == 0 {
			if null {
				return
			}
		}
		if null {
			life := r.life
			*r = reg{kind: scalar, life: life}
			r.setBounds(0)
			return
		}
		markNotNull(r)
		if !v.mayHoldLock(r) {
			r.id = 0
		}
	})
}

// settleMapValue makes of the value of a map of maps the map that it is.
func settleMapValue(r *reg) {
	switch r.mp.spec.Type {
	case ebpf.SockMap, ebpf.SockHash:
		r.kind, r.mp, r.uid = ptrSocket, nil, 0
		return
	case ebpf.XSKMap:
		r.kind, r.mp, r.uid = ptrXDPSock, nil, 0
		return
	}
	if r.mp.inner == nil {
		return
	}
	r.kind = constMap
	r.mp = r.mp.inner
	r.uid = 0
	if r.mp.fields != nil && len(r.mp.fields.timers) > 0 {
		r.uid = r.id
	}
}

// mayHoldLock reports whether the pointer's id tells which lock is meant.
func (v *verifier) mayHoldLock(r *reg) bool {
	f := v.fieldsAt(r)
	return f != nil && len(f.locks)+len(f.failing) > 0
}

// learnPacket learns from a comparison of a packet pointer with the packet's end how many bytes may be accessed.
func (v *verifier) learnPacket(in insn, d, s *reg, other *state) {
	end := func(p, e *reg) bool {
		return p.kind == ptrPacket && e.kind == ptrPacketEnd || p.kind == ptrPacketMeta && e.kind == ptrPacket && e.beginsPacket()
	}
	var pointer *reg
	op := in.op()
	switch {
	case end(d, s):
		pointer = d
	case end(s, d):
		pointer, op = s, flip(op)
	default:
		return
	}
	at := in.Dst()
	if pointer == s {
		at = in.Src()
	}
	p := *pointer
	switch op {
	case jGT: // the false branch has p <= end
		findPacket(v.cur, &p, false)
		markPast(other, at, true)
	case jLT: // the true branch has p < end
		findPacket(other, &p, true)
		markPast(v.cur, at, false)
	case jGE:
		findPacket(v.cur, &p, true)
		markPast(other, at, false)
	case jLE:
		findPacket(other, &p, false)
		markPast(v.cur, at, true)
	}
}

func (r *reg) beginsPacket() bool {
	return r.kind == ptrPacket && r.id == 0 && r.off == 0 && r.bits == tnum{}
}

// findPacket gives all pointers that differ from p by constants the range that p proves. With open, p itself is inside.
func findPacket(s *state, p *reg, open bool) {
	if p.off < 0 || p.off == 0 && open {
		return
	}
	if p.umax > maxPacketOffset || p.umax+uint64(p.off) > maxPacketOffset {
		return
	}
	n := p.off
	if open {
		n++
	}
	s.each(func(r *reg) {
		if r.kind == p.kind && r.id == p.id {
			r.size = max(r.size, n)
		}
	})
}

// markPast remembers that the pointer is at the packet's end or beyond.
func markPast(s *state, at uint8, open bool) {
	r := &s.frame().regs[at]
	if r.kind != ptrPacket {
		return
	}
	if open {
		r.size = beyondEnd
	} else {
		r.size = atEnd
	}
}
