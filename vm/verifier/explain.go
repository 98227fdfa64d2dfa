package verifier

import (
	"fmt"

	"skep/vm/helper"
)

// A Cause is one step on the way to what is known of a value.
type Cause struct {
	Insn int
	Line *Line
	Text string
}

// required is what each rule asks for, in general.
var required = map[string]string{
	"bounds":             "every access must lie inside of the memory that the pointer was given for, whatever the unknown part of its offset is",
	"null":               "a pointer that may be null must be compared with 0, and used only where it is not",
	"uninitialized":      "a register must be written before it is read; calls leave r1 to r5 unwritten",
	"stack":              "bytes of the stack must be written before they are read, and stored pointers read as they were stored",
	"unbounded":          "a number that is added to a pointer must have bounds: compare it with both, or mask it",
	"size":               "a size must have bounds: compare it with a constant, or mask it",
	"reference":          "what is acquired must be released exactly once on every path",
	"lock":               "a lock is taken and given back in one function, with no calls between",
	"infinite loop":      "a loop must come to an end that the kernel can see: something that the condition depends on must change",
	"complexity":         "the kernel follows every path, and at most a million instructions in all",
	"return value":       "programs of this type may return some numbers only",
	"context":            "each type of program may access some fields of its context, in their own sizes",
	"argument":           "helpers are given what their prototypes name",
	"not a pointer":      "only pointers that the kernel has given can be followed; other memory is read with bpf_probe_read_kernel and its like",
	"pointer arithmetic": "numbers can be added to pointers, and nothing else",
	"stack depth":        "functions that call each other have 512 bytes of stack together",
	"helper":             "each type of program may call some helpers, of those that the kernel has",
	"packet":             "only some helpers may be given memory of the packet",
	"opcode":             "each kernel knows some instructions, and their unused parts must be 0",
	"alignment":          "accesses of the stack, and atomic ones, are aligned to their size",
	"spill":              "a pointer is stored in the stack as a whole, and nowhere that another function would find it",
	"fill":               "a stored pointer is read as a whole",
	"map":                "each helper works on maps of some types",
	"license":            "some helpers are for programs with a GPL-compatible license",
	"unreachable":        "every instruction must be reached by some path",
	"jump":               "jumps stay inside of their function",
	"fall through":       "a function ends with an exit or a jump",
	"recursion":          "functions may not call themselves",
	"call depth":         "calls may be eight functions deep",
	"division":           "a division by the constant 0 is a mistake",
	"shift":              "a shift is by less than the width",
	"frame pointer":      "r10 always points to the end of the function's stack",
	"atomic":             "atomic operations work on the stack, on values of maps and on memory of ring buffers",
	"special field":      "locks, timers, lists, trees and what links their elements are for their helpers and functions",
	"arena":              "a program uses one arena, and addresses in it are cast before they are followed",
	"exception":          "an exception ends the program from any of its functions but those that helpers call",
	"graph":              "elements of lists and trees are added, found and taken out while the lock next to the head or root is held",
	"type":               "heads of lists and roots of trees have a lock next to them, and a tag (contains:STRUCT:MEMBER) that tells what is in them",
	"offset":             "what means a whole must be given as it was got",
	"callback":           "callbacks are static functions",
	"subprogram":         "a call leads to the start of a function",
	"socket":             "some fields of a socket may be read, in their own sizes",
	"read only":          "this memory may be read and not written",
}

// explain adds to a rejection what was required, what is known and where that knowledge comes from.
func (v *verifier) explain(e *Rejection) {
	e.Required = required[e.Rule]
	e.live = v.liveRegs
	if e.Rule == "complexity" || e.Rule == "infinite loop" {
		e.Hottest, e.Unpruned = v.hottest(), v.unpruned()
	}
	if e.at == nil {
		return
	}
	v.reword(e)
	if e.reg < 0 {
		e.Path = v.comesHere(e)
		return
	}
	r := &e.at.frame().regs[e.reg]
	e.Known = fmt.Sprintf("r%d is %s", e.reg, r.describe())
	if text := uncounted(e, r); text != "" {
		e.Known += ": " + text
	}
	e.Path = v.causes(e.at, e.reg)
}

