package verifier

// branch walks a conditional jump: where it leads for certain, or first on and then, later, to its target.
func (v *verifier) branch(in insn) {
	if in.isMayGoto() {
		v.mayGoto(in)
		return
	}
	is32 := in.class() == classJMP32
	op := in.op()
	if in.fromReg() {
		if in.Imm != 0 {
			v.reject("opcode", "the jump uses reserved fields")
		}
		v.read(in.Src())
	} else if in.Src() != 0 {
		v.reject("opcode", "the jump uses reserved fields")
	}
	d := v.read(in.Dst())
	var constant reg
	s := &constant
	if in.fromReg() {
		s = &v.regs()[in.Src()]
	} else {
		constant.setNumber(uint64(int64(in.Imm)))
	}
	if v.rules.stackPrecision {
		if h := (step{srcStack: s.kind == ptrStack, dstStack: d.kind == ptrStack}); h.srcStack || h.dstStack {
			v.remember(h, nil)
		}
	}
	taken := v.decide(d, s, op, is32)
	if taken >= 0 {
		if !d.isPointer() {
			v.markPrecise(int(in.Dst()))
		}
		if in.fromReg() && !s.isPointer() {
			v.markPrecise(int(in.Src()))
		}
	}
	from, to := v.insn, v.insn+1+int(in.Off)
	switch taken {
	case 1:
		v.insn = to
		return
	case 0:
		v.insn = from + 1
		return
	}
	l := v.linkedBefore(in, d, s)
	other := v.push(to, from)
	v.insn = from + 1
	od := &other.frame().regs[in.Dst()]
	c1, c2 := constant, constant
	os, here := &c1, &c2
	if in.fromReg() {
		os, here = &other.frame().regs[in.Src()], s
	}
	v.learn(od, os, d, here, op, is32)
	if in.fromReg() && s.kind == scalar && s.id != 0 {
		v.syncLinked(v.cur, s, l)
		v.syncLinked(other, os, l)
	}
	if d.kind == scalar && d.id != 0 {
		v.syncLinked(v.cur, d, l)
		v.syncLinked(other, od, l)
	}
	v.learnNull(in, d, s, other, is32)
	if in.fromReg() && !is32 {
		v.learnPacket(in, d, s, other)
	}
}

// decide tells whether the jump is taken: 1 always, 0 never, -1 perhaps.
func (v *verifier) decide(a, b *reg, op uint8, is32 bool) int {
	if a.isPacketAny() && b.isPacketAny() && !is32 && v.rules.kernel >= linux(5, 11) {
		return decidePacket(a, b, op)
	}
	if !v.rules.regRegRanges {
		return v.decideOld(a, b, op, is32)
	}
	if a.isPointer() || b.isPointer() {
		if !b.constOf(is32) {
			a, b, op = b, a, flip(op)
		}
		if !b.constOf(is32) || b.constValue(is32) != 0 || !v.notNull(a) {
			return -1
		}
		switch op {
		case jEQ:
			return 0
		case jNE:
			return 1
		}
		return -1
	}
	return v.decideNumbers(a, b, op, is32)
}

// notNull reports whether a pointer is known not to be 0.
func (v *verifier) notNull(r *reg) bool {
	if r.nullable() {
		return false
	}
	switch r.kind {
	case ptrSocket, ptrTCPSock, ptrMapValue, ptrMapKey, ptrSockCommon:
		return true
	case ptrBTF:
		return r.trusted() && v.rules.memoryNotNull
	case ptrMem:
		return r.flags&untrusted == 0 && v.rules.memoryNotNull
	case constMap:
		return v.rules.kernel >= linux(6, 17)
	}
	return false
}

func flip(op uint8) uint8 {
	switch op {
	case jGE:
		return jLE
	case jGT:
		return jLT
	case jLE:
		return jGE
	case jLT:
		return jGT
	case jSGE:
		return jSLE
	case jSGT:
		return jSLT
	case jSLE:
		return jSGE
	case jSLT:
		return jSGT
	}
	return op
}

// ranges are the bounds of one width.
type ranges struct {
	umin, umax uint64
	smin, smax int64
	bits       tnum
}

func (r *reg) ranges(is32 bool) ranges {
	if is32 {
		return ranges{uint64(r.u32min), uint64(r.u32max), int64(r.s32min), int64(r.s32max), r.bits.low32()}
	}
	return ranges{r.umin, r.umax, r.smin, r.smax, r.bits}
}

