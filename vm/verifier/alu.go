package verifier

import "math"

func (v *verifier) regs() *[11]reg { return &v.cur.frame().regs }

func (v *verifier) newID() uint32 {
	v.ids++
	return v.ids
}

// read asks that a register has a value.
func (v *verifier) read(r uint8) *reg {
	if r > 10 {
		v.reject("register", "r%d does not exist", r)
	}
	x := &v.regs()[r]
	if x.kind == notInit {
		v.rejectReg(int(r), "uninitialized", "r%d is read but has no value here", r)
	}
	if r != 10 {
		v.markRegRead(x)
	}
	return x
}

// write asks that a register may be written.
func (v *verifier) write(r uint8) *reg {
	if r > 10 {
		v.reject("register", "r%d does not exist", r)
	}
	if r == 10 {
		v.reject("frame pointer", "r10 is read only")
	}
	x := &v.regs()[r]
	x.life.marks |= liveWritten
	return x
}

// linkable gives a number an id before it is copied, so that both learn from each other.
func (v *verifier) linkable(src *reg) {
	if src.kind != scalar {
		return
	}
	if src.id&idDelta != 0 {
		src.id, src.off = 0, 0
	}
	if src.id == 0 && !(v.rules.spillIDs && src.bits.isConst()) {
		src.id = v.newID()
	}
}

func (v *verifier) alu(in insn) {
	switch in.op() {
	case opEND, opNEG:
		v.unary(in)
	case opMOV:
		v.move(in)
	default:
		v.binary(in)
	}
	v.keepSane(&v.regs()[in.Dst()])
}

// keepSane forgets a value about which different things are known, on a path that cannot be taken.
func (v *verifier) keepSane(r *reg) {
	if v.rules.mixedBounds && r.kind != notInit && !r.sane() {
		r.unbounded()
	}
}

func (v *verifier) unary(in insn) {
	is64 := in.class() == classALU64
	if in.op() == opNEG {
		if in.Src() != 0 || in.Off != 0 || in.Imm != 0 {
			v.reject("opcode", "the negation uses reserved fields")
		}
	} else if in.Off != 0 || in.Imm != 16 && in.Imm != 32 && in.Imm != 64 || is64 && in.fromReg() || in.Src() != 0 {
		v.reject("opcode", "the byte swap uses reserved fields")
	}
	v.read(in.Dst())
	d := v.write(in.Dst())
	if in.op() == opNEG && v.rules.negRange && d.kind == scalar {
		v.arith(in, d, d)
		return
	}
	if in.op() == opEND && v.rules.swapBits && d.kind == scalar {
		d.swap(int(in.Imm), is64 || in.fromReg(), v.rules)
		return
	}
	d.setUnknown()
}

func (v *verifier) move(in insn) {
	is64 := in.class() == classALU64
	if in.fromReg() {
		ok := in.Off == 0 || v.rules.isaV4 && (in.Off == 8 || in.Off == 16 || in.Off == 32 && is64)
		if in.Off == 1 && is64 && v.rules.arenas {
			v.castSpace(in)
			return
		}
		if !ok || in.Imm != 0 {
			v.reject("opcode", "the move uses reserved fields")
		}
		v.read(in.Src())
	} else if in.Src() != 0 || in.Off != 0 {
		v.reject("opcode", "the move uses reserved fields")
	}
	d := v.write(in.Dst())
	if !in.fromReg() {
		if is64 {
			d.setNumber(uint64(int64(in.Imm)))
		} else {
			d.setNumber(uint64(uint32(in.Imm)))
		}
		return
	}
	s := &v.regs()[in.Src()]
	copyReg := func(keepID bool) {
		if keepID {
			v.linkable(s)
		}
		life := d.life
		*d = *s
		d.life = life
		if !keepID {
			d.id = 0
		}
	}
	switch {
	case is64 && in.Off == 0:
		copyReg(true)
	case s.kind != scalar:
		d.setUnknown()
		if !is64 {
			d.zext(v.rules)
			d.sync(v.rules)
		}
	case in.Off != 0:
		same := s.umax < 1<<(in.Off-1)
		copyReg(same)
		if is64 {
			d.coerceSigned(int(in.Off/8), v.rules)
		} else {
			d.coerceSigned32(int(in.Off / 8))
			d.zext(v.rules)
			d.sync(v.rules)
		}
	default:
		copyReg(v.rules.spillIDs && s.width() <= 32)
		d.zext(v.rules)
		d.sync(v.rules)
	}
}

