package verifier

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// An Edit is a change of the program that makes the verifier accept it.
type Edit struct {
	Insn    int // the instruction that it stands before, or changes
	Line    *Line
	Text    string // in the words of C, with registers
	Changes bool   // the instruction itself
}

// editLimits keep the search for edits short: programs verified, and instructions walked for each.
const (
	editTries = 60
	editSteps = 100_000
	editsMost = 3
)

// Edits are the smallest change found that this verifier has accepted for the same kernel, nil if there is none: usually one edit,
// sometimes up to three, each for what the one before has brought to light. The first one is of the instruction that was refused.
func (r *Rejection) Edits() []Edit {
	if r.prog == nil || r.Rule == "complexity" {
		return nil
	}
	s := &editSearch{kernel: r.kernel, opt: r.opt, left: editTries}
	s.opt.Steps, s.opt.watch, s.opt.trace = editSteps, nil, nil
	return s.find(r, r.prog, editsMost)
}

type editSearch struct {
	kernel Kernel
	opt    Options
	left   int
}

// find tries the edits of a rejection, and then those of what comes after it.
func (s *editSearch) find(r *Rejection, p *program, depth int) []Edit {
	type next struct {
		edit   Edit
		prog   *program
		refuse *Rejection
	}
	var further []next
	for _, f := range r.fixes(p) {
		if s.left--; s.left < 0 {
			return nil
		}
		edited := f.apply(p)
		e := Edit{f.at, p.line(f.at), f.text, f.replace || f.to > 0}
		switch res := verify(edited, s.kernel, s.opt); {
		case res.Verdict == Accepted:
			return []Edit{e}
		case res.Verdict == Rejected && res.Rejection.Rule != "complexity" && !f.again(res.Rejection, r):
			further = append(further, next{e, edited, res.Rejection})
		}
	}
	if depth == 1 {
		return nil
	}
	for _, n := range further {
		if rest := s.find(n.refuse, n.prog, depth-1); rest != nil {
			// Where the rest stands in the program as it was before this edit.
			return append([]Edit{n.edit}, unshifted(rest, n.edit, len(n.prog.insns)-len(p.insns))...)
		}
	}
	return nil
}

func unshifted(edits []Edit, first Edit, by int) []Edit {
	for i := range edits {
		if edits[i].Insn >= first.Insn+by {
			edits[i].Insn -= by
		} else if edits[i].Insn > first.Insn {
			edits[i].Insn = first.Insn
		}
	}
	return edits
}

// A fix is an edit that may help.
type fix struct {
	at      int
	insns   []insn
	text    string
	replace bool // the instruction is replaced, not preceded
	license string
	after   *fix // a second place, later in the program
	behind  bool // jumps to the instruction pass the fix by: it is for who comes from the one before
	to      int  // where the last of the instructions jumps, in the place of the branch behind it; 0 if it does not
}

// again reports whether the rejection is the same one, at the place that the fix has moved it to.
func (f *fix) again(now, before *Rejection) bool {
	at := before.Insn
	for x := f; x != nil; x = x.after {
		if !x.replace && before.Insn >= x.at {
			at += len(x.insns)
		}
	}
	return now.Insn == at && now.Rule == before.Rule
}

func (f *fix) apply(p *program) *program {
	c := *p
	if f.license != "" {
		spec := *p.spec
		spec.License = f.license
		c.spec = &spec
		return &c
	}
	if f.after != nil {
		c = *f.after.apply(p) // it stands later, so this one's place is as it was
	}
	if f.replace {
		c.insns = slices.Clone(c.insns)
		c.insns[f.at] = f.insns[0]
		return &c
	}
	edited := c.insert(f.at, f.insns, f.behind)
	if f.to > 0 {
		last, to := f.at+len(f.insns)-1, f.to
		if to > f.at || f.behind && to == f.at {
			to += len(f.insns)
		}
		edited.insns[last].Off = int16(to - last - 1)
		edited.insns[last+1] = newInsn(classJMP|jA, 0, 0, 0, 0) // they stand for the branch
	}
	return edited
}

