package vm

import (
	"math"

	"skep/vm/code"
	"skep/vm/maps"
)

// mapLookup is the number of map_lookup_elem.
const mapLookup = 1

// inlineArrays finds the calls that look up in an array which is known, and gives each array a row of its own: machine code then does
// without the call. An array is known if the load of its address is before the call and nothing can come between.
func (l *loader) inlineArrays(p *code.Program) {
	targets := map[int]bool{}
	for at := 0; at < len(p.Insns); at++ {
		if in := p.Insns[at]; in.Op == code.LoadImm64 {
			at++
		} else if in.Jumps() {
			targets[in.Target(at)] = true
		}
	}
	for _, f := range p.Funcs {
		targets[f.Start] = true
	}
	rows := map[maps.Map]int32{}
	handle := uint64(0) // in r1
	for at := 0; at < len(p.Insns); at++ {
		if targets[at] {
			handle = 0
		}
		in := p.Insns[at]
		switch {
		case in.Op == code.LoadImm64:
			if in.Dst() == 1 {
				handle = uint64(uint32(in.Imm)) | uint64(uint32(p.Insns[at+1].Imm))<<32
			}
			at++
		case in.Op == code.CallOp && in.Src() == code.CallHelper:
			if p.Calls[in.Imm].ID == mapLookup && handle != 0 {
				if row, ok := l.arrayRow(p, rows, handle, in.Imm); ok {
					p.Insns[at].Imm = row
				}
			}
			handle = 0
		case in.Class() == code.ClassJMP || in.Class() == code.ClassJMP32:
			if in.Op == code.CallOp || in.Op == code.Exit {
				handle = 0
			}
		case in.Class() == code.ClassST || in.Class() == code.ClassSTX && in.Mode() != code.ModeATOMIC:
			// Stores leave registers alone.
		case in.Dst() == 1 || in.Src() == 1 && in.Mode() == code.ModeATOMIC && in.Class() == code.ClassSTX || in.Class() == code.ClassLD:
			handle = 0
		}
	}
}

// arrayRow is the row of calls that look up in the map, if it is an array.
func (l *loader) arrayRow(p *code.Program, rows map[maps.Map]int32, handle uint64, call int32) (int32, bool) {
	m, ok := l.machine.mapAt(handle).(*maps.Array)
	if !ok {
		return 0, false
	}
	if row, known := rows[m]; known {
		return row, true
	}
	base, stride, cpu := m.Layout()
	if stride > math.MaxInt32 || cpu > math.MaxInt32 || m.MaxEntries() > math.MaxInt32 {
		return 0, false
	}
	c := p.Calls[call]
	c.Array = &code.Array{Base: base, Stride: uint32(stride), Entries: uint32(m.MaxEntries()), CPU: uint32(cpu)}
	row := int32(len(p.Calls))
	p.Calls = append(p.Calls, c)
	rows[m] = row
	return row, true
}
