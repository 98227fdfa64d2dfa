package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// reclaim reads a file that is not in memory from within a control group that may have less memory than the file has, so that the
// kernel has to take pages away again before it gives more.
func reclaim(file string, bytes, limit int) (func() error, error) {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	chunk := make([]byte, 1<<16)
	for at := 0; at < bytes; at += len(chunk) {
		if _, err := unix.Pwrite(fd, chunk, int64(at)); err != nil {
			return nil, err
		}
	}
	leave, err := enterGroup(limit)
	if err != nil {
		return nil, err
	}
	if err := forget(fd); err != nil {
		return nil, err
	}
	return func() error {
		for at := 0; at < bytes; at += len(chunk) {
			if _, err := unix.Pread(fd, chunk, int64(at)); err != nil {
				return errors.Join(err, leave())
			}
		}
		return leave()
	}, nil
}

// exhaust starts a child that needs twice the memory that it may have.
func exhaust(limit int) (func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	leave, err := enterGroup(limit)
	if err != nil {
		return nil, err
	}
	return func() error {
		err := exec.Command(self, "fault", strconv.Itoa(2*limit/os.Getpagesize())).Run()
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			return leave()
		}
		return errors.Join(fmt.Errorf("the child was not killed: %v", err), leave())
	}, nil
}

// enterGroup makes a control group with a limit of memory, and moves the process there. The hierarchy is mounted where nobody else sees it.
func enterGroup(limit int) (leave func() error, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "skep-group")
	if err != nil {
		return nil, err
	}
	file := "memory.limit_in_bytes"
	if err := unix.Mount("work", root, "cgroup", 0, "memory"); err != nil {
		if err := unix.Mount("work", root, "cgroup2", 0, ""); err != nil {
			return nil, fmt.Errorf("mounting control groups: %w", err)
		}
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			return nil, err
		}
		file = "memory.max"
	}
	group := filepath.Join(root, "skep-"+strconv.Itoa(os.Getpid()))
	self := []byte(strconv.Itoa(os.Getpid()))
	leave = func() error {
		return errors.Join(os.WriteFile(filepath.Join(root, "cgroup.procs"), self, 0), os.Remove(group), unix.Unmount(root, unix.MNT_DETACH), os.Remove(root))
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(group, file), []byte(strconv.Itoa(limit)), 0); err != nil {
		return nil, errors.Join(err, leave())
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), self, 0); err != nil {
		return nil, errors.Join(err, leave())
	}
	return leave, nil
}
