package verifier

// regions are what a program has entered and must leave: sections of RCU, without preemption, without interrupts.
type regions struct {
	rcu     int // how many sections are nested
	preempt int
	irqs    []uint32 // ids, the last one disabled last
}

// inRCU reports whether pointers protected by RCU are valid here.
func (v *verifier) inRCU() bool {
	return v.cur.regions.rcu > 0 || v.cur.lock.held || !v.sleeps()
}

// sleeps reports whether what runs here may sleep: the program, or a function that a work queue runs.
func (v *verifier) sleeps() bool { return v.prog.spec.Flags&sleepable != 0 || v.cur.sleeps }

// enterRegions follows the functions that begin and end them.
func (v *verifier) enterRegions(c *kfuncCall) {
	g := &v.cur.regions
	switch c.name {
	case "bpf_rcu_read_lock":
		if g.rcu > 0 && !v.rules.nestedRCU {
			v.reject("rcu", "sections of RCU cannot be nested")
		}
		g.rcu++
	case "bpf_rcu_read_unlock":
		if g.rcu == 0 {
			v.reject("rcu", "there is no section of RCU that could be left")
		}
		if g.rcu--; g.rcu > 0 {
			return
		}
		v.cur.each(func(r *reg) {
			if r.flags&rcu != 0 {
				r.flags = r.flags&^(rcu|maybeNull) | untrusted
			}
		})
		v.leaveIterators()
	case "bpf_preempt_disable":
		g.preempt++
	case "bpf_preempt_enable":
		if g.preempt == 0 {
			v.reject("preemption", "preemption is not disabled here")
		}
		g.preempt--
	}
}

// leaveIterators makes iterators that need the section unusable.
func (v *verifier) leaveIterators() {
	for i := 0; i <= v.cur.top; i++ {
		f := v.cur.frames[i]
		for j := range f.stack {
			if s := &f.stack[j]; s.fill[0] == fillIter && s.reg.flags&rcu != 0 {
				s.reg.flags = s.reg.flags&^rcu | untrusted
			}
		}
	}
}

// noSleepHere asks that nothing forbids to sleep.
func (v *verifier) noSleepHere(name string) {
	g := &v.cur.regions
	switch {
	case g.rcu > 0:
		v.reject("sleep", "%s may sleep, which is not allowed in a section of RCU", name)
	case g.preempt > 0:
		v.reject("sleep", "%s may sleep, which is not allowed while preemption is disabled", name)
	case len(g.irqs) > 0:
		v.reject("sleep", "%s may sleep, which is not allowed while interrupts are disabled", name)
	}
}

// leftRegions asks that all has been left at the program's end, or before a jump to another one.
func (v *verifier) leftRegions(where string) {
	g := &v.cur.regions
	switch {
	case len(g.irqs) > 0:
		v.reject("interrupts", "interrupts are still disabled at %s", where)
	case g.rcu > 0:
		v.reject("rcu", "a section of RCU has not been left at %s", where)
	case g.preempt > 0:
		v.reject("preemption", "preemption is still disabled at %s", where)
	}
}

func (a *regions) same(b *regions, m *idMap) bool {
	if a.rcu != b.rcu || a.preempt != b.preempt || len(a.irqs) != len(b.irqs) {
		return false
	}
	for i := range a.irqs {
		if !m.match(a.irqs[i], b.irqs[i]) {
			return false
		}
	}
	return true
}

// irqArg is where the state of interrupts is kept on the stack.
func (v *verifier) irqArg(c *kfuncCall, n int, r *reg) {
	if r.kind != ptrStack {
		v.rejectReg(n, "argument", "r%d must point to the stack for %s, and is %s", n, c.name, r.describe())
	}
	g := &v.cur.regions
	f, spi, ok := v.object(n, r, 1, "the state of interrupts")
	switch c.name {
	case "bpf_local_irq_save":
		if ok && f.stack[spi].fill[0] == fillIRQ {
			v.rejectReg(n, "interrupts", "r%d points to a state of interrupts that has not been restored", n)
		}
		v.access(access{reg: n, size: 8, write: true, value: -1, anyBytes: true})
		f, spi, _ = v.object(n, r, 1, "the state of interrupts")
		var x reg
		x.setPointer(slotIRQ, 0)
		x.ref = v.newID()
		v.fillObject(f, spi, 1, fillIRQ, x)
		g.irqs = append(g.irqs[:len(g.irqs):len(g.irqs)], x.ref)
	case "bpf_local_irq_restore":
		if !ok || f.stack[spi].fill != allOf(fillIRQ) {
			v.rejectReg(n, "interrupts", "r%d does not point to a saved state of interrupts", n)
		}
		last := len(g.irqs) - 1
		if last < 0 || g.irqs[last] != f.stack[spi].reg.ref {
			v.rejectReg(n, "interrupts", "states of interrupts must be restored in the order in which they were saved, the last one first")
		}
		v.readObject(f, spi, 1)
		g.irqs = g.irqs[:last:last]
		v.clearObject(f, spi, 1)
	default:
		v.unmodelled("kfunc " + c.name)
	}
}
