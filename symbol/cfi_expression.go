package symbol

// cfiExpressions keeps the distinct expressions of a file's rows.
type cfiExpressions struct {
	code   [][]byte
	number map[string]int32
	size   int
}

func (x *cfiExpressions) add(code []byte) int32 {
	if i, ok := x.number[string(code)]; ok {
		return i
	}
	if x.number == nil {
		x.number = make(map[string]int32)
	}
	i := int32(len(x.code))
	x.code = append(x.code, append([]byte(nil), code...))
	x.number[string(code)] = i
	x.size += len(code) + 64
	return i
}

// Bounds on an expression: an evaluation that jumps back for ever ends.
const (
	maxOperands = 64
	maxSteps    = 1 << 12
)

// evaluation is the stack of an expression that is being computed.
type evaluation struct {
	frame *frame
	arch  *architecture
	bias  uint64 // from the addresses in the file to those in the process
	stack [maxOperands]uint64
	depth int
	bad   UnwindError
}

func (e *evaluation) push(v uint64) {
	if e.depth == maxOperands {
		e.fail(UnwindBadTable)
		return
	}
	e.stack[e.depth] = v
	e.depth++
}

// at returns the place of the nth operand from the top.
func (e *evaluation) at(n uint64) *uint64 {
	if n >= uint64(e.depth) {
		e.fail(UnwindBadTable)
		return &e.stack[0]
	}
	return &e.stack[uint64(e.depth)-1-n]
}

func (e *evaluation) pop() uint64 {
	v := *e.at(0)
	e.depth = max(e.depth-1, 0)
	return v
}

func (e *evaluation) fail(why UnwindError) {
	if e.bad == unwindOn {
		e.bad = why
	}
}

// run evaluates an expression; its result is on the top.
func (e *evaluation) run(code []byte) (uint64, UnwindError) {
	b := cfiBytes{b: code}
	for steps := 0; len(b.b) > 0 && e.bad == unwindOn; steps++ {
		if steps == maxSteps {
			return 0, UnwindBadTable
		}
		switch op := b.u8(); {
		case op >= 0x30 && op <= 0x4f: // lit
			e.push(uint64(op - 0x30))
		case op >= 0x70 && op <= 0x8f: // breg
			e.push(e.register(uint64(op-0x70)) + uint64(b.sleb()))
		case op >= 0x1a && op <= 0x2e && op != 0x1f && op != 0x20 && op != 0x23 && op != 0x28:
			e.binary(op)
		case op == 0x28: // bra
			by := b.signed(2)
			if e.pop() != 0 {
				b = e.jump(code, b, by)
			}
		case op == 0x2f: // skip
			b = e.jump(code, b, b.signed(2))
		default:
			e.other(op, &b)
		}
		if b.bad {
			return 0, UnwindBadTable
		}
	}
	v := e.pop()
	return v, e.bad
}

// jump returns what follows by bytes behind b.
func (e *evaluation) jump(code []byte, b cfiBytes, by int64) cfiBytes {
	to := int64(len(code)-len(b.b)) + by
	if to < 0 || to > int64(len(code)) {
		return cfiBytes{bad: true}
	}
	return cfiBytes{b: code[to:]}
}

func (e *evaluation) register(column uint64) uint64 {
	v, ok := e.frame.register(column)
	if !ok {
		e.fail(UnwindUnknownRegister)
	}
	return v
}

// load reads up to 8 bytes of memory.
func (e *evaluation) load(addr uint64, size uint8) uint64 {
	v, ok := e.frame.stack.load(addr, uint64(size))
	if !ok {
		e.fail(UnwindStackShort)
	}
	return v
}

// other runs an operation that is neither a jump nor takes two operands.
func (e *evaluation) other(op uint8, b *cfiBytes) {
	switch op {
	case 0x03: // addr
		e.push(b.number(8) + e.bias)
	case 0x06: // deref
		e.push(e.load(e.pop(), 8))
	case 0x94: // deref_size
		e.push(e.load(e.pop(), b.u8()))
	case 0x08, 0x0a, 0x0c, 0x0e: // const1u, const2u, const4u, const8u
		e.push(b.number(1 << ((op - 0x08) / 2)))
	case 0x09, 0x0b, 0x0d, 0x0f: // const1s, const2s, const4s, const8s
		e.push(uint64(b.signed(1 << ((op - 0x09) / 2))))
	case 0x10: // constu
		e.push(b.uleb())
	case 0x11: // consts
		e.push(uint64(b.sleb()))
	case 0x12: // dup
		e.push(*e.at(0))
	case 0x13: // drop
		e.pop()
	case 0x14: // over
		e.push(*e.at(1))
	case 0x15: // pick
		e.push(*e.at(uint64(b.u8())))
	case 0x16: // swap
		x, y := e.at(0), e.at(1)
		*x, *y = *y, *x
	case 0x17: // rot: the top goes below the next two
		x, y, z := e.at(0), e.at(1), e.at(2)
		*x, *y, *z = *y, *z, *x
	case 0x19: // abs
		if x := e.at(0); int64(*x) < 0 {
			*x = -*x
		}
	case 0x1f: // neg
		x := e.at(0)
		*x = -*x
	case 0x20: // not
		x := e.at(0)
		*x = ^*x
	case 0x23: // plus_uconst
		*e.at(0) += b.uleb()
	case 0x92: // bregx
		e.push(e.register(b.uleb()) + uint64(b.sleb()))
	case 0x96: // nop
	default:
		e.fail(UnwindBadTable)
	}
}

// binary runs an operation on two operands; y is the one on the top.
func (e *evaluation) binary(op uint8) {
	y := e.pop()
	p := e.at(0)
	x := *p
	claim := func(holds bool) uint64 {
		if holds {
			return 1
		}
		return 0
	}
	switch op {
	case 0x1a:
		x &= y
	case 0x1b: // div, with sign
		if y == 0 {
			e.fail(UnwindBadTable)
			return
		}
		x = uint64(int64(x) / int64(y))
	case 0x1c:
		x -= y
	case 0x1d: // mod, without sign
		if y == 0 {
			e.fail(UnwindBadTable)
			return
		}
		x %= y
	case 0x1e:
		x *= y
	case 0x21:
		x |= y
	case 0x22:
		x += y
	case 0x24:
		x <<= y
	case 0x25:
		x >>= y
	case 0x26:
		x = uint64(int64(x) >> y)
	case 0x27:
		x ^= y
	case 0x29:
		x = claim(x == y)
	case 0x2a:
		x = claim(int64(x) >= int64(y))
	case 0x2b:
		x = claim(int64(x) > int64(y))
	case 0x2c:
		x = claim(int64(x) <= int64(y))
	case 0x2d:
		x = claim(int64(x) < int64(y))
	case 0x2e:
		x = claim(x != y)
	}
	*p = x
}
