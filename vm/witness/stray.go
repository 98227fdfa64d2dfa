package witness

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"skep/vm/code"
)

// strays tells of an access of memory next to what the refused instruction's pointer was given for: the machine knows the memory of a
// whole map or stack, and lets it pass. What the pointer is, the verifier knows: an address alone does not tell, since values of maps may
// lie next to a stack.
func (t *tracer) strays(in code.Insn, r *[11]uint64) string {
	through := t.s.rejection.Through()
	if through.Reg < 0 {
		return ""
	}
	addr := r[through.Reg] + uint64(int64(in.Off))
	size := uint64(in.Bytes())
	if through.Frame >= 0 {
		top := t.frames[through.Frame&7]
		if top == 0 || addr-(top-512) < 512 && addr-(top-512)+size <= 512 {
			return ""
		}
		return fmt.Sprintf("an access of %d bytes at offset %d of the stack, which has 512 bytes below r10", size, int64(addr-top))
	}
	bases, length := t.valuesOf(through.Map)
	for _, base := range bases {
		if addr-base < length && addr-base+size <= length {
			return ""
		}
	}
	switch len(bases) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("an access of %d bytes at offset %d of a value of %s, which has %d bytes", size, int64(addr-bases[0]), through.Map, length)
	}
	return fmt.Sprintf("an access of %d bytes outside of all values of %s that were looked up, which have %d bytes", size, through.Map, length)
}

// valuesOf are the values of a map that the program can have pointers to: those that it has looked up, or the only one.
func (t *tracer) valuesOf(name string) (bases []uint64, length uint64) {
	for _, m := range t.s.tables {
		if m.name != name {
			continue
		}
		length = uint64(m.ValueSize())
		if m.Type() == ebpf.Array && m.MaxEntries() == 1 {
			return []uint64{m.Lookup(0, binary.NativeEndian.AppendUint32(nil, 0))}, length
		}
	}
	for _, f := range t.found {
		if f.t.name == name {
			bases = append(bases, f.addr)
		}
	}
	return bases, length
}