// causes follows a register backwards: to where its value was made, and what has been learned about it on the way.
func (v *verifier) causes(s *state, r int) (all []Cause) {
	const most = 8
	want := place{frame: s.top, reg: r, pointer: s.frame().regs[r].isPointer()}
	depth := s.top
	add := func(at int, format string, args ...any) {
		c := Cause{at, v.prog.line(at), fmt.Sprintf(format, args...)}
		for _, said := range all {
			if said.Insn == at && said.Text == c.Text {
				return // in an earlier round of a loop
			}
		}
		all = append(all, c)
	}
	var returned [maxFrames]*pathStep // by frame: what was known when a function or callback had come back to it
	cursor := v.pathCursor(s)
	backwards(s, func(at int, h *step) bool {
		in := v.prog.insns[at]
		if in.Op == 0 {
			return true // the second half of an immediate load
		}
		var before, after *pathStep
		if cursor != nil {
			before, after = cursor.to(at)
		}
		if before != nil && (in.isCall() || in.isExit()) && before.top != after.top {
			depth = before.top
			if in.isExit() {
				returned[after.top] = after
				if want.frame == after.top && want.reg == 0 && !want.slot {
					want.frame = depth
				}
				return true
			}
			if want.frame == depth+1 {
				if in.isSubcall() {
					want.frame--
					add(at, "r%d was given to the function here", want.reg)
					return true
				}
				add(at, "r%d was given to the callback by %s", want.reg, v.named(at, in))
				return false
			}
			if back := returned[depth]; back != nil && want.frame == depth && want.reg > 5 && lost(in, &before.regs[want.reg], &back.regs[want.reg], want) {
				add(at, "%s makes r%d unusable, which was %s", v.named(at, in), want.reg, before.regs[want.reg].describe())
				return false
			}
			return true
		}
		switch {
		case before != nil && in.isSubcall():
			if want.frame == depth && want.reg >= 0 && want.reg <= 5 && !want.slot {
				if want.reg == 0 {
					add(at, "r0 is what the function returned")
				} else {
					add(at, "the call makes r%d unusable", want.reg)
				}
				return false
			}
		case in.isExit() && depth < maxFrames-1:
			depth++ // back into a function that has returned
			if want.frame == depth-1 && want.reg == 0 && !want.slot {
				want.frame = depth
			}
			return true
		case in.isSubcall():
			if depth > 0 && want.frame == depth {
				want.frame--
				add(at, "r%d was given to the function here", want.reg)
			}
			depth = max(0, depth-1)
			return true
		}
		if want.frame != depth {
			return true
		}
		if before != nil && want.reg >= 0 && after.top == before.top && lost(in, &before.regs[want.reg], &after.regs[want.reg], want) {
			if in.isJump() && !in.isCall() {
				add(at, "on this branch r%d is null, which was %s", want.reg, before.regs[want.reg].describe())
			} else {
				add(at, "%s makes r%d unusable, which was %s", v.named(at, in), want.reg, before.regs[want.reg].describe())
			}
			return false
		}
		if want.bytes > 0 {
			text := storedThere(in, before, &want)
			if text != "" {
				add(at, "%s", text)
			}
			return text == ""
		}
		if off, size := fromStack(in, before, h); size > 0 && want.reg == int(in.Dst()) && !want.slot {
			add(at, "r%d is read from the stack, where its bytes are not those of one number that was stored", want.reg)
			want = place{frame: want.frame, off: off, bytes: size, reg: -1}
			return true
		}
		if before != nil && in.class() == classLDX && want.reg == int(in.Dst()) && !want.slot && before.regs[in.Src()].kind == ptrCtx {
			add(at, "r%d is %s", want.reg, ofContext(&after.regs[want.reg]))
			return false
		}
		n, reg := len(all), want.reg
		goesOn := v.cause(in, at, h, &want, add)
		if len(all) > n && after != nil && after.top == depth && in.isJump() && !in.isCall() {
			all[n].Text += ", so that it is " + after.regs[reg].describe()
		}
		return goesOn && len(all) < most
	})
	return all
}

// ofContext is what a load from the context has given.
func ofContext(r *reg) string {
	switch r.kind {
	case ptrPacket:
		return "the packet's start, read from the context"
	case ptrPacketMeta:
		return "the start of the packet's metadata, read from the context"
	case ptrPacketEnd:
		return "the packet's end, read from the context"
	case scalar:
		return "read from the context, " + r.describe()
	}
	return "read from the context"
}

