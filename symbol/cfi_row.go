package symbol

import "math"

// cfiRow says how to get from a frame to the one that called it, at one place of the code.
type cfiRow struct {
	// cfa is how the canonical frame address is computed, which on all machines here is the stack pointer of the caller:
	// the register column and a number to be added, or an expression.
	cfa    cfiRule
	column uint8 // of cfa
	ra     uint8 // the register that becomes the place in the caller
	signal bool
	debug  bool   // from .debug_frame
	set    uint64 // the registers that have a rule; others are as they are
	rules  [maxColumns]cfiRule
}

// cfiRule is where a register's value in the caller comes from.
type cfiRule struct {
	arg  int32
	kind cfiKind
}

type cfiKind uint8

const (
	cfiSame            cfiKind = iota // no rule
	cfiUndefined                      // lost; for the return address: this is the outermost frame
	cfiOffset                         // in memory at the frame address plus arg
	cfiValueOffset                    // the frame address plus arg
	cfiRegister                       // in register arg
	cfiExpression                     // in memory where expression arg says
	cfiValueExpression                // what expression arg says
	cfiNone                           // a cfa that no instruction has set
)

// maxRemembered bounds the stack of states; compilers make one or two.
const maxRemembered = 8

// cfiProgram runs the instructions of a CIE and an FDE up to one place.
type cfiProgram struct {
	row, initial cfiRow
	remembered   [maxRemembered]cfiRow
	depth        int
	common       cfiCommon
	loc, pc      uint64
	columns      uint8
	expressions  *cfiExpressions
}

// row computes the row for pc, if there is a table with one. The result belongs to p.
func (t *cfiTable) row(p *cfiProgram, w, common *cfiWindow, pc uint64) (*cfiRow, bool) {
	if t == nil {
		return nil, false
	}
	pos, ok := t.find(w, pc)
	if !ok {
		return nil, false
	}
	c, start, size, program, ok := t.description(w, common, pos)
	if !ok || pc < start || pc-start >= size {
		return nil, false
	}
	p.common, p.depth = c, 0
	p.row = cfiRow{cfa: cfiRule{kind: cfiNone}, ra: uint8(c.column), signal: c.signal, debug: t.debug}
	p.loc, p.pc = 0, math.MaxUint64
	if !p.run(c.program) {
		return nil, false
	}
	p.initial = p.row
	p.loc, p.pc = start, pc
	return &p.row, p.run(program) && p.row.cfa.kind != cfiNone
}

// run executes instructions until they are for code behind pc; false means that they are broken.
func (p *cfiProgram) run(b cfiBytes) bool {
	for len(b.b) > 0 && p.loc <= p.pc {
		op := b.u8()
		low := uint64(op & 0x3f)
		ok := true
		switch op >> 6 {
		case 1:
			p.advance(low)
		case 2:
			ok = p.offset(low, cfiOffset, int64(b.uleb()))
		case 3:
			p.restore(low)
		default:
			ok = p.execute(op, &b)
		}
		if !ok || b.bad {
			return false
		}
	}
	return true
}