// insert is the program with instructions before one of its own. Jumps to that one lead to those inserted, unless they pass by.
func (p *program) insert(at int, insns []insn, passBy bool) *program {
	n := len(insns)
	moved := func(slot int) int {
		if slot >= at {
			return slot + n
		}
		return slot
	}
	target := func(slot int) int {
		if slot > at || passBy && slot == at {
			return slot + n
		}
		return slot
	}
	c := *p
	c.insns = slices.Insert(slices.Clone(p.insns), at, insns...)
	if p.lines != nil {
		c.lines = slices.Insert(slices.Clone(p.lines), at, slices.Repeat([]*Line{p.line(at)}, n)...)
	}
	c.maps, c.kfuncs, c.funcs = maps.Clone(p.maps), maps.Clone(p.kfuncs), maps.Clone(p.funcs)
	clear(c.maps)
	clear(c.kfuncs)
	clear(c.funcs)
	for s, m := range p.maps {
		c.maps[moved(s)] = m
	}
	for s, k := range p.kfuncs {
		c.kfuncs[moved(s)] = k
	}
	for s, f := range p.funcs {
		c.funcs[target(s)] = f
	}
	for i := 0; i < len(p.insns); i += p.insns[i].width() {
		in := &c.insns[moved(i)]
		switch {
		case in.isSubcall(), in.isFuncRef():
			in.Imm = int32(target(i+1+int(in.Imm)) - moved(i) - 1)
		case in.isJump() && !in.isCall() && !in.isExit():
			d := target(in.target(i)) - moved(i) - 1
			if in.Op == classJMP32|jA {
				in.Imm = int32(d)
			} else {
				in.Off = int16(d)
			}
		}
	}
	return &c
}

func mov(dst, src int) insn      { return newInsn(classALU64|opMOV|8, dst, src, 0, 0) }
func movImm(dst int, n int) insn { return newInsn(classALU64|opMOV, dst, 0, 0, n) }
func callOf(n int) insn          { return newInsn(classJMP|jCALL, 0, 0, 0, n) }

func newInsn(op, dst, src, off, imm int) insn {
	var in insn
	in.Op, in.Regs, in.Off, in.Imm = uint8(op), uint8(dst|src<<4), int16(off), int32(imm)
	return in
}

// unless leaves the function with 0 unless a comparison holds.
func unless(op, dst, imm int) []insn {
	return []insn{newInsn(classJMP|op, dst, 0, 2, imm), movImm(0, 0), newInsn(classJMP|jEXIT, 0, 0, 0, 0)}
}

// fixes are the edits that may help against a rejection, the gentlest first.
func (r *Rejection) fixes(p *program) []fix {
	if r.Rule == "license" {
		return []fix{{at: r.Insn, license: "GPL", text: `declare the license "GPL"`}}
	}
	if r.at == nil || r.Insn >= len(p.insns) || len(r.live) != len(p.insns) {
		return nil
	}
	f := &fixer{r: r, p: p, at: r.at, in: p.insns[r.Insn]}
	if r.reg >= 0 {
		f.reg = &r.at.frame().regs[r.reg]
	}
	switch r.Rule {
	case "null":
		f.null()
	case "bounds":
		f.bounds()
	case "unbounded":
		f.unbounded()
	case "size":
		f.size()
	case "uninitialized":
		f.uninitialized()
	case "stack":
		f.stack()
	case "reference":
		f.release()
	case "argument":
		f.drop()
	case "lock":
		f.unlock()
	case "return value":
		f.returnValue()
	case "pointer arithmetic":
		f.wide()
	}
	return f.all
}

// A fixer makes the fixes of one rejection.
type fixer struct {
	r   *Rejection
	p   *program
	at  *state
	in  insn
	reg *reg
	all []fix
}

func (f *fixer) add(at int, insns []insn, format string, args ...any) {
	f.all = append(f.all, fix{at: at, insns: insns, text: fmt.Sprintf(format, args...)})
}

func (f *fixer) null() {
	f.add(f.r.Insn, unless(jNE, f.r.reg, 0), "if (r%d == 0) return 0;", f.r.reg)
}

// limit asks that a number is at most n, or makes it so.
func (f *fixer) limit(at, reg, n int) {
	if n < 0 {
		return
	}
	f.add(at, unless(jLE, reg, n), "if ((u64)r%d > %d) return 0;", reg, n)
}

func (f *fixer) mask(at, reg, n int) {
	if n <= 0 {
		return
	}
	m := 1
	for m*2+1 <= n {
		m = m*2 + 1
	}
	f.add(at, []insn{newInsn(classALU64|opAND, reg, 0, 0, m)}, "r%d &= %d;", reg, m)
}

// length is the size of the memory that a pointer leads to, 0 if it is not known.
func (r *reg) length() int {
	switch r.kind {
	case ptrMapValue:
		if section, ok := r.mp.spec.Value.(*btf.Datasec); ok {
			for _, v := range section.Vars { // a variable ends before its section does
				if off := int64(r.off) - int64(v.Offset); off >= 0 && off < int64(v.Size) {
					return int(v.Offset + v.Size)
				}
			}
		}
		return int(r.mp.spec.ValueSize)
	case ptrMapKey:
		return int(r.mp.spec.KeySize)
	case ptrMem:
		return int(r.size)
	}
	return 0
}