// lost reports whether a register is no pointer any more that the instruction does not write.
func lost(in insn, before, after *reg, want place) bool {
	return !want.slot && defines(in)>>want.reg&1 == 0 && before.isPointer() && !after.isPointer()
}

// defines are the registers that an instruction writes, those that a call destroys included.
func defines(in insn) uint16 {
	switch in.class() {
	case classALU, classALU64, classLDX:
		return 1 << in.Dst()
	case classLD:
		if in.Op == loadImm64 {
			return 1 << in.Dst()
		}
		return callerSaved
	case classSTX:
		switch {
		case !in.isAtomic():
		case in.Imm == atomicCmpxchg:
			return 1
		case in.Imm == atomicLoadAcq:
			return 1 << in.Dst()
		case in.Imm&atomicFetch != 0:
			return 1 << in.Src()
		}
	case classJMP:
		if in.isCall() {
			return callerSaved
		}
	}
	return 0
}

// named is what an instruction does in a word.
func (v *verifier) named(at int, in insn) string {
	switch {
	case in.isHelper():
		return "bpf_" + helperName(in.Imm)
	case in.isKfunc():
		return "the kernel function"
	case in.isSubcall():
		if f := v.prog.funcs[at+1+int(in.Imm)]; f != nil {
			return "the call of " + f.Name
		}
		return "the function called here"
	}
	return "this"
}

// A place is a register, or a slot of the stack.
type place struct {
	frame, reg, spi int
	slot            bool
	pointer         bool
	off, bytes      int // of the stack, where there is no slot to follow; reg is -1
}

// fromStack is the part of the stack that a load reads, if it reads no number or pointer that was stored as such.
func fromStack(in insn, before *pathStep, h *step) (off, size int) {
	if before == nil || in.class() != classLDX || h != nil && h.access {
		return 0, 0
	}
	r := &before.regs[in.Src()]
	if r.kind != ptrStack || int(r.frame) != before.top || !r.bits.isConst() {
		return 0, 0
	}
	return int(r.off) + int(r.bits.value) + int(in.Off), in.size()
}

// storedThere tells of a store into a part of the stack.
func storedThere(in insn, before *pathStep, want *place) string {
	if before == nil {
		return ""
	}
	if in.isHelper() {
		for n := 1; n <= 5; n++ {
			if r := &before.regs[n]; r.kind == ptrStack && int(r.frame) == want.frame && int(r.off) <= want.off && r.bits.isConst() {
				return "bpf_" + helperName(in.Imm) + " may have written there"
			}
		}
		return ""
	}
	if in.class() != classST && in.class() != classSTX {
		return ""
	}
	r := &before.regs[in.Dst()]
	if r.kind != ptrStack || int(r.frame) != want.frame {
		return ""
	}
	off := int(r.off) + int(in.Off)
	switch {
	case !r.bits.isConst():
		return fmt.Sprintf("%d bytes are stored in the stack at an offset that is not known here", in.size())
	case off == want.off && in.size() == want.bytes:
		return fmt.Sprintf("%d bytes are stored there, of which this kernel remembers nothing: they are not the first of a slot of 8", in.size())
	case off < want.off+want.bytes && want.off < off+in.size():
		return fmt.Sprintf("%d bytes at offset %d of the stack are stored, of %d at offset %d that are read", in.size(), off, want.bytes, want.off)
	}
	return ""
}

