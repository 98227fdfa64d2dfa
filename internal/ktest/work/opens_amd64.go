package main

import (
	"fmt"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openWays opens files below dir in every way that a program of this architecture has: by name, from a directory, made anew, missing,
// with a name that terminals would obey.
func openWays(dir string) error {
	if err := unix.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		return err
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	sub, err := rawOpen(unix.SYS_OPEN, uintptr(unsafe.Pointer(cString(filepath.Join(dir, "sub")))), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	here := unix.AT_FDCWD
	how := unix.OpenHow{Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o640}
	for _, c := range []struct {
		fails error
		nr    uintptr
		args  [4]uintptr
	}{
		{nil, unix.SYS_CREAT, [4]uintptr{name("created"), 0o600}},
		{nil, unix.SYS_OPEN, [4]uintptr{name("created"), unix.O_WRONLY | unix.O_APPEND}},
		{nil, unix.SYS_OPENAT, [4]uintptr{uintptr(sub), name("made"), unix.O_CREAT | unix.O_WRONLY | unix.O_EXCL, 0o644}},
		{nil, unix.SYS_OPENAT2, [4]uintptr{uintptr(here), name("sub/made2"), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how)}},
		{unix.ENOENT, unix.SYS_OPENAT, [4]uintptr{uintptr(here), name("missing"), unix.O_RDWR}},
		{unix.ENOENT, unix.SYS_OPEN, [4]uintptr{name("a\nb\x1b[1m\xff"), unix.O_RDONLY}},
		{unix.EEXIST, unix.SYS_OPENAT, [4]uintptr{uintptr(sub), name("made"), unix.O_CREAT | unix.O_EXCL, 0}},
	} {
		if _, err := rawOpen(c.nr, c.args[0], c.args[1], c.args[2], c.args[3]); err != c.fails {
			return fmt.Errorf("system call %d: %v, not %v", c.nr, err, c.fails)
		}
	}
	return nil
}

// name gives the address of a name for a system call. It is kept: nothing of it may move or go.
func name(s string) uintptr {
	names = append(names, cString(s))
	return uintptr(unsafe.Pointer(names[len(names)-1]))
}

var names []*byte

func cString(s string) *byte { return unsafe.StringData(s + "\x00") }

func rawOpen(nr uintptr, args ...uintptr) (fd int, err error) {
	var a [4]uintptr
	copy(a[:], args)
	r, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// int80 makes a 32-bit system call.
func int80(nr, a, b, c uint32) (result int32)

// open32 opens a file as 32-bit programs do. A kernel without them ends the process.
func open32(file string) error {
	low, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		return err
	}
	copy(low, file+"\x00")
	const open = 5
	if r := int80(open, uint32(uintptr(unsafe.Pointer(&low[0]))), unix.O_RDONLY, 0); r < 0 {
		return unix.Errno(-r)
	}
	return nil
}
