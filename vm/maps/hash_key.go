package maps

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// hash spreads keys over buckets. The seed keeps others from choosing keys that collide.
func hash(key []byte, seed uint64) uint32 {
	const m1, m2 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	switch len(key) {
	case 4:
		return fold(uint64(binary.NativeEndian.Uint32(key))^seed, m1)
	case 8:
		return fold(binary.NativeEndian.Uint64(key)^seed, m1)
	}
	h := seed ^ uint64(len(key))*m2
	for len(key) > 8 {
		hi, lo := bits.Mul64(binary.NativeEndian.Uint64(key)^h, m1^seed>>1)
		h = hi ^ lo + m2
		key = key[8:]
	}
	var last uint64
	for i, c := range key {
		last |= uint64(c) << (8 * i)
	}
	return fold(last^h, m1)
}

func fold(a, b uint64) uint32 {
	hi, lo := bits.Mul64(a, b)
	x := hi ^ lo
	return uint32(x ^ x>>32)
}

func newSeed(flags uint32) uint64 {
	if flags&flagZeroSeed != 0 {
		return 0
	}
	return rand.Uint64()
}

// equal compares a key with the one of an element, which may change meanwhile.
func equal(key []byte, other unsafe.Pointer) bool {
	switch len(key) {
	case 4:
		return binary.NativeEndian.Uint32(key) == *(*uint32)(other)
	case 8:
		return binary.NativeEndian.Uint64(key) == *(*uint64)(other)
	}
	return string(key) == unsafe.String((*byte)(other), len(key))
}
