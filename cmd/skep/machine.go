package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"skep/symbol"
)

// initPIDNamespace is the inode number that the kernel gives to the first pid namespace (PROC_PID_INIT_INO).
const initPIDNamespace = 0xEFFFFFFC

// otherPIDNamespace reports whether we run in a pid namespace of a container.
func otherPIDNamespace() bool {
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &st) == nil && st.Ino != initPIDNamespace
}

// cgroupID gives the number by which programs know a cgroup: the inode of its folder in cgroup2.
func cgroupID(path string) (uint64, error) {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", path, err)
	}
	b := handle.Bytes()
	if len(b) != 8 {
		return 0, fmt.Errorf("%s is not a cgroup", path)
	}
	id := uint64(0)
	for i := 7; i >= 0; i-- {
		id = id<<8 | uint64(b[i])
	}
	return id, nil
}

// userSymbol finds a function or variable of a file, and the address of a place in it if the file is loaded somewhere else each time.
func userSymbol(binary, name string, place uint64) (addr, size, from uint64, ok bool) {
	path, err := symbol.FindExecutable(binary)
	if err != nil {
		if path, err = symbol.FindLibrary(binary); err != nil {
			return 0, 0, 0, false
		}
	}
	if _, err := os.Stat(path); err != nil {
		return 0, 0, 0, false
	}
	file, err := symbol.OpenELF(path)
	if err != nil {
		return 0, 0, 0, false
	}
	defer file.Close()
	f, err := file.Lookup(name)
	if err != nil {
		if f, err = file.LookupVariable(name); err != nil {
			return 0, 0, 0, false
		}
	}
	if file.Moves() {
		from, _ = file.Addr(place)
	}
	return f.Addr, f.Size, from, true
}
