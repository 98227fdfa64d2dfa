package verifier

const (
	failingLockFunction   = "bpf_res_spin_lock"
	failingUnlockFunction = "bpf_res_spin_unlock"
)

// failToLock leaves for later what the program does if it does not get the lock.
func (v *verifier) failToLock() {
	other := v.push(v.insn+1, v.insn)
	v.clearCallerSaved(other.frame())
	r := &other.frame().regs[0]
	r.setUnknown()
	r.smin, r.smax, r.s32min, r.s32max = -maxErrno, -1, -maxErrno, -1
	r.sync(v.rules)
}

// failingLock takes or gives back a lock in a map's value or an allocated object.
func (v *verifier) failingLock(c *kfuncCall, n int, r *reg) {
	if c.name != failingLockFunction && c.name != failingUnlockFunction {
		v.unmodelled("kfunc " + c.name)
	}
	object := r.kind == ptrBTF && r.flags == allocated
	if !object && (r.kind != ptrMapValue || r.flags != 0) {
		v.rejectReg(n, "argument", "r%d must point into a map's value or an allocated object for %s, and is %s", n, c.name, r.describe())
	}
	if v.inTreeCallback() {
		v.reject("lock", "locks may not be taken or given back where elements of a tree are compared")
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "lock", "the offset of the lock is not known here")
	}
	f := v.fieldsAt(r)
	if f == nil || len(f.failing) == 0 {
		v.rejectReg(n, "lock", "what r%d points to has no bpf_res_spin_lock, or no BTF that tells", n)
	}
	if f.other != "" {
		v.unmodelled("values with " + f.other)
	}
	if at := int(r.off) + int(int64(r.bits.value)); f.failing[0] != at {
		v.rejectReg(n, "lock", "the lock of what r%d points to is at offset %d, not at %d", n, f.failing[0], at)
	}
	l := &v.cur.lock
	if c.name == failingLockFunction {
		if l.held {
			v.unmodelled("more than one lock at a time")
		}
		*l = lock{held: true, failing: true, mp: r.mp, id: r.id}
		return
	}
	if !l.held {
		v.reject("lock", "no lock is held that could be given back")
	}
	if !l.failing || l.mp != r.mp || l.id != r.id {
		v.reject("lock", "another lock is held")
	}
	*l = lock{}
	v.forgetElements()
}