// execute runs an instruction that has no operand in its own byte.
func (p *cfiProgram) execute(op uint8, b *cfiBytes) bool {
	switch op {
	case 0x00: // nop
	case 0x01: // set_loc
		loc, ok := b.pointer(p.common.encoding, 0)
		p.loc = loc
		return ok
	case 0x02: // advance_loc1
		p.advance(b.number(1))
	case 0x03: // advance_loc2
		p.advance(b.number(2))
	case 0x04: // advance_loc4
		p.advance(b.number(4))
	case 0x1d: // MIPS_advance_loc8
		p.advance(b.number(8))
	case 0x05: // offset_extended
		return p.offset(b.uleb(), cfiOffset, int64(b.uleb()))
	case 0x06: // restore_extended
		p.restore(b.uleb())
	case 0x07: // undefined
		p.set(b.uleb(), cfiRule{kind: cfiUndefined})
	case 0x08: // same_value
		p.set(b.uleb(), cfiRule{kind: cfiSame})
	case 0x09: // register
		column, from := b.uleb(), b.uleb()
		if from >= uint64(p.columns) {
			p.set(column, cfiRule{kind: cfiUndefined})
			break
		}
		p.set(column, cfiRule{kind: cfiRegister, arg: int32(from)})
	case 0x0a: // remember_state
		if p.depth == maxRemembered {
			return false
		}
		p.remembered[p.depth] = p.row
		p.depth++
	case 0x0b: // restore_state
		if p.depth == 0 {
			return false
		}
		p.depth--
		p.row = p.remembered[p.depth]
	case 0x0c: // def_cfa
		return p.frame(b.uleb(), int64(b.uleb()))
	case 0x0d: // def_cfa_register
		return p.frame(b.uleb(), int64(p.row.cfa.arg))
	case 0x0e: // def_cfa_offset
		return p.frame(uint64(p.row.column), int64(b.uleb()))
	case 0x0f: // def_cfa_expression
		arg, ok := p.expression(b)
		p.row.cfa = cfiRule{kind: cfiExpression, arg: arg}
		return ok
	case 0x10, 0x16: // expression, val_expression
		kind := cfiExpression
		if op == 0x16 {
			kind = cfiValueExpression
		}
		column := b.uleb()
		arg, ok := p.expression(b)
		p.set(column, cfiRule{kind: kind, arg: arg})
		return ok
	case 0x11: // offset_extended_sf
		return p.offset(b.uleb(), cfiOffset, b.sleb())
	case 0x12: // def_cfa_sf
		return p.frame(b.uleb(), b.sleb()*p.common.dataUnit)
	case 0x13: // def_cfa_offset_sf
		return p.frame(uint64(p.row.column), b.sleb()*p.common.dataUnit)
	case 0x14: // val_offset
		return p.offset(b.uleb(), cfiValueOffset, int64(b.uleb()))
	case 0x15: // val_offset_sf
		return p.offset(b.uleb(), cfiValueOffset, b.sleb())
	case 0x2c, 0x2d: // AARCH64_negate_ra_state, with and without the place: signatures are always cut off
	case 0x2e: // GNU_args_size: matters for landing in the frame only
		b.uleb()
	case 0x2f: // GNU_negative_offset_extended
		return p.offset(b.uleb(), cfiOffset, -int64(b.uleb()))
	default:
		return false
	}
	return true
}

// advance goes on to code further behind; p.loc stays behind pc once it is.
func (p *cfiProgram) advance(units uint64) {
	by := units * p.common.codeUnit
	if p.common.codeUnit != 0 && by/p.common.codeUnit != units || p.loc+by < p.loc {
		p.loc = math.MaxUint64
		return
	}
	p.loc += by
}

// set notes a register's rule. Registers that are not followed, those for vectors, have none.
func (p *cfiProgram) set(column uint64, r cfiRule) {
	if column >= uint64(p.columns) {
		return
	}
	p.row.rules[column] = r
	if p.row.set |= 1 << column; r.kind == cfiSame {
		p.row.set &^= 1 << column
	}
}

func (p *cfiProgram) restore(column uint64) {
	if column < uint64(p.columns) {
		p.set(column, p.initial.rules[column])
	}
}

func (p *cfiProgram) offset(column uint64, kind cfiKind, units int64) bool {
	n := units * p.common.dataUnit
	p.set(column, cfiRule{kind: kind, arg: int32(n)})
	return n == int64(int32(n))
}

// frame makes the frame address a register plus n.
func (p *cfiProgram) frame(column uint64, n int64) bool {
	p.row.cfa, p.row.column = cfiRule{kind: cfiOffset, arg: int32(n)}, uint8(column)
	return column < uint64(p.columns) && n == int64(int32(n))
}

// expression keeps the expression that follows, and returns its number.
func (p *cfiProgram) expression(b *cfiBytes) (int32, bool) {
	code := b.take(b.uleb())
	return p.expressions.add(code), !b.bad
}
