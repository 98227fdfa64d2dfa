package code

import "fmt"

// A Level is how much of what the kernel rejects is rejected.
type Level int

const (
	// Raw rejects what has no meaning. A shift by an immediate takes its lower bits, and a division by an immediate of 0 is like one by
	// a register that holds 0.
	Raw Level = iota
	// Strict also rejects shifts by an immediate that is out of range, divisions by an immediate of 0, and functions that end with a call of
	// what returns, as the kernel does.
	Strict
)

// maxSlots is more than the kernel takes from anybody. It keeps distances and sizes of machine code within 32 bits.
const maxSlots = 1 << 20

// An Error is a mistake in the form of a program.
type Error struct {
	Program string
	Slot    int
	Reason  string
}

func (e *Error) Error() string {
	if e.Program == "" {
		return fmt.Sprintf("instruction %d: %s", e.Slot, e.Reason)
	}
	return fmt.Sprintf("program %s: instruction %d: %s", e.Program, e.Slot, e.Reason)
}

// Check looks at the form of the program, without following it: opcodes and their unused fields, registers, targets of jumps and calls.
// Engines rely on it at level Raw. An error is an *Error.
func (p *Program) Check(level Level) error {
	c := checker{Program: p, level: level, second: make([]bool, len(p.Insns))}
	if err := c.functions(); err != nil {
		return err
	}
	for at := 0; at < len(p.Insns); at++ {
		if p.Insns[at].Op == LoadImm64 && at+1 < len(p.Insns) {
			at++
			c.second[at] = true
		}
	}
	for _, f := range p.Funcs {
		if err := c.function(f); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	*Program
	level  Level
	second []bool // the slots that are the second half of an immediate load
}

func (c *checker) fail(at int, format string, args ...any) error {
	return &Error{c.Name, at, fmt.Sprintf(format, args...)}
}

// functions checks that every slot belongs to one function.
func (c *checker) functions() error {
	if len(c.Insns) == 0 {
		return c.fail(0, "the program is empty")
	}
	if len(c.Insns) > maxSlots {
		return c.fail(maxSlots, "the program has more than %d instructions", maxSlots)
	}
	end := 0
	for _, f := range c.Funcs {
		if f.Start != end || f.End <= f.Start || f.End > len(c.Insns) {
			return c.fail(end, "function %s has the instructions from %d to %d, which does not follow on those before", f.Name, f.Start, f.End)
		}
		if f.Stack < 0 || f.Stack > 512 {
			return c.fail(f.Start, "function %s has a stack frame of %d bytes, and 512 are the limit", f.Name, f.Stack)
		}
		end = f.End
	}
	if end != len(c.Insns) {
		return c.fail(end, "the instruction is in no function")
	}
	return nil
}

func (c *checker) function(f Func) error {
	last := f.Start
	for at := f.Start; at < f.End; at++ {
		in := c.Insns[at]
		last = at
		if in.Dst() > 10 || in.Src() > 10 {
			return c.fail(at, "register r%d does not exist", max(in.Dst(), in.Src()))
		}
		var err error
		switch in.Class() {
		case ClassALU, ClassALU64:
			err = c.arithmetic(at, in)
		case ClassJMP, ClassJMP32:
			err = c.jump(at, in, f)
		default:
			err = c.access(at, in)
		}
		if err != nil {
			return err
		}
		if in.Op == LoadImm64 {
			if at+1 >= f.End {
				return c.fail(at, "the second half of the immediate load is missing")
			}
			at++
			if next := c.Insns[at]; next.Op != 0 || next.Regs != 0 || next.Off != 0 {
				return c.fail(at, "the second half of the immediate load has other fields than the immediate")
			}
		}
	}
	in := c.Insns[last]
	// A call may be one that does not return, as __bpf_trap; engines make sure.
	endless := in.Op == CallOp && (c.level == Raw || in.Src() == CallKfunc)
	if in.Op != Exit && in.Op != Goto && in.Op != GotoLong && !endless {
		return c.fail(last, "the last instruction of the function is neither exit nor a jump")
	}
	return nil
}

func (c *checker) arithmetic(at int, in Insn) error {
	wide := in.Class() == ClassALU64
	bits := int32(32)
	if wide {
		bits = 64
	}
	if in.Dst() == 10 {
		return c.fail(at, "the frame pointer r10 is read-only")
	}
	reg := in.Op&SrcReg != 0
	switch op := in.Alu(); op {
	case NEG:
		if reg || in.Src() != 0 || in.Imm != 0 || in.Off != 0 {
			return c.reserved(at, in)
		}
		return nil
	case END:
		if in.Src() != 0 || in.Off != 0 || wide && reg {
			return c.reserved(at, in)
		}
		if in.Imm != 16 && in.Imm != 32 && in.Imm != 64 {
			return c.fail(at, "bytes of %d bits cannot be swapped", in.Imm)
		}
		return nil
	case ADD, SUB, MUL, OR, AND, LSH, RSH, XOR, ARSH:
		if in.Off != 0 {
			return c.reserved(at, in)
		}
	case DIV, MOD:
		if in.Off != 0 && in.Off != 1 {
			return c.reserved(at, in)
		}
	case MOV:
		extends := in.Off == 8 || in.Off == 16 || in.Off == 32 && wide
		if in.Off != 0 && !(reg && extends) {
			return c.reserved(at, in)
		}
	default:
		return c.unknown(at, in)
	}
	if reg && in.Imm != 0 || !reg && in.Src() != 0 {
		return c.reserved(at, in)
	}
	if c.level == Strict && !reg {
		switch op := in.Alu(); {
		case (op == DIV || op == MOD) && in.Imm == 0:
			return c.fail(at, "division by zero")
		case (op == LSH || op == RSH || op == ARSH) && (in.Imm < 0 || in.Imm >= bits):
			return c.fail(at, "a shift of %d bits by %d", bits, in.Imm)
		}
	}
	return nil
}

func (c *checker) jump(at int, in Insn, f Func) error {
	reg := in.Op&SrcReg != 0
	switch {
	case in.Op == CallOp:
		if in.Dst() != 0 || in.Off != 0 {
			return c.reserved(at, in)
		}
		switch in.Src() {
		case CallLocal:
			if to := in.Target(at); c.FuncAt(to) < 0 {
				return c.fail(at, "the call goes to instruction %d, where no function begins", to)
			}
		case CallHelper, CallKfunc:
			if in.Imm < 0 || int(in.Imm) >= len(c.Calls) {
				return c.fail(at, "function %d that the program calls is not known", in.Imm)
			}
		default:
			return c.reserved(at, in)
		}
		return nil
	case in.Op == Exit:
		if in.Regs != 0 || in.Imm != 0 || in.Off != 0 {
			return c.reserved(at, in)
		}
		return nil
	case in.Op == Goto || in.Op == MayGoto:
		if in.Regs != 0 || in.Imm != 0 {
			return c.reserved(at, in)
		}
	case in.Op == GotoLong:
		if in.Regs != 0 || in.Off != 0 {
			return c.reserved(at, in)
		}
	default:
		switch in.Alu() {
		case JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE:
			if reg && in.Imm != 0 || !reg && in.Src() != 0 {
				return c.reserved(at, in)
			}
		default:
			return c.unknown(at, in)
		}
	}
	to := in.Target(at)
	if to < f.Start || to >= f.End {
		return c.fail(at, "the jump goes to instruction %d, out of its function", to)
	}
	if c.second[to] {
		return c.fail(at, "the jump goes to instruction %d, into the middle of an immediate load", to)
	}
	return nil
}

func (c *checker) access(at int, in Insn) error {
	writes := false // the destination register
	switch in.Class() | in.Mode() {
	case ClassLD | ModeIMM:
		if in.Bytes() != 8 {
			return c.unknown(at, in)
		}
		if in.Src() != 0 || in.Off != 0 {
			return c.reserved(at, in)
		}
		writes = true
	case ClassLD | ModeABS, ClassLD | ModeIND:
		if in.Bytes() == 8 {
			return c.unknown(at, in)
		}
		if in.Dst() != 0 || in.Off != 0 || in.Mode() == ModeABS && in.Src() != 0 {
			return c.reserved(at, in)
		}
	case ClassLDX | ModeMEM, ClassLDX | ModeMEMSX:
		if in.Mode() == ModeMEMSX && in.Bytes() == 8 {
			return c.unknown(at, in)
		}
		if in.Imm != 0 {
			return c.reserved(at, in)
		}
		writes = true
	case ClassST | ModeMEM:
		if in.Src() != 0 {
			return c.reserved(at, in)
		}
	case ClassSTX | ModeMEM:
		if in.Imm != 0 {
			return c.reserved(at, in)
		}
	case ClassSTX | ModeATOMIC:
		return c.atomic(at, in)
	default:
		return c.unknown(at, in)
	}
	if writes && in.Dst() == 10 {
		return c.fail(at, "the frame pointer r10 is read-only")
	}
	return nil
}

func (c *checker) atomic(at int, in Insn) error {
	small := in.Bytes() < 4
	written := -1
	switch in.Imm {
	case ADD, OR, AND, XOR:
	case ADD | AtomicFetch, OR | AtomicFetch, AND | AtomicFetch, XOR | AtomicFetch, AtomicXchg:
		written = int(in.Src())
	case AtomicCmp:
	case AtomicLoad:
		small = false
		written = int(in.Dst())
	case AtomicStore:
		small = false
	default:
		return c.fail(at, "atomic operation %#x is not known", in.Imm)
	}
	if small {
		return c.unknown(at, in)
	}
	if written == 10 {
		return c.fail(at, "the frame pointer r10 is read-only")
	}
	return nil
}

func (c *checker) unknown(at int, in Insn) error {
	switch in.Op {
	case ClassJMP | CALL | SrcReg, ClassJMP | JA | SrcReg:
		return c.fail(at, "calls and jumps to where a register says (opcode %#02x) do not exist here", in.Op)
	}
	return c.fail(at, "opcode %#02x is not known", in.Op)
}

func (c *checker) reserved(at int, in Insn) error {
	return c.fail(at, "opcode %#02x with a field set that it does not use", in.Op)
}
