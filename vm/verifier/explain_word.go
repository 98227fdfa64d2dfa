package verifier

import (
	"fmt"
	"strings"
)

// reword says what is more to the point than what a rule says by itself: the end of an access that is at fault, and what a rule means
// where it has more than one meaning.
func (v *verifier) reword(e *Rejection) {
	in := v.prog.insns[e.Insn]
	switch {
	case e.Rule == "bounds" && e.reg >= 0 && (in.class() == classLDX || in.class() == classST || in.class() == classSTX):
		r := &e.at.frame().regs[e.reg]
		low, high := int64(r.off)+int64(in.Off)+r.smin, int64(r.off)+int64(in.Off)+r.smax
		if r.kind == ptrStack && !r.bits.isConst() && r.smin > -maxVarOffset && r.smax < maxVarOffset && low >= -512 && high+int64(in.size()) > 0 {
			e.Text = fmt.Sprintf("the access of %d bytes at offset %d does not lie inside of the stack, which has offsets -512 to -1", in.size(), high)
		}
	case e.Rule == "size" && strings.HasSuffix(e.Text, "must be a constant"):
		e.Required = "this size must be a constant, the same on every path"
	case e.Rule == "return value" && strings.Contains(e.Text, "callback"):
		e.Text = strings.Replace(e.Text, "a timer's callback", "the callback of a timer or of a work queue", 1)
		e.Required = "callbacks may return some numbers only"
	}
}

// uncounted tells why comparisons with the packet's end have told nothing.
func uncounted(e *Rejection, r *reg) string {
	switch {
	case e.Rule != "bounds" || r.size > 0:
	case r.kind == ptrPacketMeta:
		return "metadata ends where the packet starts, so that a comparison with data counts, and none with data_end"
	case r.farInPacket():
		return fmt.Sprintf("a comparison with the packet's end tells nothing where the pointer that is compared may be more than %d bytes in; compare what is added with less, or mask it", maxPacketOffset)
	}
	return ""
}

// farInPacket reports whether a pointer may be so far in the packet that comparisons do not count.
func (r *reg) farInPacket() bool {
	return r.kind == ptrPacket && !r.bits.isConst() && (r.umax > maxPacketOffset || int64(r.umax)+int64(r.off) >= maxPacketOffset)
}
