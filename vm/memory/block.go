// Package memory is what eBPF programs of the machine may touch: blocks outside the garbage collector, at addresses that stay, and
// the table of the regions that a program was given.
package memory

import (
	"fmt"
	"unsafe"
)

// A Block is zeroed memory at an address that stays the same until it is freed. Programs see that address.
type Block struct {
	bytes []byte
	low   bool
}

// New allocates a block of at least size bytes, page-aligned.
func New(size int) (*Block, error) {
	b, err := allocate(max(size, 1))
	if err != nil {
		return nil, fmt.Errorf("allocating %d bytes for programs: %w", size, err)
	}
	return &Block{bytes: b[:size]}, nil
}

// Bytes is the block as Go sees it. It must not be used after Free.
func (b *Block) Bytes() []byte { return b.bytes }

// Base is the block's first address.
func (b *Block) Base() uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b.bytes)))) }

// Free gives the memory back. Nothing may run that knows of it.
func (b *Block) Free() error {
	bytes := b.bytes
	b.bytes = nil
	if b.low {
		if cap(bytes) == 0 {
			return nil
		}
		return releaseLow(bytes)
	}
	return release(bytes)
}

// At is the memory at an address as Go sees it. The caller has found the address in a [Space], or knows its block.
func At(addr uint64, size int) []byte {
	// The address belongs to a block, which the garbage collector does not know and which does not move.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), size)
}
