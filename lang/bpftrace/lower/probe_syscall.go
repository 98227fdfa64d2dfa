package lower

import (
	"strings"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// syscallSource is the context of the raw tracepoints sys_enter (pt_regs, number) and sys_exit (pt_regs, result), filtered
// for the system calls of the points.
type syscallSource struct {
	unit       *unit
	probe      *check.Probe
	points     []probe.Point
	tracepoint string // sys_enter or sys_exit
	typed      bool
	regs       regs
	names      bool
	index      *ir.Value // in ProbeNames, from the table
	ptRegs     *ir.Value
}

func newSyscallSource(u *unit, p *check.Probe, points []probe.Point) *syscallSource {
	s := &syscallSource{unit: u, probe: p, points: points, tracepoint: "sys_enter", regs: regsOf(u.target.Arch)}
	if strings.HasPrefix(points[0].Event, "sys_exit_") {
		s.tracepoint = "sys_exit"
	}
	s.names = p.UsesProbe || p.UsesFunc
	return s
}

// syscallTableSize is more than the largest system call number of any architecture; the last entry is for all others.
const syscallTableSize = 512

func (s *syscallSource) enter(f *fn, skip *ir.Block) {
	var nr *ir.Value
	if s.tracepoint == "sys_enter" {
		nr = f.b.Load(f.context(), 8, 8, false)
	} else {
		nr = s.register(f, s.regs.nr, s.regs.nrSize, false)
	}
	if len(s.points) == 1 {
		want := f.b.Const(int64(s.number(s.points[0])))
		f.branch(f.b.Binary(ir.OpEq, nr, want), nil, skip, ir.LikelyElse)
	} else {
		table := make([]uint32, syscallTableSize)
		for i, pt := range s.points {
			index := 1
			if s.names {
				index = s.unit.probeName(pt.Name)
			} else if i > 0 {
				index = 1
			}
			if n := s.number(pt); n < syscallTableSize-1 {
				table[n] = uint32(index)
			}
		}
		base := f.b.MapValue(MapStrings, s.unit.data.addTable(table))
		i := f.b.Bound(nr, syscallTableSize-1, true)
		at := f.b.Binary(ir.OpAdd, base, f.b.Binary(ir.OpShl, i, f.b.Const(2)))
		s.index = f.b.Load(at, 0, 4, false)
		f.branch(s.index, nil, skip, ir.LikelyThen)
	}
	// System calls of 32-bit processes have other numbers; their tracepoints do not exist.
	if s.regs.compatSize > 0 {
		mode := s.register(f, s.regs.compat, s.regs.compatSize, false)
		if s.regs.compatMask != 0 {
			mode = f.b.Binary(ir.OpAnd, mode, f.b.Const(s.regs.compatMask))
		}
		f.branch(f.b.Binary(ir.OpEq, mode, f.b.Const(s.regs.compatValue)), skip, nil, ir.LikelyElse)
	}
}

func (s *syscallSource) number(pt probe.Point) int {
	name := strings.TrimPrefix(strings.TrimPrefix(pt.Event, "sys_enter_"), "sys_exit_")
	n, ok := probe.SyscallNumber(name)
	if !ok {
		s.unit.fail(s.probe.Span, "the number of the system call %s is not known", name)
	}
	return n
}

// pointer gives pt_regs.
func (s *syscallSource) pointer(f *fn) *ir.Value {
	if s.ptRegs != nil && f.outer == nil {
		return s.ptRegs
	}
	var p *ir.Value
	if s.typed {
		p = f.b.LoadPointer(f.context(), 0)
	} else {
		p = f.b.Load(f.context(), 0, 8, false)
	}
	if f.outer == nil {
		s.ptRegs = p
	}
	return p
}

// register reads n bytes at an offset in pt_regs.
func (s *syscallSource) register(f *fn, off, n int, signed bool) *ir.Value {
	p := place{space: kernel, base: s.pointer(f), off: int64(off)}
	if s.typed {
		p.space = typed
	}
	return f.loadInt(p, n, signed)
}

func (s *syscallSource) field(f *fn, x *check.ArgsField) operand {
	n, signed := size(x.Field.Type), isSigned(x.Field.Type)
	if !isScalar(x.Field.Type) {
		f.fail(x.Span, "args.%s cannot be read", x.Field.Name)
	}
	// The record's common header of 8 bytes and the number come first; both tracepoints have 8 bytes for each field.
	i := (x.Field.Offset - 16) / 8
	switch {
	case x.Field.Offset < 16:
		if s.tracepoint == "sys_enter" {
			return operand{v: f.b.Load(f.context(), 8, n, signed)}
		}
		return operand{v: s.register(f, s.regs.nr, min(n, s.regs.nrSize), true)}
	case s.tracepoint == "sys_exit":
		return operand{v: f.b.Load(f.context(), 8, n, signed)}
	case i < len(s.regs.syscall):
		return operand{v: s.register(f, s.regs.syscall[i], n, signed)}
	}
	f.fail(x.Span, "args.%s is not an argument of a system call", x.Field.Name)
	return operand{}
}

func (s *syscallSource) arg(f *fn, n int, at check.Expr) *ir.Value { return noArgs{}.arg(f, n, at) }
func (s *syscallSource) retval(f *fn, at check.Expr) operand       { return noArgs{}.retval(f, at) }

func (s *syscallSource) probeIndex(f *fn) *ir.Value {
	switch {
	case s.index == nil:
		return f.constProbe(f)
	case f.outer != nil:
		return f.loadWord(f.frame.index)
	}
	return s.index
}