// cause tells what an instruction has to do with a place. false ends the way: the value was made here.
func (v *verifier) cause(in insn, at int, h *step, want *place, add func(at int, format string, args ...any)) bool {
	dst, src := int(in.Dst()), int(in.Src())
	if want.slot {
		if (in.class() == classSTX || in.class() == classST) && h != nil && h.access && int(h.spi) == want.spi && int(h.frame) == want.frame {
			add(at, "it was stored in the stack here")
			if in.class() == classST {
				return false
			}
			*want = place{frame: want.frame, reg: src}
		}
		return true
	}
	switch in.class() {
	case classALU, classALU64:
		if dst != want.reg {
			return true
		}
		switch {
		case in.op() == opMOV && in.fromReg():
			if in.class() == classALU && in.Off == 0 && dst == src {
				add(at, "the upper half of r%d is cleared", dst)
			} else if in.class() == classALU && in.Off == 0 {
				add(at, "r%d is the lower half of r%d", dst, src)
			} else if in.Off != 0 {
				add(at, "r%d is the lowest %d bits of r%d, with their sign", dst, in.Off, src)
			}
			want.reg = src
		case in.op() == opMOV:
			add(at, "r%d is set to %d", dst, in.Imm)
			return false
		case in.fromReg():
			add(at, "r%d is computed with r%d (%s)", dst, src, operator(in))
			if want.pointer {
				*want = place{frame: want.frame, reg: src} // what was added is what is not known
			}
		default:
			add(at, "r%d is computed with %d (%s)", dst, in.Imm, operator(in))
		}
	case classLDX:
		if dst != want.reg {
			return true
		}
		if h != nil && h.access {
			add(at, "r%d is read back from the stack", dst)
			*want = place{frame: int(h.frame), spi: int(h.spi), slot: true}
			return true
		}
		if want.pointer {
			add(at, "r%d is read from the context", dst)
			return false
		}
		add(at, "r%d is loaded from memory: of what memory holds nothing is known", dst)
		return false
	case classLD:
		if dst == want.reg {
			add(at, "r%d is made here", dst)
			return false
		}
	case classJMP, classJMP32:
		switch {
		case in.isHelper() && want.reg <= 5:
			if want.reg == 0 {
				name := fmt.Sprintf("helper %d", in.Imm)
				if row := helper.ByNumber(in.Imm); row != nil {
					name = "bpf_" + row.Name
				}
				add(at, "r0 is what %s returned", name)
			} else {
				add(at, "the call makes r%d unusable", want.reg)
			}
			return false
		case in.op() == jA, in.isCall(), in.isMayGoto():
		case dst == want.reg && in.fromReg():
			add(at, "r%d is compared with r%d", dst, src)
		case dst == want.reg:
			add(at, "r%d is compared with %d", dst, in.Imm)
		case in.fromReg() && src == want.reg:
			add(at, "r%d is compared with r%d", src, dst)
		}
	}
	return true
}

// comesHere is how the path came to a refusal that is about no register: by which branches, and from where something was acquired.
func (v *verifier) comesHere(e *Rejection) (all []Cause) {
	from := -1
	if e.Rule == "reference" && len(e.at.refs) > 0 {
		from = e.at.refs[0].insn
	}
	if from < 0 && e.Rule != "lock" {
		return nil
	}
	next := e.Insn
	backwards(e.at, func(at int, h *step) bool {
		in := v.prog.insns[at]
		switch {
		case in.isHelper() && (at == from || from < 0 && in.Imm == helperSpinLock):
			all = append(all, Cause{at, v.prog.line(at), "bpf_" + helperName(in.Imm) + " gives what must be given back"})
			return false
		case in.isJump() && !in.isCall() && !in.isExit() && in.op() != jA && len(all) < 4:
			way := "goes on behind"
			if next == in.target(at) {
				way = "takes"
			}
			all = append(all, Cause{at, v.prog.line(at), "the path " + way + " this branch"})
		}
		next = at
		return true
	})
	return all
}

func helperName(n int32) string {
	if row := helper.ByNumber(n); row != nil {
		return row.Name
	}
	return fmt.Sprintf("helper %d", n)
}

func operator(in insn) string {
	return [...]string{"+", "-", "*", "/", "|", "&", "<<", ">>", "negation", "%", "^", "=", "signed >>", "byte swap", "?", "?"}[in.op()>>4]
}

// backwards gives the instructions of the path to a state, the last one first, until f returns false.
func backwards(s *state, f func(at int, h *step) bool) {
	last, here := s.insn, true
	for s != nil && last >= 0 {
		history := len(s.history)
		for i := last; i >= 0; i = previous(s, i, &history) {
			if here {
				here = false // the instruction that is refused
				continue
			}
			if !f(i, stepAt(s, history, i)) {
				return
			}
		}
		if s = s.parent; s != nil {
			last = s.last
		}
	}
}

// Required is what a rule of [Rejection.Rule] asks for, in general; "" if there is no such rule.
func Required(rule string) string { return required[rule] }
