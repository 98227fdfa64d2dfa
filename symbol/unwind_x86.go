package symbol

import (
	"bytes"
	"debug/elf"
)

// x86 numbers registers as the System V ABI does: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, and the return
// address, which as the place of a frame is rip.
var x86 = architecture{
	machine: elf.EM_X86_64,
	columns: 17,
	ip:      16,
	sp:      7,
	fp:      6,
	mask:    1<<63 - 1,
	// r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp
	kernel: []uint8{15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5, noColumn, 16, noColumn, noColumn, 7},
}

// x86Entry is the row of a function's first instruction: the return address is on the top of the stack.
var x86Entry = cfiRow{
	cfa: cfiRule{kind: cfiOffset, arg: 8}, column: 7,
	ra: 16, set: 1 << 16, rules: [maxColumns]cfiRule{16: {kind: cfiOffset, arg: -8}},
}

// isStub tells an indirect jump through a fixed place, which only stubs of the linker (PLT) and calls in place of a return
// have. Not all linkers describe their stubs, those of static programs are never described.
func (im *image) isStub(vaddr uint64) bool {
	off, ok := im.offset(vaddr)
	var b [11]byte
	if !ok {
		return false
	}
	n, _ := im.r.ReadAt(b[:], int64(off))
	code := bytes.TrimPrefix(b[:n], []byte{0xf3, 0x0f, 0x1e, 0xfa}) // endbr64
	code = bytes.TrimPrefix(code, []byte{0xf2})                     // bnd
	return bytes.HasPrefix(code, []byte{0xff, 0x25})
}
