package probe

import (
	"strconv"
	"strings"
)

// SyscallNumber returns the number of a system call by the name that its tracepoints have ("newfstat", "openat").
func SyscallNumber(name string) (nr int, ok bool) {
	line, ok := syscallLine(func(_, n string) bool { return n == name })
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(line, " ")
	nr, _ = strconv.Atoi(digits)
	return nr, true
}

// SyscallName returns the name of a system call by its number, as programs know it: "fstat" where the tracepoint is of "newfstat".
func SyscallName(nr int) (name string, ok bool) {
	want := strconv.Itoa(nr)
	line, ok := syscallLine(func(d, _ string) bool { return d == want })
	if !ok {
		return "", false
	}
	_, rest, _ := strings.Cut(line, " ")
	name, _, _ = strings.Cut(rest, " ")
	switch name {
	case "newstat", "newfstat", "newlstat", "newuname":
		name = name[len("new"):]
	case "sendfile64":
		name = "sendfile"
	case "umount":
		name = "umount2"
	}
	return name, true
}

func syscallLine(match func(number, name string) bool) (string, bool) {
	for line := range strings.Lines(syscallTable) {
		number, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		name, _, _ := strings.Cut(rest, " ")
		if match(number, name) {
			return strings.TrimRight(line, "\n"), true
		}
	}
	return "", false
}

// builtinFormat gives the record of a syscalls tracepoint from the table, for when tracefs cannot be read.
func builtinFormat(event string) (*Format, bool) {
	nr := FormatField{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true}
	if name, ok := strings.CutPrefix(event, "sys_exit_"); ok {
		if _, ok := SyscallNumber(name); !ok {
			return nil, false
		}
		return &Format{Fields: []FormatField{nr, {Name: "ret", Type: "long", Offset: 16, Size: 8, Signed: true}}}, true
	}
	name, ok := strings.CutPrefix(event, "sys_enter_")
	if !ok {
		return nil, false
	}
	line, ok := syscallLine(func(_, n string) bool { return n == name })
	if !ok || strings.HasSuffix(line, " -") {
		return nil, false
	}
	f := &Format{Fields: []FormatField{nr}}
	if parts := strings.SplitN(line, " ", 3); len(parts) == 3 {
		for i, arg := range strings.Split(parts[2], "|") {
			name, typ, _ := strings.Cut(arg, " ")
			f.Fields = append(f.Fields, FormatField{Name: name, Type: typ, Offset: 16 + 8*i, Size: 8})
		}
	}
	return f, true
}

// syscallEvents lists the syscalls tracepoints of the table.
func syscallEvents() []string {
	var events []string
	for line := range strings.Lines(syscallTable) {
		parts := strings.SplitN(strings.TrimRight(line, "\n"), " ", 3)
		if len(parts) < 2 || parts[0] == "#" || len(parts) == 3 && parts[2] == "-" {
			continue
		}
		events = append(events, "sys_enter_"+parts[1], "sys_exit_"+parts[1])
	}
	return events
}
