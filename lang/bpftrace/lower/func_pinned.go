package lower

import (
	"strconv"

	"github.com/cilium/ebpf"

	"skep/ir"
	"skep/lang/bpftrace/check"
)

// pinnedKey is the size of the keys of maps that pinned() looks into.
const pinnedKey = 8

// pinnedCall looks for a key in a map that the host finds at a path.
func pinnedCall(f *fn, x *check.Call) operand {
	key := f.slot("pinned key", pinnedKey, 8)
	f.b.Store(key, 0, pinnedKey, f.value(x.Args[0]))
	found := f.b.Call(fnMapLookup, ir.MaybeNull, 0, f.b.Map(f.pinnedMap(x.Args[1].(*check.Str).Value)), key)
	return operand{v: f.pick(found, ir.Scalar, ir.LikelyUnknown,
		func() *ir.Value { return f.b.Const(1) },
		func() *ir.Value { return f.b.Const(0) })}
}

// pinnedMap names the map at a path. All but its keys is the other program's choice, which the host finds out.
func (u *unit) pinnedMap(path string) string {
	for name, s := range u.Spec.Maps {
		if s.Pinning == ebpf.PinByName && s.Tags[0] == path {
			return name
		}
	}
	s := &ebpf.MapSpec{Type: ebpf.Hash, KeySize: pinnedKey, ValueSize: 8, MaxEntries: 1, Pinning: ebpf.PinByName, Tags: []string{path}}
	for n := 0; ; n++ {
		if s.Name = "pinned_" + strconv.Itoa(n); u.Spec.Maps[s.Name] == nil {
			u.Spec.Maps[s.Name] = s
			return s.Name
		}
	}
}
