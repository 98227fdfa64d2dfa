package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// cached reads the first pages of a file, or of a block device, one by one, when none is in memory; then again one by one, and all of
// them at once. After that it writes the first ten pages again, and twenty behind those that were read. It does so once before it
// waits, so that nothing but this touches pages later.
func cached(file string, pages int) (func() error, error) {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	page, all := make([]byte, 4096), make([]byte, 4096*pages)
	if _, err := unix.Pwrite(fd, all, 0); err != nil {
		return nil, err
	}
	job := func() error {
		return inTurn(
			func() error { return readPages(fd, page, pages) },
			func() error { return readPages(fd, page, pages) },
			func() error { _, err := unix.Pread(fd, all, 0); return err },
			func() error { return writePages(fd, page, 0, 10) },
			func() error { return writePages(fd, page, pages, 20) },
		)
	}
	if err := forget(fd); err != nil {
		return nil, err
	}
	if err := job(); err != nil {
		return nil, err
	}
	return job, forget(fd)
}

// forget has the kernel drop what it has of a file in memory, and read nothing ahead.
func forget(fd int) error {
	return inTurn(
		func() error { return unix.Fsync(fd) },
		func() error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) },
		func() error { return unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) },
	)
}

func readPages(fd int, page []byte, pages int) error {
	for i := range pages {
		if _, err := unix.Pread(fd, page, int64(4096*i)); err != nil {
			return err
		}
	}
	return nil
}

func writePages(fd int, page []byte, first, pages int) error {
	for i := first; i < first+pages; i++ {
		if _, err := unix.Pwrite(fd, page, int64(4096*i)); err != nil {
			return err
		}
	}
	return nil
}
