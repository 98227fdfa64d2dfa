package lower

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// constData is the value of MapStrings: zeros first, then constant strings and tables.
type constData struct {
	bytes []byte
	index map[string]int64
}

// zeros makes room for n zero bytes at offset 0.
func (d *constData) zeros(n int) {
	d.bytes = make([]byte, n)
	d.index = map[string]int64{}
}

// add returns the offset of these bytes, which are followed by at least eight zeros.
func (d *constData) add(b []byte) int64 {
	if off, ok := d.index[string(b)]; ok {
		return off
	}
	off := int64(len(d.bytes))
	d.index[string(b)] = off
	d.bytes = append(d.bytes, b...)
	d.bytes = append(d.bytes, make([]byte, 8+(8-len(d.bytes)%8)%8)...)
	return off
}

// addTable returns the offset of a table of 32-bit numbers.
func (d *constData) addTable(t []uint32) int64 {
	b := make([]byte, 0, 4*len(t))
	for _, n := range t {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return d.add(b)
}

// addTexts returns the offset of a table of strings, and the size of each in it.
func (d *constData) addTexts(texts []string) (off, size int64) {
	most := 0
	for _, s := range texts {
		most = max(most, len(s)+1)
	}
	most = (most + 7) &^ 7
	b := make([]byte, most*len(texts))
	for i, s := range texts {
		copy(b[most*i:], s)
	}
	return d.add(b), int64(most)
}

func (d *constData) spec() *ebpf.MapSpec {
	value := append([]byte(nil), d.bytes...)
	return &ebpf.MapSpec{
		Name: MapStrings, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(value)), MaxEntries: 1,
		Flags: unix.BPF_F_RDONLY_PROG, Contents: []ebpf.MapKV{{Key: uint32(0), Value: value}},
	}
}
