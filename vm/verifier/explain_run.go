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

// A Through is the pointer that the refused instruction accesses memory through, as far as a run can check it.
type Through struct {
	Reg   int    // -1 if there is none that could be checked
	Frame int    // whose stack it points to, -1 if it does not
	Map   string // of which it points to a value
}

// Through is the pointer of the refused access. A callback is given pointers that no run has seen come, so that there is none then.
func (r *Rejection) Through() Through {
	none := Through{Reg: -1, Frame: -1}
	if r.at == nil {
		return none
	}
	for i := 0; i <= r.at.top; i++ {
		if r.at.frames[i].callback {
			return none
		}
	}
	in, reg := r.prog.insns[r.Insn], 0
	switch in.class() {
	case classLDX:
		reg = int(in.Src())
	case classST, classSTX:
		reg = int(in.Dst())
		if in.isAtomic() && in.Imm == atomicLoadAcq {
			reg = int(in.Src())
		}
	default:
		return none
	}
	if reg >= len(r.at.frame().regs) {
		return none
	}
	switch x := &r.at.frame().regs[reg]; {
	case x.nullable():
	case x.kind == ptrStack:
		return Through{Reg: reg, Frame: int(x.frame)}
	case x.kind == ptrMapValue && x.mp != nil && x.uid == 0:
		return Through{Reg: reg, Frame: -1, Map: x.mp.name}
	}
	return none
}

// Computes reports whether the refused instruction only computes: it does no harm by itself, whatever the rule.
func (r *Rejection) Computes() bool { return r.prog != nil && r.prog.insns[r.Insn].isALU() }

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
	switch {
	case r.Rule == "null" && r.reg >= 0 && r.at != nil && r.at.frame().regs[r.reg].nullable():
		return regs[r.reg] == 0
	case r.Rule == "unbounded" && r.Computes() && r.at != nil:
		return r.computesFar(regs)
	}
	if r.Rule != "return value" || r.at == nil || r.at.frame().regs[0].kind != scalar {
		return true
	}
	lo, hi, ok := returnRange(r.prog.spec, r.kernel)
	if f := r.at.frame(); f.callback {
		lo, hi, ok = int64(f.retLo), int64(f.retHi), true
	}
	return ok && (int64(regs[0]) < lo || int64(regs[0]) > hi)
}

// farOffset is from where on the kernel lets nothing be added to a pointer.
const farOffset = 1 << 29

// computesFar reports whether a run adds to a pointer what leads far away from all memory.
func (r *Rejection) computesFar(regs *[11]uint64) bool {
	in := r.prog.insns[r.Insn]
	if !in.fromReg() {
		return true
	}
	n := in.Src()
	if r.at.frame().regs[n].isPointer() {
		n = in.Dst()
	}
	added := int64(regs[n])
	return added >= farOffset || added <= -farOffset
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
