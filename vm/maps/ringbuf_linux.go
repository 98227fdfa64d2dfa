package maps

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func newRingPages(size int) (*ringPages, error) {
	fd, err := unix.MemfdCreate("ringbuf", unix.MFD_CLOEXEC)
	if err != nil {
		return copiedRingPages(size)
	}
	defer unix.Close(fd)
	once := uintptr(2*os.Getpagesize() + size)
	if err := unix.Ftruncate(fd, int64(once)); err != nil {
		return nil, err
	}
	all := once + uintptr(size)
	at, err := unix.MmapPtr(-1, 0, nil, all, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	free := func() error { return unix.MunmapPtr(at, all) }
	second := int64(once) - int64(size)
	if _, err = unix.MmapPtr(fd, 0, at, once, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED); err == nil {
		_, err = unix.MmapPtr(fd, second, unsafe.Add(at, once), uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	}
	if err != nil {
		free()
		return nil, err
	}
	return &ringPages{bytes: bytesAt(at, int(all)), twice: true, free: free}, nil
}
