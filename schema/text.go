package schema

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxErrno is the last error number that has a text.
const maxErrno = 133

// ErrnoText is strerror.
func ErrnoText(n int) string {
	if n == 0 {
		return "Success"
	}
	if n < 0 {
		n = -n // as system calls return it
	}
	if n == maxErrno {
		return "Memory page has hardware error"
	}
	if n < 0 || n > maxErrno {
		return "Unknown error"
	}
	s := syscall.Errno(n).Error()
	if strings.HasPrefix(s, "errno ") {
		return "Unknown error"
	}
	// Go's texts begin with a small letter, C's with a capital one, except for names such as ".lib".
	return strings.ToUpper(s[:1]) + s[1:]
}

// SignalText is strsignal, which is what signal_name() shows.
func SignalText(n int) string {
	switch {
	case n < 0 || n > 64:
		return "N/A"
	case n == 0 || n == 32 || n == 33: // the latter two are the C library's own
		return "Unknown signal " + strconv.Itoa(n)
	case n >= 34:
		return "Real-time signal " + strconv.Itoa(n-34)
	case n == int(unix.SIGSTKFLT):
		return "Stack fault"
	case n == int(unix.SIGIO):
		return "I/O possible"
	}
	s := syscall.Signal(n).String()
	return strings.ToUpper(s[:1]) + s[1:]
}

// Texts are what the values 0, 1, … of a type of names show; the last one is that of all others. It is nil for other types.
// syscallName gives the names of system calls.
func Texts(k Kind, syscallName func(int) (string, bool)) []string {
	var texts []string
	switch k {
	case Errno:
		for n := range maxErrno + 2 {
			texts = append(texts, ErrnoText(n))
		}
	case SignalName:
		for n := range 66 {
			texts = append(texts, SignalText(n))
		}
	case SyscallName:
		last := 0
		for n := range MaxSyscall {
			name, ok := syscallName(n)
			if !ok {
				name = UnknownSyscall
			} else {
				last = n
			}
			texts = append(texts, name)
		}
		return texts[:last+2]
	}
	return texts
}

const (
	// UnknownSyscall is shown for numbers that have no system call.
	UnknownSyscall = "Unknown syscall"
	// MaxSyscall is beyond the last system call's number.
	MaxSyscall = 1024
)

// TargetFormat is the Format of a ProbeName that shows what the probe is on, without the kind of probe.
const TargetFormat = "target"

// Target is the part of a probe's name behind its kind: a function without its file, a tracepoint with its category.
func Target(name string) string {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok {
		return name
	}
	switch kind {
	case "kprobe", "kretprobe", "fentry", "fexit": // perhaps with a module
		return rest[strings.LastIndexByte(rest, ':')+1:]
	case "uprobe", "uretprobe", "usdt":
		if _, function, ok := strings.Cut(rest, ":"); ok {
			return function
		}
	}
	return rest
}
