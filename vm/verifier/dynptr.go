package verifier

import (
	"github.com/cilium/ebpf"

	"skep/vm/helper"
)

// A dynptrKind is what a dynptr leads to.
type dynptrKind uint8

const (
	dynptrNone dynptrKind = iota
	dynptrLocal
	dynptrRingbuf
	dynptrSKB
	dynptrXDP
	dynptrSKBMeta
	dynptrFile
)

// counted kinds must be given back.
func (k dynptrKind) counted() bool { return k == dynptrRingbuf || k == dynptrFile }

// packet kinds lead into a packet, and what was taken of them is void when it moves.
func (k dynptrKind) packet() bool { return k == dynptrSKB || k == dynptrXDP || k == dynptrSKBMeta }

const dynptrSlots = 2

// A dynptr is an initialized one: in slots of the stack, or given to a function.
type dynptr struct {
	kind    dynptrKind
	id, ref uint32
	frame   *frame
	spi     int
}

// dynptrArg asks for an initialized dynptr, of a kind if that is not dynptrNone.
func (v *verifier) dynptrArg(n int, r *reg, want dynptrKind, constant bool, who string) dynptr {
	var d dynptr
	switch r.kind {
	case ptrDynptr:
		if !constant {
			v.rejectReg(n, "dynptr", "%s would change the dynptr in r%d, which is given for reading", who, n)
		}
		if r.off != 0 || r.bits != (tnum{}) {
			v.rejectReg(n, "dynptr", "r%d was moved and is no dynptr", n)
		}
		d = dynptr{kind: dynptrKind(r.what), id: r.id, ref: r.ref}
	case ptrStack:
		f, first, ok := v.object(n, r, dynptrSlots, "a dynptr")
		if !ok || first < 1 || f.stack[first].fill != allOf(fillDynptr) || !f.stack[first].reg.first || f.stack[first-1].fill != allOf(fillDynptr) {
			v.rejectReg(n, "dynptr", "r%d must be an initialized dynptr for %s", n, who)
		}
		v.readObject(f, first, dynptrSlots)
		s := &f.stack[first]
		d = dynptr{kind: dynptrKind(s.reg.what), id: s.reg.id, ref: s.reg.ref, frame: f, spi: first}
	default:
		v.rejectReg(n, "argument", "r%d must be a dynptr on the stack for %s, and is %s", n, who, r.describe())
	}
	if want != dynptrNone && want != d.kind {
		v.rejectReg(n, "dynptr", "%s does not work on a dynptr of this kind", who)
	}
	return d
}

func allOf(f fill) [8]fill { return [8]fill{f, f, f, f, f, f, f, f} }

// initDynptr makes the memory that r points to a dynptr. ref is the reference that it shares, 0 for a new one where its kind has one.
func (v *verifier) initDynptr(n int, r *reg, kind dynptrKind, ref uint32, who string) {
	if r.kind != ptrStack {
		v.rejectReg(n, "argument", "r%d must point to the stack, where %s makes a dynptr, and is %s", n, who, r.describe())
	}
	if f, first, ok := v.object(n, r, dynptrSlots, "a dynptr"); ok && v.rules.kernel < linux(6, 3) {
		for i := range dynptrSlots {
			if f.stack[first-i].fill[0] == fillDynptr {
				v.rejectReg(n, "dynptr", "r%d points to a dynptr already, which Linux %s lets nothing overwrite", n, v.rules.kernel)
			}
		}
	}
	for i := range dynptrSlots {
		v.access(access{reg: n, off: 8 * i, size: 8, write: true, value: -1, anyBytes: true})
	}
	f, first, _ := v.object(n, r, dynptrSlots, "a dynptr")
	for i := range dynptrSlots {
		v.overwrite(f, first-i)
	}
	var x reg
	x.setPointer(slotDynptr, 0)
	x.what = uint8(kind)
	x.id = v.newID()
	if kind.counted() {
		if ref == 0 {
			ref = v.acquire()
		}
		x.ref = ref
	}
	v.fillObject(f, first, dynptrSlots, fillDynptr, x)
}

// endDynptr makes slots no dynptr any more, and what was taken of it void.
func (v *verifier) endDynptr(f *frame, spi int) {
	id := f.stack[spi].reg.id
	v.clearObject(f, spi, dynptrSlots)
	v.cur.each(func(r *reg) {
		if r.kind == ptrMem && r.dyn == id && id != 0 {
			life := r.life
			r.setUnknown()
			r.life = life
		}
	})
}

// releaseDynptr ends a dynptr and all copies of it.
func (v *verifier) releaseDynptr(d dynptr) {
	if !d.kind.counted() {
		v.endDynptr(d.frame, d.spi)
		return
	}
	v.cur.release(d.ref)
	v.forgetReference(d.ref)
	f := v.cur.frame()
	if d.frame != f {
		v.endDynptr(d.frame, d.spi)
	}
	for i := range f.stack {
		if s := &f.stack[i]; s.fill[0] == fillDynptr && s.reg.first && s.reg.ref == d.ref {
			v.endDynptr(f, i)
		}
	}
}

// checkDynptrArg checks a dynptr that a helper takes.
func (v *verifier) checkDynptrArg(c *helperCall, n int, a helper.Arg, r *reg) {
	want := dynptrNone
	switch {
	case a.Has(helper.LocalDynptr):
		want = dynptrLocal
	case a.Has(helper.RingbufDynptr):
		want = dynptrRingbuf
	}
	if a.Has(helper.Uninit) {
		v.initDynptr(n, r, want, 0, c.title())
		return
	}
	if a.Has(helper.Release) && r.kind != ptrStack {
		v.rejectReg(n, "reference", "r%d is no dynptr that %s could give back", n, c.title())
	}
	c.dynptr = v.dynptrArg(n, r, want, a.Has(helper.ReadOnly), c.title())
	if a.Has(helper.Release) && c.dynptr.ref == 0 {
		v.rejectReg(n, "reference", "r%d is no dynptr that %s could give back", n, c.title())
	}
}

// packetSlice are pointers taken of a dynptr into the packet.
func (v *verifier) sliceFlags(k dynptrKind) flags {
	if k.packet() {
		return packetSlice
	}
	return 0
}

// writesPackets reports whether slices of packets may be written by programs of the type.
func writesPackets(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP, ebpf.LWTXmit, ebpf.SkSKB, ebpf.SkMsg, ebpf.CGroupSockopt:
		return true
	}
	return false
}
