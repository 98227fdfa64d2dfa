package verifier

import (
	"fmt"
	"slices"
	"strings"
)

// A Hot is a line of the program and how often its instructions were walked.
type Hot struct {
	Insn  int // the one that was walked most often
	Line  *Line
	Count int // of the line's instructions together
}

// hottest are the lines walked most often. Where no lines are known, each instruction is one.
func (v *verifier) hottest() []Hot {
	var all []Hot
	most := map[int]int{}
	lines := map[string]int{}
	for i, n := range v.counts {
		if n == 0 {
			continue
		}
		l := v.prog.line(i)
		key := ""
		if l != nil {
			key = fmt.Sprint(l.File, ":", l.Number)
		}
		at, ok := lines[key]
		if !ok || l == nil {
			at = len(all)
			lines[key] = at
			all = append(all, Hot{i, l, 0})
		}
		all[at].Count += n
		if n > most[at] {
			most[at], all[at].Insn = n, i
		}
	}
	slices.SortStableFunc(all, func(a, b Hot) int { return b.Count - a.Count })
	return all[:min(len(all), 8)]
}

// A Difference is a value for which states were not covered by earlier ones.
type Difference struct {
	Insn    int // where they were compared
	Line    *Line
	Place   string // "r3", "the stack at r10-16"
	Was, Is string // in the last comparison
	Percent int    // of the comparisons in vain that were looked at
}

// blame is where states differed.
type blame struct {
	at, frame, reg, spi int
	slot                bool
}

type difference struct {
	blame
	was, is string
	count   int
}

// costly reports whether it is worth finding out why states are not covered: one time of some, in walks that take long.
func (v *verifier) costly() bool {
	return v.cost.Insns%31 == 0 && (v.cost.Insns > v.opt.Steps/4 || len(v.waiting) > 1000)
}

// blame notes what differs between the current state and an old one.
func (v *verifier) blame(old *state) {
	if !old.callsAlike(v.cur) {
		return
	}
	m := &idMap{next: v.ids}
	for i := 0; i <= old.top; i++ {
		o, c := old.frames[i], v.cur.frames[i]
		for j := range o.regs {
			if v.rules.staticRegs && v.liveRegs[old.insnOf(i)]>>j&1 == 0 {
				continue
			}
			if !v.covers(&o.regs[j], &c.regs[j], m, covers) {
				v.note(blame{at: v.insn, frame: i, reg: j}, o.regs[j].describe(), c.regs[j].describe())
				return
			}
		}
		for j := range o.stack {
			var s *slot
			if j < len(c.stack) {
				s = &c.stack[j]
			}
			if !v.rules.staticStack && !v.wasRead(&o.stack[j].reg) || v.slotCovers(&o.stack[j], s, m, covers) {
				continue
			}
			is := "nothing"
			if s != nil {
				is = s.describe()
			}
			v.note(blame{at: v.insn, frame: i, spi: j, slot: true}, o.stack[j].describe(), is)
			return
		}
	}
}

func (s *slot) describe() string {
	if s.spilled() {
		return s.reg.describe()
	}
	var n [fillIRQ + 1]int
	for _, f := range s.fill {
		n[f]++
	}
	var all []string
	for f, name := range []string{"never written", "of a number", "of which nothing is known", "of zeros", "of a dynptr", "of an iterator", "of the state of interrupts"} {
		if n[f] > 0 {
			all = append(all, fmt.Sprintf("%d bytes %s", n[f], name))
		}
	}
	return strings.Join(all, " and ")
}

func (v *verifier) note(b blame, was, is string) {
	if v.blamed == nil {
		v.blamed = map[blame]*difference{}
	}
	d := v.blamed[b]
	if d == nil {
		if len(v.blamed) > 1000 {
			return
		}
		d = &difference{blame: b}
		v.blamed[b] = d
	}
	d.was, d.is = was, is
	d.count++
}

// unpruned are the values for which most states differed.
func (v *verifier) unpruned() (all []Difference) {
	var list []*difference
	total := 0
	for _, d := range v.blamed {
		list = append(list, d)
		total += d.count
	}
	slices.SortFunc(list, func(a, b *difference) int {
		if a.count != b.count {
			return b.count - a.count
		}
		return a.at - b.at
	})
	for _, d := range list[:min(len(list), 3)] {
		place := fmt.Sprintf("r%d", d.reg)
		if d.slot {
			place = fmt.Sprintf("the stack at r10-%d", 8*(d.spi+1))
		}
		if d.frame > 0 {
			place += fmt.Sprintf(" of the function that is called %d deep", d.frame)
		}
		all = append(all, Difference{d.at, v.prog.line(d.at), place, d.was, d.is, d.count * 100 / total})
	}
	return all
}