func (v *verifier) decideNumbers(ra, rb *reg, op uint8, is32 bool) int {
	a, b := ra.ranges(is32), rb.ranges(is32)
	yesNo := func(yes, no bool) int {
		switch {
		case yes:
			return 1
		case no:
			return 0
		}
		return -1
	}
	switch op {
	case jEQ, jNE:
		equal := -1
		switch {
		case a.bits.isConst() && b.bits.isConst():
			equal = yesNo(a.bits.value == b.bits.value, true)
		case v.rules.tnumOverlap && !a.bits.overlap(b.bits),
			(a.umin > b.umax || a.umax < b.umin) && v.rules.equalByRange || (a.smin > b.smax || a.smax < b.smin) && v.rules.mixedBounds,
			!is32 && v.rules.mixedBounds && (ra.u32min > rb.u32max || ra.u32max < rb.u32min || ra.s32min > rb.s32max || ra.s32max < rb.s32min):
			equal = 0
		}
		if op == jNE && equal >= 0 {
			return 1 - equal
		}
		return equal
	case jSET:
		if !rb.constOf(is32) {
			a, b, ra, rb = b, a, rb, ra
		}
		if !rb.constOf(is32) {
			return -1
		}
		return yesNo(a.bits.value&^a.bits.mask&b.bits.value != 0, (a.bits.mask|a.bits.value)&b.bits.value == 0)
	case jGT:
		return yesNo(a.umin > b.umax, a.umax <= b.umin)
	case jSGT:
		return yesNo(a.smin > b.smax, a.smax <= b.smin)
	case jLT:
		return yesNo(a.umax < b.umin, a.umin >= b.umax)
	case jSLT:
		return yesNo(a.smax < b.smin, a.smin >= b.smax)
	case jGE:
		return yesNo(a.umin >= b.umax, a.umax < b.umin)
	case jSGE:
		return yesNo(a.smin >= b.smax, a.smax < b.smin)
	case jLE:
		return yesNo(a.umax <= b.umin, a.umin > b.umax)
	case jSLE:
		return yesNo(a.smax <= b.smin, a.smin > b.smax)
	}
	return -1
}

// Conditions of the false branch: those that have none of their own are jSETnot.
const jSETnot = 0x48

func reverse(op uint8) uint8 {
	switch op {
	case jEQ:
		return jNE
	case jNE:
		return jEQ
	case jSET:
		return jSETnot
	case jGE:
		return jLT
	case jGT:
		return jLE
	case jLE:
		return jGT
	case jLT:
		return jGE
	case jSGE:
		return jSLT
	case jSGT:
		return jSLE
	case jSLE:
		return jSGT
	}
	return jSGE // of jSLT
}

// learn narrows both operands in both branches: t1 and t2 where the jump is taken, f1 and f2 where not.
func (v *verifier) learn(t1, t2, f1, f2 *reg, op uint8, is32 bool) {
	if f1.kind != scalar || f2.kind != scalar {
		return
	}
	k := v.rules
	if !k.regRegRanges {
		// One side must be known.
		if !f2.constOf(is32) && !f1.constOf(is32) {
			if is32 {
				return
			}
			if op == jEQ {
				combineEqual(t1, t2, k)
			} else if op == jNE {
				combineEqual(f1, f2, k)
			}
			return
		}
		if !f2.constOf(is32) {
			t1, t2, f1, f2, op = t2, t1, f2, f1, flip(op)
		}
		c2, c1 := *f2, *t2
		refineOld(f1, &c2, reverse(op), is32, k)
		refineOld(t1, &c1, op, is32, k)
		return
	}
	refine(f1, f2, reverse(op), is32, k)
	f1.sync(k)
	f2.sync(k)
	refine(t1, t2, op, is32, k)
	t1.sync(k)
	t2.sync(k)
	for _, r := range []*reg{t1, t2, f1, f2} {
		v.keepSane(r)
	}
}

// refine narrows two registers by a condition that holds.
func refine(a, b *reg, op uint8, is32 bool, k *rules) {
	switch op {
	case jGE, jGT, jSGE, jSGT:
		a, b, op = b, a, flip(op)
	case jNE, jSET, jSETnot:
		if !b.constOf(is32) {
			a, b = b, a
		}
		if !b.constOf(is32) {
			return
		}
	}
	if op == jSETnot && k.jsetForgets {
		a.unbounded()
	}
	c := b.constValue(is32)
	if is32 {
		a.low().narrow(b.low(), op, uint32(c))
	} else {
		a.whole().narrow(b.whole(), op, c)
	}
	bits := refineBits(a.bitsOf(is32), b.bitsOf(is32), op, c, is32)
	a.setBits(bits, is32)
	if op == jEQ {
		b.setBits(bits, is32)
	}
}

// refineBits narrows the bits known of a by a comparison with b that holds; c is b's value where that is known.
func refineBits(a, b tnum, op uint8, c uint64, is32 bool) tnum {
	switch op {
	case jEQ:
		return a.intersect(b)
	case jSET:
		if c&(c-1) == 0 && c != 0 {
			return a.or(tnumConst(c))
		}
	case jSETnot:
		if is32 {
			return a.and(tnumConst(uint64(^uint32(c))))
		}
		return a.and(tnumConst(^c))
	}
	return a
}

func (r *reg) bitsOf(is32 bool) tnum {
	if is32 {
		return r.bits.low32()
	}
	return r.bits
}

func (r *reg) setBits(b tnum, is32 bool) {
	if is32 {
		b = r.bits.with32(b)
	}
	r.bits = b
}
