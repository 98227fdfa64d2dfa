package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// briefFiles makes files below dir/skep-PID, and deletes them at once: a, with b from its folder, d, which was c, f while it is open,
// and two of the name e, the first of which gets 60 milliseconds old. One that was there before is opened, and deleted too.
func briefFiles(dir string) (func() error, error) {
	dir = filepath.Join(dir, "skep-"+strconv.Itoa(os.Getpid()))
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{dir, file("1"), file("2")} {
		if err := unix.Mkdir(d, 0o755); err != nil {
			return nil, fmt.Errorf("%s: %w", d, err)
		}
	}
	if err := touch(unix.AT_FDCWD, file("old")); err != nil {
		return nil, err
	}
	return func() error {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return inTurn(
			func() error { return touch(unix.AT_FDCWD, file("a")) },
			func() error { return unix.Unlink(file("a")) },
			func() error { return touch(fd, "b") },
			func() error { return unix.Unlinkat(fd, "b", 0) },
			func() error { return touch(unix.AT_FDCWD, file("c")) },
			func() error { return unix.Rename(file("c"), file("d")) },
			func() error { return unix.Unlink(file("d")) },
			func() error { return touch(unix.AT_FDCWD, file("1/e")) },
			func() error { return nanosleep(60_000) },
			func() error { return touch(unix.AT_FDCWD, file("2/e")) },
			func() error { return unix.Unlink(file("2/e")) },
			func() error { return unix.Unlink(file("1/e")) },
			func() error { return unlinkOpen(file("f")) },
			func() error { return touch(unix.AT_FDCWD, file("old")) },
			func() error { return unix.Unlink(file("old")) },
			func() error {
				if err := unix.Unlink(file("old")); !errors.Is(err, unix.ENOENT) {
					return fmt.Errorf("deleting what is not there: %w", err)
				}
				return nil
			},
			func() error { return unix.Rmdir(file("1")) },
			func() error { return unix.Rmdir(file("2")) },
			func() error { return unix.Rmdir(dir) },
		)
	}, nil
}

func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func touch(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return unix.Close(fd)
}

// unlinkOpen deletes a file before it is closed.
func unlinkOpen(name string) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Unlink(name)
}
