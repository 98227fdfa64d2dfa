package symbol

import "debug/elf"

// aarch64 numbers x0 to x30, sp, and pc. The return address is in x30 until a function saves it; where it is signed, the
// signature takes bits above those of an address (of 48 bits, unless a process asks for more).
var aarch64 = architecture{
	machine: elf.EM_AARCH64,
	columns: 33,
	ip:      32,
	sp:      31,
	fp:      29,
	link:    true,
	mask:    1<<48 - 1,
	kernel: []uint8{
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
	},
}
