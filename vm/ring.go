package vm

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"unsafe"

	"skep/vm/maps"
)

// Drain gives the records of a ring buffer to f until there is none that is complete, and returns how many they were. It is for one
// reader at a time. The record is valid until f returns.
func Drain(m *maps.RingBuf, f func(record []byte)) int {
	const busy, discarded, header = 1 << 31, 1 << 30, 8
	consumer, producer := m.Pages()
	data := producer[os.Getpagesize():]
	mask := uint64(m.MaxEntries() - 1)
	at := binary.NativeEndian.Uint64(consumer)
	n := 0
	for at < load64(producer) {
		place := at & mask
		length := atomic.LoadUint32((*uint32)(unsafe.Pointer(&data[place])))
		if length&busy != 0 {
			break
		}
		size := uint64(length &^ (busy | discarded))
		if place+header+size > uint64(len(data)) {
			break // a program that nobody verified has written over the length
		}
		if length&discarded == 0 {
			f(data[place+header:][:size:size])
			n++
		}
		at += (size + header + 7) &^ 7
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&consumer[0])), at)
	}
	return n
}

func load64(b []byte) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(&b[0]))) }
