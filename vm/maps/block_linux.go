package maps

import (
	"golang.org/x/sys/unix"

	"skep/vm/memory"
)

// hugePages asks for big pages for a block that look-ups touch everywhere: small ones would miss the TLB each time.
func hugePages(b *memory.Block) {
	if len(b.Bytes()) >= 2<<20 {
		unix.Madvise(b.Bytes(), unix.MADV_HUGEPAGE) // it is only slower without
	}
}
