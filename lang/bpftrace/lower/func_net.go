package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

const (
	afInet  = 2
	afInet6 = 10
)

// ntopCall makes an Inet: u32 family, 16 bytes of address.
func ntopCall(f *fn, x *check.Call) operand {
	slot := f.slot("inet", 24, 8)
	addr := x.Args[len(x.Args)-1]
	t := addr.Type()
	family := f.b.Const(afInet)
	if !isScalar(t) && size(t) == 16 {
		family = f.b.Const(afInet6)
	}
	if len(x.Args) > 1 {
		family = f.value(x.Args[0])
	}
	switch {
	case isScalar(t) && t.Kind != schema.Pointer:
		v := f.value(addr)
		f.zero(slot, 0, 24)
		f.b.Store(slot, 4, 4, v)
	default:
		var p place
		n := 16
		if isScalar(t) {
			p = f.stringAt(addr)
			if t.Elem != nil && size(t.Elem) > 0 {
				n = min(16, size(t.Elem))
			}
		} else {
			p = f.at(addr)
			n = min(16, size(t))
		}
		f.zero(slot, 0, 24)
		f.copyTo(slot, 4, p, n)
	}
	f.b.Store(slot, 0, 4, family)
	return operand{place: place{base: slot}}
}

// macaddrCall copies the six bytes of a hardware address.
func macaddrCall(f *fn, x *check.Call) operand {
	slot := f.slot("mac", 8, 8)
	f.zero(slot, 0, 8)
	addr := x.Args[0]
	if isScalar(addr.Type()) {
		f.copyTo(slot, 0, f.stringAt(addr), 6)
	} else {
		f.copyTo(slot, 0, f.at(addr), 6)
	}
	return operand{place: place{base: slot}}
}

func bswapCall(f *fn, x *check.Call) operand {
	n := scalarSize(x.T)
	v := f.value(x.Args[0])
	if n == 1 {
		return operand{v: v}
	}
	return operand{v: f.wrap(f.b.Ext(ir.OpSwap, v, 8*n), x.T)}
}

// ptonCall is an address known when compiled.
func ptonCall(f *fn, x *check.Call) operand {
	return operand{place: f.constString(x.Args[0].(*check.Str).Value)}
}
