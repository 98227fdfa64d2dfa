package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// dropCode gives back the pages of this binary's code and constants that have been used so far: what has read, checked and compiled a script is
// not needed by the next stage. They stay in the kernel's cache of files, from which those that are used again come back, but are no longer part
// of this process's memory.
func dropCode() {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	// The binary comes first in the list.
	buf := make([]byte, 1024)
	n, _ := f.Read(buf)
	for line := range bytes.Lines(buf[:n]) {
		place, rest, _ := bytes.Cut(line, []byte(" "))
		from, to, ok := bytes.Cut(place, []byte("-"))
		if !ok || !bytes.HasPrefix(rest, []byte("r-")) || !bytes.HasSuffix(line, []byte("\n")) || bytes.IndexByte(line, '/') < 0 {
			continue // memory that is written to is not in the file
		}
		start, err1 := strconv.ParseUint(string(from), 16, 64)
		end, err2 := strconv.ParseUint(string(to), 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		// The mapping is private, of a file and never written: a page that is dropped comes back as it was. That it is not dropped is no harm.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	}
}

// startGarbage is how much the heap may grow until the script is loaded, in percent of what is in use; Go's usual is 100. Most scripts are then
// loaded before the collector has begun: it takes milliseconds, and its code more memory than it gives back.
const startGarbage = 130

// collect sets how often the garbage collector runs, unless the user has.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