func (v *verifier) binary(in insn) {
	is64 := in.class() == classALU64
	signed := v.rules.isaV4 && in.Off == 1 && (in.op() == opDIV || in.op() == opMOD)
	if in.Off != 0 && !signed || in.fromReg() && in.Imm != 0 || !in.fromReg() && in.Src() != 0 {
		v.reject("opcode", "the operation uses reserved fields")
	}
	if in.fromReg() {
		v.read(in.Src())
	}
	v.read(in.Dst())
	if !in.fromReg() {
		switch in.op() {
		case opDIV, opMOD:
			if in.Imm == 0 {
				v.reject("division", "division by zero")
			}
		case opLSH, opRSH, opARSH:
			if width := int32(64); in.Imm < 0 || in.Imm >= width || !is64 && in.Imm >= 32 {
				v.reject("shift", "shift by %d bits", in.Imm)
			}
		}
	}
	d := v.write(in.Dst())
	if d.kind == ptrArena {
		return // whatever is done with it, it leads into the arena
	}
	var k reg
	s := &k
	if in.fromReg() {
		s = &v.regs()[in.Src()]
		switch {
		case s.isPointer() && d.isPointer():
			if in.op() != opSUB {
				v.rejectReg(int(in.Dst()), "pointer arithmetic", "r%d and r%d are both pointers: they can be subtracted only", in.Dst(), in.Src())
			}
			d.setUnknown()
			return
		case s.isPointer():
			v.markPrecise(int(in.Dst()))
			off := *d
			v.pointerAdd(in, s, &off, false)
			return
		case d.isPointer():
			v.markPrecise(int(in.Src()))
			v.pointerAdd(in, d, s, true)
			return
		case d.precise:
			v.markPrecise(int(in.Src()))
		}
	} else {
		k.setNumber(uint64(int64(in.Imm)))
		if d.isPointer() {
			v.pointerAdd(in, d, s, true)
			return
		}
	}
	if v.rules.forksSigns && (in.op() == opAND || in.op() == opOR) && s.bits.isConst() {
		v.forkSign(in, d)
	}
	constant := s.constOf(!is64)
	delta := s.constValue(!is64)
	// A sum of 32 bits tells nothing of a number that has more.
	constant = constant && (is64 || d.umax <= math.MaxUint32)
	v.arith(in, d, s)
	v.linkSum(in, d, delta, constant)
}

// forkSign walks both values of what is -1 or 0, as an arithmetic shift leaves it: 0 later, from this instruction on.
func (v *verifier) forkSign(in insn, d *reg) {
	all := d.smin == -1 && d.smax == 0
	if !all && (d.s32min != -1 || d.s32max != 0) {
		return
	}
	other := &v.push(v.insn, v.insn).frame().regs[in.Dst()]
	if all {
		other.setConst(0)
		d.setConst(^uint64(0))
		return
	}
	other.setLow(0)
	d.setLow(math.MaxUint32)
}

// linkSum remembers that a number is a constant more than it was: comparisons of what it was copied from tell of it too.
func (v *verifier) linkSum(in insn, d *reg, delta uint64, constant bool) {
	k := v.rules
	is64 := in.class() == classALU64
	off := int64(delta)
	if !is64 {
		off = int64(int32(delta))
	}
	ok := k.deltaLinks && d.id != 0 && constant && in.op() == opADD && is64 && delta <= math.MaxInt32
	if k.deltaLinks32 {
		ok = d.id != 0 && constant && (in.op() == opADD || in.op() == opSUB) && off == int64(int32(off)) && !(in.fromReg() && in.Src() == in.Dst())
		if in.op() == opSUB {
			ok = ok && off != math.MinInt32
			off = -off
		}
	}
	if !ok || d.id&idDelta != 0 {
		if k.deltaLinks && d.id != 0 && (in.op() == opADD || k.deltaLinks32 && in.op() == opSUB) {
			d.off = 0
		}
		d.id = 0
		return
	}
	d.off = int32(off)
	if is64 {
		d.id |= idDelta64
	} else {
		d.id |= idDelta32
	}
}

