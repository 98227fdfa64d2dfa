package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/host/replay"
	"skep/symbol"
	"skep/trace"
)

// initPIDNamespace is the inode number that the kernel gives to the first pid namespace (PROC_PID_INIT_INO).
const initPIDNamespace = 0xEFFFFFFC

// otherPIDNamespace reports whether we run in a pid namespace of a container.
func otherPIDNamespace() bool {
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &st) == nil && st.Ino != initPIDNamespace
}

// machineFacts answers what scripts ask of the machine when they are compiled.
type machineFacts struct {
	kernelAddress func(name string) (uint64, bool)
	userSymbol    func(binary, name string, place uint64) (addr, size, from uint64, ok bool)
	cgroupID      func(path string) (uint64, error)
	has           func(name string, ask func() string) string // nil: ask
}

func (t *tracing) machineFacts() machineFacts {
	symbols := symbol.NewKernel()
	m := machineFacts{userSymbol: userSymbol, cgroupID: cgroupID, kernelAddress: func(name string) (uint64, bool) {
		addr, err := symbols.Address(name)
		return addr, err == nil
	}}
	if t.answers == nil {
		return m
	}
	return m.answered(t.answers)
}

// answered are facts that somebody may remember, or have remembered.
func (m machineFacts) answered(by trace.Answers) machineFacts {
	asked := func(about, question string, ask func() string) []string {
		return strings.Fields(by.Answer(about, question, ask))
	}
	number := func(words []string, i int) uint64 {
		if i >= len(words) {
			return 0
		}
		n, _ := strconv.ParseUint(words[i], 10, 64)
		return n
	}
	return machineFacts{
		has: func(name string, ask func() string) string { return by.Answer(replay.AskedHas, name, ask) },
		kernelAddress: func(name string) (uint64, bool) {
			words := asked("kaddr", name, func() string {
				addr, ok := m.kernelAddress(name)
				if !ok {
					return ""
				}
				return strconv.FormatUint(addr, 10)
			})
			return number(words, 0), len(words) > 0
		},
		userSymbol: func(binary, name string, place uint64) (addr, size, from uint64, ok bool) {
			words := asked("uaddr", fmt.Sprintf("%d %s %s", place, name, binary), func() string {
				addr, size, from, ok := m.userSymbol(binary, name, place)
				if !ok {
					return ""
				}
				return fmt.Sprint(addr, size, from)
			})
			return number(words, 0), number(words, 1), number(words, 2), len(words) > 0
		},
		cgroupID: func(path string) (uint64, error) {
			var failed error
			words := asked("cgroupid", path, func() string {
				id, err := m.cgroupID(path)
				if failed = err; err != nil {
					return ""
				}
				return strconv.FormatUint(id, 10)
			})
			if len(words) == 0 {
				if failed == nil {
					failed = fmt.Errorf("the recording does not know cgroup %s", path)
				}
				return 0, failed
			}
			return number(words, 0), nil
		},
	}
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
