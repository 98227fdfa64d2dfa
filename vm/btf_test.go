package vm

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFollowPointers has a program load from memory of the host's, where what is missing reads as zeros.
func TestFollowPointers(t *testing.T) {
	const base = 0xffff_8000_0000_1000
	memory := make([]byte, 128)
	binary.NativeEndian.PutUint32(memory[4+4:], 5)      // in.y
	binary.NativeEndian.PutUint64(memory[24:], base+64) // next
	binary.NativeEndian.PutUint32(memory[64+4:], 9)     // next.in.x
	binary.NativeEndian.PutUint64(memory[64+24:], 0xffff_9000_0000_0000)
	memory[13] = 0xfe // name[1]
	m := machine(t, Options{KernelTypes: types(t, "btf"), Host: Host{ReadKernel: func(_ *Thread, addr uint64, to []byte) error {
		if addr < base || addr-base+uint64(len(to)) > uint64(len(memory)) {
			return errors.New("no such memory")
		}
		copy(to, memory[addr-base:])
		return nil
	}}})
	for _, v := range variants() {
		c, err := m.Load(readObject(t, "btf"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := m.NewWords(base, 42)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := thread(t, m).Run(c.Programs["follow"], ctx); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{5, 9, 0, -2, 42, 0, 0, 0}, words(t, c.Maps[".bss"])); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
	}
}