// pointerAdd adds a number to a pointer, or subtracts it. The result goes to the destination; pointerFirst says that it was the pointer.
func (v *verifier) pointerAdd(in insn, ptr, off *reg, pointerFirst bool) {
	p, o := *ptr, *off
	dst := int(in.Dst())
	d := &v.regs()[dst]
	known := o.bits.isConst()
	if known && (o.smin != o.smax || o.umin != o.umax) || o.smin > o.smax || o.umin > o.umax {
		d.setUnknown()
		return
	}
	if in.class() != classALU64 {
		if in.op() == opSUB {
			d.setUnknown()
			return
		}
		v.rejectReg(dst, "pointer arithmetic", "r%d: pointers are 64 bits wide, this operation changes 32", dst)
	}
	if p.nullable() {
		v.rejectReg(dst, "null", "r%d may be null (%s): compare it with 0 before adding to it", dst, p.describe())
	}
	if p.kind == ptrMem && p.flags&untrusted != 0 {
		if !pointerFirst || in.op() != opADD && in.op() != opSUB {
			v.unmodelled("arithmetic of this kind on what members of the kernel's structs point to")
		}
		return // no offset is followed
	}
	allowed := true
	switch p.kind {
	case ptrArena:
		v.unmodelled("numbers to which pointers into arenas are added")
	case constMap:
		allowed = known && o.smin == 0 && in.op() == opADD && v.rules.kernel >= linux(5, 11)
	case ptrPacketEnd, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		allowed = false
	case ptrFlowKeys:
		allowed = known
	}
	if !allowed {
		v.rejectReg(dst, "pointer arithmetic", "r%d is %s: nothing can be added to it", dst, p.describe())
	}
	life := d.life
	id := p.id
	added := dst
	if pointerFirst && in.fromReg() {
		added = int(in.Src())
	}
	if v.rules.deltaLinks32 {
		o.off = 0 // a number's is no offset
	}
	v.saneOffset(added, &o, p.kind)
	v.saneOffset(dst, &p, p.kind)
	*d = p
	d.life = life
	d.unbounded32()
	switch in.op() {
	case opADD:
		if sum := int64(p.off) + o.smin; known && sum == int64(int32(sum)) {
			d.off = int32(sum)
			break
		}
		d.smin, d.smax = addSigned(p.smin, p.smax, o.smin, o.smax)
		d.umin, d.umax = p.umin+o.umin, p.umax+o.umax
		if d.umin < o.umin || d.umax < o.umax {
			d.umin, d.umax = 0, math.MaxUint64
		}
		d.bits = p.bits.add(o.bits)
		if p.isPacket() {
			d.id = v.newID()
			d.size = 0
		}
	case opSUB:
		if !pointerFirst {
			v.rejectReg(dst, "pointer arithmetic", "a pointer cannot be subtracted from the number in r%d", dst)
		}
		if p.kind == ptrStack {
			v.rejectReg(dst, "pointer arithmetic", "r%d: nothing can be subtracted from a pointer to the stack; add a negative number", dst)
		}
		if diff := int64(p.off) - o.smin; known && diff == int64(int32(diff)) {
			d.off, d.id = int32(diff), id
			break
		}
		d.smin, d.smax = subSigned(p.smin, p.smax, o.smin, o.smax)
		if p.umin < o.umax {
			d.umin, d.umax = 0, math.MaxUint64
		} else {
			d.umin, d.umax = p.umin-o.umax, p.umax-o.umin
		}
		d.bits = p.bits.sub(o.bits)
		if p.isPacket() {
			d.id = v.newID()
			if o.smin < 0 {
				d.size = 0
			}
		}
	default:
		v.rejectReg(dst, "pointer arithmetic", "r%d is %s: only addition and subtraction are allowed", dst, p.describe())
	}
	v.saneOffset(dst, d, p.kind)
	d.sync(v.rules)
}

// saneOffset asks that an offset is far from where sums wrap.
func (v *verifier) saneOffset(at int, r *reg, k kind) {
	what := (&reg{kind: k}).describe()
	switch {
	case r.bits.isConst() && (int64(r.bits.value) >= maxVarOffset || int64(r.bits.value) <= -maxVarOffset):
		v.rejectReg(at, "pointer arithmetic", "the offset %d from %s is too large", int64(r.bits.value), what)
	case r.off >= maxVarOffset || r.off <= -maxVarOffset:
		v.rejectReg(at, "pointer arithmetic", "the offset %d from %s is too large", r.off, what)
	case r.smin == math.MinInt64:
		v.rejectReg(at, "unbounded", "the number that is added to %s has no lower bound", what)
	case r.smin >= maxVarOffset || r.smin <= -maxVarOffset:
		v.rejectReg(at, "unbounded", "the number that is added to %s may be %d, far outside of it", what, r.smin)
	}
}
