package maps

import (
	"math"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// A Bloom is BPF_MAP_TYPE_BLOOM_FILTER: Peek says whether a value was pushed, perhaps wrongly so but never wrongly not.
type Bloom struct {
	base
	hashes uint32
	mask   uint64 // of bits
	seed   uint64
	block  *memory.Block
}

func newBloom(a *attr, opts Options) (Map, error) {
	switch {
	case a.valueSize > maxAllocation:
		return nil, E2BIG
	case a.keySize != 0 || a.valueSize == 0 || a.maxEntries == 0 || !a.only(flagNUMANode|flagZeroSeed|flagsAccess) || a.extra&^0xf != 0:
		return nil, EINVAL
	}
	m := &Bloom{base: a.base(opts), hashes: uint32(a.extra), seed: newSeed(a.flags, opts)}
	if m.hashes == 0 {
		m.hashes = 5
	}
	// The best number of bits for as many entries and hash functions, n*k/ln 2, as a power of two.
	bits := uint64(1) << 32
	if want := uint64(math.Ceil(float64(a.maxEntries) * float64(m.hashes) / math.Ln2)); want <= 1<<31 {
		power, _ := powerAbove(uint32(want))
		bits = max(uint64(power), 64)
	}
	m.mask = bits - 1
	var err error
	if m.block, err = memory.New(int(bits / 8)); err != nil {
		return nil, ENOMEM
	}
	return m, nil
}

func (m *Bloom) Close() error { return m.block.Free() }

// word finds the bit of a hash function in the 32-bit words.
func (m *Bloom) word(value []byte, function uint32) (*uint32, uint32) {
	at := uint64(hash(value, m.seed+uint64(function)*hashMul2)) & m.mask
	return (*uint32)(unsafe.Pointer(&m.block.Bytes()[at/32*4])), 1 << (at % 32)
}

func (m *Bloom) Push(value []byte, flags uint64) error {
	if flags != Any {
		return EINVAL
	}
	for i := range m.hashes {
		word, bit := m.word(value, i)
		atomic.OrUint32(word, bit)
	}
	return nil
}

func (m *Bloom) Pop([]byte) error { return EOPNOTSUPP }

// Peek looks for the value.
func (m *Bloom) Peek(value []byte) error {
	for i := range m.hashes {
		word, bit := m.word(value, i)
		if atomic.LoadUint32(word)&bit == 0 {
			return ENOENT
		}
	}
	return nil
}

func (m *Bloom) Delete([]byte) error                            { return EOPNOTSUPP }
func (m *Bloom) userDelete([]byte) error                        { return EOPNOTSUPP }
func (m *Bloom) nextKey(_, _ []byte) error                      { return EOPNOTSUPP }
func (m *Bloom) userLookup(_, value []byte, _ uint64) error     { return m.Peek(value) }
func (m *Bloom) userUpdate(_, value []byte, flags uint64) error { return m.Push(value, flags) }
