package user

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMoved has instructions that are done in another place as they are, and those that cannot be.
func TestMoved(t *testing.T) {
	for word, want := range map[uint32]string{
		0xa9be7bfd: "",               // stp x29, x30, [sp, #-32]!
		0xd503233f: "",               // paciasp
		0xd4200000: "another tracer", // brk #0
		0xd4000001: "another place",  // svc #0
		0x58000041: "another place",  // ldr x1, #8
		0xc85f7c20: "another place",  // ldxr x0, [x1]
		0xd65f0bff: "another place",  // retaa
		0xd61f0000: "",               // br x0
		0x10000000: "",               // adr x0, #0
	} {
		code := binary.LittleEndian.AppendUint32(nil, word)
		if _, err := decode(code, 8); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%08x: %v, want %q", word, err, want)
		}
	}
}

// TestEmulated has those that are done with the registers.
func TestEmulated(t *testing.T) {
	const carry, zero = 1 << 29, 1 << 30
	for _, c := range []struct {
		word   uint32
		pstate uint64
		pc     uint64
		x0, lr uint64
	}{
		{0xd503245f, 0, 0x1004, 9, 0},      // bti c
		{0xd503201f, 0, 0x1004, 9, 0},      // nop
		{0x14000004, 0, 0x1010, 9, 0},      // b +16
		{0x97ffffff, 0, 0x0ffc, 9, 0x1004}, // bl -4
		{0x54000080, zero, 0x1010, 9, 0},   // b.eq +16
		{0x54000080, 0, 0x1004, 9, 0},      // b.eq +16, not equal
		{0x54000088, carry, 0x1010, 9, 0},  // b.hi +16
		{0x34000080, 0, 0x1004, 9, 0},      // cbz w0, +16
		{0xb5000080, 0, 0x1010, 9, 0},      // cbnz x0, +16
		{0x36080080, 0, 0x1010, 9, 0},      // tbz w0, #1, +16
		{0x37180080, 0, 0x1010, 9, 0},      // tbnz w0, #3, +16
		{0xd63f0020, 0, 0x2000, 9, 0x1004}, // blr x1
		{0xd65f03c0, 0, 0, 9, 0},           // ret
		{0x10000080, 0, 0x1004, 0x1010, 0}, // adr x0, +16
		{0xb0000000, 0, 0x1004, 0x2000, 0}, // adrp x0, +1 page
		{0x10ffffe0, 0, 0x1004, 0x0ffc, 0}, // adr x0, -4
	} {
		i, err := decode(binary.LittleEndian.AppendUint32(nil, c.word), 8)
		if err != nil {
			t.Fatal(err)
		}
		regs := unix.PtraceRegs{Pc: 0x1000, Pstate: c.pstate}
		regs.Regs[0], regs.Regs[1] = 9, 0x2000
		if !i.emulate(&regs, nil) || regs.Pc != c.pc || regs.Regs[0] != c.x0 || regs.Regs[30] != c.lr {
			t.Errorf("%08x: pc %#x, x0 %#x, lr %#x; want %+v", c.word, regs.Pc, regs.Regs[0], regs.Regs[30], c)
		}
	}
	i, err := decode([]byte{0xfd, 0x7b, 0xbe, 0xa9}, 8)
	if err != nil || i.emulate(&unix.PtraceRegs{}, nil) {
		t.Errorf("a store was taken for something else: %v", err)
	}
}
