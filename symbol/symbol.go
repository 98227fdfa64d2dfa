// Package symbol turns addresses of the kernel and of processes into names, and names into addresses.
//
// There are three doors:
//
//   - [Kernel] reads /proc/kallsyms: kernel stacks, ksym() and kaddr().
//   - [Processes] follows processes and names their addresses, also after they have exited: user stacks and usym(). It
//     unwinds stacks of code without frame pointers.
//   - [ELF] is one file: where a function is that a uprobe wants, and which functions there are.
//
// What is read may belong to a hostile container. Nothing here panics on it, opens a FIFO or a device, follows its links out
// of its root, takes memory out of proportion, or passes control characters on to a terminal. A file on a FUSE file system
// that never answers does block its reader.
package symbol

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Symbol says where an address lies.
type Symbol struct {
	// Addr is the address that was asked for.
	Addr uint64
	// Name is the function's name, demangled unless that is switched off; empty if no symbol is known there.
	Name string
	// Offset is the distance from the function's start in bytes; 0 without a name.
	Offset uint64
	// Module is the file that the code comes from (the path as its process sees it), "[vdso]", "[heap]", "[stack]", or
	// "[unknown]"; for kernel addresses the kernel module's name, "bpf", or "" for the kernel itself. It may be
	// known when the name is not.
	Module string
}

// Found reports whether the address has a name.
func (s Symbol) Found() bool { return s.Name != "" }

// String is the form of a line in a stack: name+offset, or the address in hex.
func (s Symbol) String() string {
	if !s.Found() {
		return s.Hex()
	}
	return s.Name + "+" + strconv.FormatUint(s.Offset, 10)
}

// Bare is the form of ksym() and usym(): the name alone, or the address in hex.
func (s Symbol) Bare() string {
	if !s.Found() {
		return s.Hex()
	}
	return s.Name
}

// Hex is the address as in 0x7f0012345678.
func (s Symbol) Hex() string { return "0x" + strconv.FormatUint(s.Addr, 16) }

// Perf is the form of a line of a stack in perf's mode, without its leading tab: the address in hex, the same as
// [Symbol.String] gives, and the module in parentheses if there is one.
func (s Symbol) Perf() string {
	line := strconv.FormatUint(s.Addr, 16) + " " + s.String()
	if s.Module != "" {
		line += " (" + s.Module + ")"
	}
	return line
}

// printable replaces what could steer a terminal or break a line-based format: a symbol table can hold any bytes.
func printable(name string) string {
	clean := true
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x20 || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r == '\u2028' || r == '\u2029' ||
			r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '?'
		}
		return r
	}, name)
}
