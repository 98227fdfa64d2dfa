package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"
)

// States of an iterator on the stack.
const (
	iterActive uint8 = iota + 1
	iterDrained
)

// An iterator is one on the stack that a call is about.
type iterator struct {
	frame *frame
	spi   int
	slots int
	rcu   bool
}

func (v *verifier) isIterator(c *kfuncCall, i int) bool {
	return i == 0 && c.flags&(kfIterNew|kfIterNext|kfIterDestroy) != 0
}

// iteratorArg makes an iterator on the stack, or asks for one.
func (v *verifier) iteratorArg(c *kfuncCall, n int, r *reg, t btf.Type) {
	if r.kind != ptrStack {
		v.rejectReg(n, "argument", "r%d must point to an iterator on the stack for %s, and is %s", n, c.name, r.describe())
	}
	size, err := btf.Sizeof(t)
	if err != nil {
		v.unmodelled("kfunc " + c.name)
	}
	slots := size / 8
	f, first, ok := v.object(n, r, slots, "an iterator")
	if c.flags&kfIterNew != 0 {
		for i := range slots {
			if spi := first - i; spi < len(f.stack) && f.stack[spi].fill[0] == fillIter {
				v.rejectReg(n, "iterator", "r%d points to an iterator that has not been destroyed", n)
			}
		}
		for i := range slots {
			v.access(access{reg: n, off: 8 * i, size: 8, write: true, value: -1, anyBytes: true})
		}
		v.makeIterator(c, r, t, slots)
		return
	}
	ok = ok && first-slots+1 >= 0
	for i := 0; ok && i < slots; i++ {
		s := &f.stack[first-i]
		ok = s.fill == allOf(fillIter) && s.reg.typ.TypeName() == t.TypeName() && s.reg.first == (i == 0)
		if ok && s.reg.flags&untrusted != 0 {
			v.rejectReg(n, "iterator", "the iterator needs the RCU section that it was made in, or one that has been left since")
		}
	}
	if !ok {
		v.rejectReg(n, "iterator", "r%d must be an initialized iterator (%s) for %s", n, t.TypeName(), c.name)
	}
	v.readObject(f, first, slots)
	c.object = iterator{f, first, slots, f.stack[first].reg.flags&rcu != 0}
	c.ref = f.stack[first].reg.ref // what it returns is void when it ends
	if c.flags&kfIterDestroy != 0 {
		ref := f.stack[first].reg.ref
		v.cur.release(ref)
		v.forgetReference(ref)
		v.clearObject(f, first, slots)
	}
}

func (v *verifier) makeIterator(c *kfuncCall, r *reg, t btf.Type, slots int) {
	f, first, _ := v.object(1, r, slots, "an iterator")
	var x reg
	x.setPointer(slotIter, 0)
	x.typ = t
	x.what = iterActive
	if c.flags&kfRCUProtected != 0 {
		x.flags = untrusted
		if v.inRCU() {
			x.flags = rcu
		}
	}
	id := v.acquire()
	v.fillObject(f, first, slots, fillIter, x)
	f.stack[first].reg.ref = id
	if c.name == "bpf_iter_css_task_new" || strings.HasPrefix(c.name, "bpf_iter_kmem") {
		v.unmodelled("kfunc " + c.name)
	}
}

// nextElement walks both ends of a call for the next element: there is one, later; there is none, at once.
func (v *verifier) nextElement(c *kfuncCall, at int) {
	it := &c.object.frame.stack[c.object.spi].reg
	if it.what == iterActive {
		var old *state
		if v.cur.parent != nil {
			old = v.previousEntry(v.cur.parent, at)
		}
		next := v.push(at+1, at)
		q := &next.frames[c.object.frame.number].stack[c.object.spi].reg
		q.depth++
		if old != nil {
			v.widen(old, next)
		}
		r0 := &next.frame().regs[0]
		markNotNull(r0)
	}
	it.what = iterDrained
	r0 := &v.regs()[0]
	life := r0.life
	*r0 = reg{kind: scalar, life: life}
	r0.setBounds(0)
}

// sameRounds reports whether no iterator has gone on since the old state: then being equal means that nothing happens.
func sameRounds(old, cur *state) bool {
	for i := old.top; i >= 0; i-- {
		a, b := old.frames[i], cur.frames[i]
		for j := range a.stack {
			if a.stack[j].fill[0] != fillIter || a.stack[j].reg.what != iterActive || j >= len(b.stack) {
				continue
			}
			if a.stack[j].reg.depth != b.stack[j].reg.depth {
				return false
			}
		}
	}
	return true
}

// activeIterator reports whether the iterator in r1 still has elements.
func (v *verifier) activeIterator() bool {
	r := &v.regs()[1]
	if r.kind != ptrStack || !r.bits.isConst() {
		return false
	}
	spi := (-int(r.off) - int(int64(r.bits.value)) - 1) / 8
	f := v.stackFrame(r)
	return spi >= 0 && spi < len(f.stack) && f.stack[spi].reg.what == iterActive
}
