package memory

import "fmt"

// NewLow allocates a block below 4 GB, so that its addresses fit into the 32 bits that the contexts of packets have for them. It is an
// error where the operating system keeps that part of the address space for itself.
func NewLow(size int) (*Block, error) {
	b, err := allocateLow(max(size, 1))
	if err != nil {
		return nil, fmt.Errorf("allocating %d bytes for programs below 4 GB: %w", size, err)
	}
	return &Block{bytes: b[:size], low: true}, nil
}
