package maps

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// words is an array of u64s that are read and written at once; 0 is none.
type words struct {
	base
	block *memory.Block
}

func newWords(a *attr, opts Options) (*words, error) {
	w := &words{base: a.base(opts)}
	if tooBig(uint64(a.maxEntries), 8) {
		return w, ENOMEM
	}
	var err error
	if w.block, err = memory.New(w.maxEntries * 8); err != nil {
		return w, ENOMEM
	}
	return w, nil
}

func (w *words) Close() error { return w.block.Free() }

// at is the word of an index that is in range.
func (w *words) at(i uint32) *uint64 { return (*uint64)(unsafe.Pointer(&w.block.Bytes()[int(i)*8])) }

func (w *words) get(i uint32) uint64 {
	if uint(i) >= uint(w.maxEntries) {
		return 0
	}
	return atomic.LoadUint64(w.at(i))
}

// Lookup gives the address of a word that is not 0.
func (w *words) Lookup(_ int, key []byte) uint64 {
	if i := index(key); w.get(i) != 0 {
		return address(unsafe.Pointer(w.at(i)))
	}
	return 0
}

func (w *words) Regions() []memory.Region {
	return []memory.Region{{Base: w.block.Base(), Size: uint64(len(w.block.Bytes())), ReadOnly: true, Name: w.regionName()}}
}

func (w *words) nextKey(key, next []byte) error { return w.nextIndex(key, next) }

func (w *words) userLookup(key, value []byte, _ uint64) error {
	word := w.get(index(key))
	if word == 0 {
		return ENOENT
	}
	var bytes [8]byte
	binary.NativeEndian.PutUint64(bytes[:], word)
	copy(value, bytes[:])
	return nil
}

func (w *words) each(f func(key, value []byte) bool) error { return w.eachIndex(w.userLookup, f) }

// Target is what the host finds at an index; 0 is nothing.
func (w *words) Target(i uint32) uint64 { return w.get(i) }
