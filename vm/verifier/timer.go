package verifier

// timer checks a timer or a work queue in a map's value.
func (v *verifier) timer(c *helperCall, n int, r *reg, at []int, what string) {
	m := r.mp
	if !r.bits.isConst() {
		v.rejectReg(n, "timer", "the offset of the %s is not known here", what)
	}
	off := int(r.off) + int(r.bits.value)
	if len(at) == 0 {
		v.rejectReg(n, "timer", "values of %s have no %s, or no BTF that tells", m.name, what)
	}
	if at[0] != off {
		v.rejectReg(n, "timer", "the %s of %s is at offset %d, not at %d", what, m.name, at[0], off)
	}
	c.mp, c.mapReg = m, *r
	c.mapReg.kind = constMap
	c.mapOf = what
}

// checkTimerMap asks that a timer is given the map that it is in.
func (v *verifier) checkTimerMap(c *helperCall, n int, r *reg) {
	if c.mapOf != "" && (c.mp != r.mp || c.mapReg.uid != r.uid) {
		v.rejectReg(n, "timer", "the %s in r1 is in another map than the one in r%d", c.mapOf, n)
	}
}

// asyncCallback walks the function that a timer will run, as a program of its own.
func (v *verifier) asyncCallback(c *helperCall, args argsOf) {
	at := v.insn
	caller := v.cur.frame()
	sub := v.subs[c.sub]
	sub.isAsync, sub.isCallback = true, true
	s := &state{branches: 1, first: sub.start, last: at, size: 2000}
	s.sleeps = c.function == "bpf_wq_set_callback_impl"
	f := v.newFrame(c.sub, -1, 0)
	f.async = true
	f.asyncEntry = caller.asyncEntry + 1
	args(caller, f)
	s.frames[0] = f
	v.memory += s.size
	v.limitMemory()
	v.waiting = append(v.waiting, pending{s, sub.start, at})
}

// elemOf are the map, a key and its value.
func (v *verifier) elemOf(mp *mapDef, uid uint32) argsOf {
	return func(_, callee *frame) {
		callee.regs[1].setPointer(constMap, 0)
		callee.regs[2].setPointer(ptrMapKey, 0)
		callee.regs[3].setPointer(ptrMapValue, 0)
		for i := 1; i <= 3; i++ {
			callee.regs[i].mp = mp
			callee.regs[i].uid = uid
		}
	}
}

// findVMA runs a function for the area that an address is in.
func (v *verifier) findVMA(c *helperCall) {
	area := v.kernelStruct("vm_area_struct")
	task := v.kernelStruct("task_struct")
	v.enterCallback(c, func(caller, callee *frame) {
		callee.regs[1].setPointer(ptrBTF, 0)
		callee.regs[1].typ = task
		callee.regs[2].setPointer(ptrBTF, 0)
		callee.regs[2].typ = area
		callee.regs[3] = caller.regs[4]
	}, 0, 1)
}

// drainUserRing runs a function for each record of a ring buffer that user space fills.
func (v *verifier) drainUserRing(c *helperCall) {
	v.enterCallback(c, func(caller, callee *frame) {
		callee.regs[1].setPointer(ptrDynptr, 0)
		callee.regs[1].what = uint8(dynptrLocal)
		callee.regs[1].id = v.newID()
		callee.regs[2] = caller.regs[3]
	}, 0, 1)
}

// formatArgs checks a format and the data that belongs to it.
func (v *verifier) formatArgs(c *helperCall, format []byte, dataReg int) {
	size := v.regs()[dataReg]
	if !size.bits.isConst() {
		v.rejectReg(dataReg, "size", "the size in r%d must be a constant", dataReg)
	}
	if size.bits.value%8 != 0 || size.bits.value > 12*8 {
		v.rejectReg(dataReg, "format", "the arguments of the format are numbers of 8 bytes, at most 12")
	}
	if why := checkFormat(format, int(size.bits.value/8)); why != "" {
		v.rejectReg(3, "format", "the format %q %s", trimZero(format), why)
	}
}

func trimZero(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
