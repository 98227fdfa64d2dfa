package lower

import (
	"skep/ir"
	"skep/schema"
)

// space is the memory that a place lies in: it decides how it is read.
type space uint8

const (
	memory space = iota // the program's own: stack, scratch, map values, the context; read and written directly
	typed               // kernel memory behind a BTF-typed pointer: read directly
	kernel              // any kernel address: read with bpf_probe_read_kernel
	user                // any user address: read with bpf_probe_read_user
	either              // any address, which tells itself: read with bpf_probe_read
)

// reader is the helper that copies bytes from this space.
func (s space) reader() int64 {
	switch s {
	case user:
		return fnProbeReadUser
	case either:
		return fnProbeRead
	}
	return fnProbeReadKernel
}

// stringReader is the helper that copies a string from this space.
func (s space) stringReader() int64 {
	switch s {
	case user:
		return fnProbeReadUserStr
	case either:
		return fnProbeReadStr
	}
	return fnProbeReadKernelStr
}

// place is where a value lies that is not in a register: base+off in one of the spaces.
type place struct {
	space space
	base  *ir.Value
	off   int64
	// padded says of a string that all bytes after its NUL are zero, up to the end of its memory.
	padded bool
	// nullable says of typed memory that the pointer may be NULL, as far as the verifier knows: what lies there is zero then.
	nullable bool
	// words says that the verifier allows to read words of 8 bytes only.
	words bool
	// size of the memory if it differs from that of the type of the value, 0 otherwise.
	size int
}

func (p place) at(off int64) place {
	p.off += off
	p.padded, p.size = false, 0
	return p
}

// isScalar reports whether values of a type live in registers; others live in places.
func isScalar(t *schema.Type) bool {
	switch t.Kind {
	case schema.String, schema.Buffer, schema.Array, schema.Struct, schema.Tuple, schema.Inet, schema.MAC, schema.USym, schema.UStack, schema.Ratio,
		schema.Avg, schema.Stats, schema.Hist, schema.LHist, schema.TSeries, schema.Min, schema.Max:
		return false
	}
	return true
}

// scalarSize is the width of a scalar in memory.
func scalarSize(t *schema.Type) int {
	switch t.Kind {
	case schema.Bool:
		return 1
	case schema.ProbeName, schema.Username, schema.Errno, schema.SignalName:
		return 4
	case schema.Int, schema.Enum:
		return t.Size
	}
	return 8
}

func isSigned(t *schema.Type) bool {
	switch t.Kind {
	case schema.Int, schema.Enum:
		return t.Signed
	case schema.Errno, schema.SignalName:
		return true
	}
	return false
}

// size is the number of bytes of a value in memory.
func size(t *schema.Type) int {
	if isScalar(t) {
		return scalarSize(t)
	}
	switch t.Kind {
	case schema.Inet:
		return 20
	case schema.MAC:
		return 6
	case schema.USym, schema.UStack:
		return 16
	}
	return t.Size
}

// align is the alignment of a value in memory.
func align(t *schema.Type) int {
	if isScalar(t) {
		return scalarSize(t)
	}
	switch t.Kind {
	case schema.String, schema.MAC:
		return 1
	case schema.Buffer, schema.Inet:
		return 4
	case schema.Array:
		if t.Elem != nil {
			return align(t.Elem)
		}
		return 1
	case schema.Tuple:
		a := 1
		for _, f := range t.Fields {
			a = max(a, align(f.Type))
		}
		return a
	case schema.Struct:
		// Its members are not asked for: structs come from the kernel, and copies of them need no more than this.
		for a := 8; a > 1; a /= 2 {
			if t.Size%a == 0 {
				return a
			}
		}
		return 1
	}
	return 8
}

// load reads a scalar of type t at a place.
func (f *fn) load(p place, t *schema.Type) *ir.Value {
	return f.loadInt(p, scalarSize(t), isSigned(t))
}

// loadInt reads an integer of n bytes at a place.
func (f *fn) loadInt(p place, n int, signed bool) *ir.Value {
	switch p.space {
	case memory:
		if p.words && n < 8 {
			word := f.b.Load(p.base, p.off&^7, 8, false)
			op := ir.OpZExt
			if signed {
				op = ir.OpSExt
			}
			return f.b.Ext(op, f.b.Binary(ir.OpShr, word, f.b.Const(8*(p.off&7))), 8*n)
		}
		return f.b.Load(p.base, p.off, n, signed)
	case typed:
		return f.unlessNull(p, ir.Scalar, func() *ir.Value { return f.b.Load(p.base, p.off, n, signed) })
	}
	slot := f.slot("read", n, 8)
	f.probeRead(slot, n, p)
	return f.b.Load(slot, 0, n, signed)
}

