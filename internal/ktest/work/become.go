package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become puts another program in the place of this one in one of the ways to do so: execve, thread (execve by another thread than the
// first), execveat (the name from its folder), fexecve (an open file), or tries to in vain: fail.
func become(how, program string, args []string) error {
	argv, err := pointers(append([]string{filepath.Base(program)}, args...))
	if err != nil {
		return err
	}
	path, err := unix.BytePtrFromString(program)
	if err != nil {
		return err
	}
	var none [1]*byte
	list, environment := uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&none[0]))
	defer runtime.KeepAlive(argv)
	var errno unix.Errno
	switch how {
	case "execve":
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), list, environment)
	case "fail":
		if _, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), list, environment); errno == unix.ENOENT {
			return nil
		}
	case "thread":
		failed := make(chan unix.Errno)
		go func() {
			// The first thread is locked to its goroutine, so this one has another.
			_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), list, environment)
			failed <- errno
		}()
		errno = <-failed
	case "execveat":
		dir, err := unix.Open(filepath.Dir(program), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		name, err := unix.BytePtrFromString(filepath.Base(program))
		if err != nil {
			return err
		}
		_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(dir), uintptr(unsafe.Pointer(name)), list, environment, 0, 0)
	case "fexecve":
		fd, err := unix.Open(program, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		var empty [1]byte
		_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)), list, environment, unix.AT_EMPTY_PATH, 0)
	default:
		return fmt.Errorf("nobody becomes a program by %q", how)
	}
	return errno
}

// pointers makes a list as the kernel takes it, which ends with a null pointer.
func pointers(words []string) ([]*byte, error) {
	list := make([]*byte, len(words)+1)
	for i, w := range words {
		p, err := unix.BytePtrFromString(w)
		if err != nil {
			return nil, err
		}
		list[i] = p
	}
	return list, nil
}
