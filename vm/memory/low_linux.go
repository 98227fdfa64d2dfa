package memory

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Low blocks are laid one after the other from lowFirst on: above what small programs without ASLR occupy, and below 2 GB so that no
// address looks negative.
const (
	lowFirst = 0x2000_0000
	lowEnd   = 0x7fff_0000
)

// lowNext is where the next low block is tried first.
var lowNext atomic.Uint64

func allocateLow(size int) ([]byte, error) {
	page := uint64(unix.Getpagesize())
	// An inaccessible page behind each block keeps faulty code from the next.
	step := (uint64(size)+page-1)/page*page + page
	if step > lowEnd-lowFirst {
		return nil, unix.ENOMEM
	}
	for tries := 0; tries < 4096; tries++ {
		end := lowNext.Add(step)
		addr := lowFirst + (end-step)%(lowEnd-lowFirst)
		if addr+step > lowEnd {
			continue
		}
		p, err := unix.MmapPtr(-1, 0, at(addr), uintptr(size), unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if uint64(uintptr(p)) != addr { // a kernel before 4.17, which takes the address as a wish
			_ = unix.MunmapPtr(p, uintptr(size))
			return nil, errors.New("the kernel does not allocate at a given address")
		}
		return unsafe.Slice((*byte)(p), size), nil
	}
	return nil, unix.ENOMEM
}

func releaseLow(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(cap(b)))
}

// at makes a pointer of an address that the garbage collector has no part in.
func at(addr uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
