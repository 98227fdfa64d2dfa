package maps

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

const (
	hashMul1 = 0x9e3779b97f4a7c15
	hashMul2 = 0xd6e8feb86659fd93
)

// hash spreads keys over buckets. The seed keeps others from choosing keys that collide.
func hash(key []byte, seed uint64) uint32 {
	switch len(key) {
	case 4:
		return hashWord(uint64(binary.NativeEndian.Uint32(key)), seed)
	case 8:
		return hashWord(binary.NativeEndian.Uint64(key), seed)
	}
	h := seed ^ uint64(len(key))*hashMul2
	for len(key) > 16 {
		hi, lo := bits.Mul64(binary.NativeEndian.Uint64(key)^h, binary.NativeEndian.Uint64(key[8:])^seed^hashMul1)
		h = hi ^ lo + hashMul2
		key = key[16:]
	}
	var a, b uint64
	switch {
	case len(key) >= 8:
		a, b = binary.NativeEndian.Uint64(key), binary.NativeEndian.Uint64(key[len(key)-8:])
	case len(key) >= 4:
		a, b = uint64(binary.NativeEndian.Uint32(key)), uint64(binary.NativeEndian.Uint32(key[len(key)-4:]))
	default:
		a, b = uint64(key[0])|uint64(key[len(key)/2])<<8, uint64(key[len(key)-1])
	}
	hi, lo := bits.Mul64(a^h, b^seed^hashMul1)
	return hashWord(hi^lo, h)
}

func hashWord(k, seed uint64) uint32 {
	hi, lo := bits.Mul64(k^seed, hashMul1)
	x := hi ^ lo
	return uint32(x ^ x>>32)
}

// A mixer makes hashes of words that are permutations of them: different words have different hashes.
type mixer struct {
	seed uint64
	odd  uint64 // a secret factor
}

func newMixer(seed uint64) mixer { return mixer{seed, (seed*hashMul2 ^ hashMul1) | 1} }

func (m *mixer) mix32(k uint32) uint32 {
	x := (k ^ uint32(m.seed)) * (hashMul1>>32 | 1)
	x = (x ^ x>>15) * uint32(m.odd)
	return x ^ x>>16
}

func (m *mixer) mix64(k uint64) uint64 {
	x := (k ^ m.seed) * hashMul1
	x = (x ^ x>>32) * m.odd
	return x ^ x>>32
}

func newSeed(flags uint32, opts Options) uint64 {
	if flags&flagZeroSeed != 0 || opts.Repeatable {
		return 0
	}
	return rand.Uint64()
}
