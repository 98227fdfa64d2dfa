package verifier

// links are the registers and slots that have one value, or differ by constants, when a jump is taken.
type links struct{ of []link }

type link struct {
	frame, at uint8
	isReg     bool
}

const maxLinks = 6

// linkedBefore collects what is linked to the operands of a comparison, and remembers it for the tracking of precision.
func (v *verifier) linkedBefore(in insn, d, s *reg) *links {
	l := &links{}
	if in.fromReg() && s.kind == scalar && s.id != 0 {
		v.collect(l, s.id)
	}
	if d.kind == scalar && d.id != 0 {
		v.collect(l, d.id)
	}
	if len(l.of) > 1 && v.rules.deltaLinks {
		v.remember(step{}, l)
	}
	return l
}

func (v *verifier) collect(l *links, id uint32) {
	id &^= idDelta
	add := func(r *reg, frame, at int, isReg bool) {
		if r.kind != scalar || r.id&^idDelta != id {
			return
		}
		if len(l.of) == maxLinks && v.rules.deltaLinks {
			r.id = 0
			return
		}
		l.of = append(l.of, link{uint8(frame), uint8(at), isReg})
	}
	for i := v.cur.top; i >= 0; i-- {
		f := v.cur.frames[i]
		for j := range f.regs[:10] {
			add(&f.regs[j], i, j, true)
		}
		for j := range f.stack {
			if f.stack[j].spilled() {
				add(&f.stack[j].reg, i, j, false)
			}
		}
	}
}

func (s *state) linked(l link) *reg {
	f := s.frames[l.frame]
	if l.isReg {
		return &f.regs[l.at]
	}
	return &f.stack[l.at].reg
}

// syncLinked tells the registers linked to one what has been learned about it.
func (v *verifier) syncLinked(s *state, known *reg, l *links) {
	for _, one := range l.of {
		r := s.linked(one)
		if r.kind != scalar || r == known || r.id&^idDelta != known.id&^idDelta {
			continue
		}
		if (r.id^known.id)&idDelta == idDelta {
			continue // one sum of 32 bits, one of 64
		}
		old := *r
		*r = *known
		r.life = old.life
		if old.id&idDelta == 0 && known.id&idDelta == 0 || old.off == known.off {
			continue
		}
		var delta reg
		delta.setNumber(uint64(int64(old.off) - int64(known.off)))
		r.off, r.id = old.off, old.id
		r.add(&delta, v.rules)
		if (r.id|known.id)&idDelta32 != 0 {
			r.zext(v.rules)
		}
		if v.rules.deltaLinks32 {
			r.sync(v.rules)
		}
	}
}