// unlessNull is the value of load, or 0 where the pointer is NULL.
func (f *fn) unlessNull(p place, t ir.Type, load func() *ir.Value) *ir.Value {
	if !p.nullable {
		return load()
	}
	return f.pick(p.base, t, ir.LikelyThen, load, func() *ir.Value { return f.b.Const(0) })
}

// costlyWalk reports whether it is better not to read a pointer directly from behind base. When the verifier meets a pointer in
// memory that it trusts, the arguments of a tracepoint and the current task, it goes through all of the kernel's types up to four times: half a
// millisecond each, more than reading by a helper costs in ten thousand events. Since Linux 7.0 types are sorted. Where a lockdown forbids
// the helper, there is no choice.
func (f *fn) costlyWalk(base *ir.Value) bool {
	if f.target.Kernel < 6<<16|3<<8 || f.target.Kernel >= 7<<16 {
		return false
	}
	trusted := base.Op == ir.OpCall || base.Op == ir.OpLoad && f.ctx != nil && base.Args[0] == f.ctx
	return trusted && f.target.Supports(ir.ReadKernel)
}

// loadField reads a scalar member of a struct at a place, a bit field included.
func (f *fn) loadField(p place, m schema.Field) *ir.Value {
	p = p.at(int64(m.Offset))
	if p.space == typed && m.Type.Kind == schema.Pointer && m.Type.Elem != nil && isKernelStruct(m.Type.Elem) {
		if f.costlyWalk(p.base) {
			p.space, p.nullable = kernel, false
			return f.loadInt(p, 8, false)
		}
		return f.unlessNull(p, ir.KernelPointer, func() *ir.Value { return f.b.LoadPointer(p.base, p.off) })
	}
	if m.BitSize == 0 {
		return f.load(p, m.Type)
	}
	n := scalarSize(m.Type)
	// Only the bytes that the bits lie in are read: a kernel may refuse to read past them.
	first, last := m.BitOffset/8, (m.BitOffset+m.BitSize-1)/8
	width := 1
	for width < last-first+1 {
		width *= 2
	}
	if first+width > n {
		first, width = 0, n
	}
	p.off += int64(first)
	x := f.loadInt(p, width, false)
	if shift := m.BitOffset - 8*first; shift > 0 {
		x = f.b.Binary(ir.OpShr, x, f.b.Const(int64(shift)))
	}
	op := ir.OpZExt
	if isSigned(m.Type) {
		op = ir.OpSExt
	}
	return f.b.Ext(op, x, m.BitSize)
}

// probeRead copies n bytes from a place in foreign memory to own memory; what cannot be read becomes zero.
func (f *fn) probeRead(dst *ir.Value, n int, from place) {
	src := f.b.AddConst(f.plain(from.base), from.off)
	helper := from.space.reader()
	r := f.b.Call(helper, ir.Scalar, 0, dst, f.b.Const(int64(n)), src)
	f.helperError(r, helperName(helper))
}

// address gives the address of a place as a number.
func (f *fn) address(p place) *ir.Value { return f.b.AddConst(f.plain(p.base), p.off) }

// slot gives the address of new memory of the function.
func (f *fn) slot(name string, size, align int) *ir.Value {
	return f.b.SlotAddr(f.b.F.NewSlot(name, size, align, ir.Auto))
}

// scratchSlot gives the address of new memory outside the stack, for big values and for offsets known only at run time.
func (f *fn) scratchSlot(name string, size int) *ir.Value {
	return f.b.SlotAddr(f.b.F.NewSlot(name, (size+7)&^7, 8, ir.Scratch))
}

// copyTo copies n bytes of a place to own memory.
func (f *fn) copyTo(dst *ir.Value, off int64, from place, n int) {
	if n == 0 {
		return
	}
	if from.space != memory && from.space != typed {
		f.probeRead(f.b.AddConst(dst, off), n, from)
		return
	}
	if from.space == typed {
		// A struct may be longer than what may be read directly in one go; the helper takes any address.
		from.space = kernel
		f.probeRead(f.b.AddConst(dst, off), n, from)
		return
	}
	f.b.Copy(f.b.AddConst(dst, off), f.b.AddConst(from.base, from.off), int64(n))
}
