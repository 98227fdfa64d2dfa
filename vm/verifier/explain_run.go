package verifier

import (
	"fmt"
	"slices"
)

// What a run has to do to show that a rejection is right.

// walkMost limits the path of a rejection that is of use for runs.
const walkMost = 100_000

// Walk is the path to the refused instruction, that included. It is nil where the rejection is not about a path, or a very long one.
func (r *Rejection) Walk() []int {
	if r.at == nil || r.Rule == "complexity" {
		return nil
	}
	path := []int{r.Insn}
	backwards(r.at, func(at int, h *step) bool {
		if r.prog.insns[at].Op != 0 { // not the second half of an immediate load
			path = append(path, at)
		}
		return len(path) < walkMost
	})
	if len(path) >= walkMost {
		return nil
	}
	slices.Reverse(path)
	return path
}

// OfMapValue reports whether the rejection is about memory of a map's value.
func (r *Rejection) OfMapValue() bool {
	if r.at == nil {
		return false
	}
	in := r.prog.insns[r.Insn]
	regs := &r.at.frame().regs
	return r.reg >= 0 && regs[r.reg].kind == ptrMapValue || in.isALU() && regs[in.Dst()].kind == ptrMapValue
}

// Register is the one that the rejection is about, -1 if it is about none.
func (r *Rejection) Register() int { return r.reg }

// Extremes are the numbers at the ends of what is known of registers at the refused instruction.
func (r *Rejection) Extremes() (all []uint64) {
	if r.at == nil {
		return nil
	}
	for i := range r.at.frame().regs {
		if x := &r.at.frame().regs[i]; x.kind != notInit && !x.bits.isConst() {
			all = append(all, x.umax, x.umin, uint64(x.smin), uint64(x.smax), x.umax-1)
		}
	}
	return all
}

// Breaks reports whether a run breaks the rule that comes to the refused instruction with these registers. Where that cannot be seen from
// registers, coming there does.
func (r *Rejection) Breaks(regs *[11]uint64) bool {
	if r.Rule != "return value" || r.at == nil || r.at.frame().regs[0].kind != scalar {
		return true
	}
	lo, hi, ok := returnRange(r.prog.spec, r.kernel)
	if f := r.at.frame(); f.callback {
		lo, hi, ok = int64(f.retLo), int64(f.retHi), true
	}
	return ok && (int64(regs[0]) < lo || int64(regs[0]) > hi)
}

// Value is what the register held in a run, in words; "" if the rejection is about none, or if the number says nothing, as an
// address.
func (r *Rejection) Value(regs *[11]uint64) string {
	if r.reg < 0 || r.at == nil {
		return ""
	}
	switch x := &r.at.frame().regs[r.reg]; {
	case x.kind == scalar && int64(regs[r.reg]) >= -1<<20 && int64(regs[r.reg]) < 1<<20:
		return fmt.Sprintf("r%d is %d", r.reg, int64(regs[r.reg]))
	case x.kind == scalar:
		return fmt.Sprintf("r%d is %#x", r.reg, regs[r.reg])
	case x.nullable() && regs[r.reg] == 0:
		return fmt.Sprintf("r%d is null", r.reg)
	}
	return ""
}

// LineAt is the source line of an instruction of the rejected program, nil if it is not known.
func (r *Rejection) LineAt(insn int) *Line {
	if r.prog == nil {
		return nil
	}
	return r.prog.line(insn)
}
