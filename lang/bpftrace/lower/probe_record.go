package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
)

// recordSource is the context of tracepoints through perf events: the tracepoint's record.
type recordSource struct{ noArgs }

func (recordSource) field(f *fn, x *check.ArgsField) operand {
	m := x.Field
	record := place{base: f.context()}
	if m.DataLoc || m.DataRel {
		// Where the bytes lie is known only at run time, so that they are read with a helper.
		loc := f.b.Load(f.context(), int64(m.Offset), 4, false)
		at := f.b.Binary(ir.OpAnd, loc, f.b.Const(0xffff))
		base := f.b.Binary(ir.OpAdd, f.plain(f.context()), at)
		off := int64(0)
		if m.DataRel {
			off = int64(m.Offset) + 4
		}
		if isScalar(m.Type) {
			// char * or a pointer to the elements
			return operand{v: f.b.AddConst(base, off)}
		}
		return operand{place: place{space: kernel, base: base, off: off}}
	}
	if !isScalar(m.Type) {
		// The context may be read by load instructions only; helpers get its address as a number.
		return operand{place: place{space: kernel, base: f.plain(f.context()), off: int64(m.Offset)}}
	}
	return operand{v: f.loadField(record, m)}
}
