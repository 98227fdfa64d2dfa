package user

import (
	"bytes"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"skep/probe"
)

//go:generate go run ./gentracepoints tracepoints.txt

// formats are the records of the tracepoints that this host has, as the kernel's tracefs describes them.
//
//go:embed tracepoints.txt
var formats string

// tracepoints gives the records by category:event, without the fields that only the kernel can know.
var tracepoints = sync.OnceValue(func() map[string]*probe.Format {
	all := map[string]*probe.Format{}
	for _, part := range strings.Split(formats, "\nname: ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		f, err := probe.ParseFormat(text)
		if err != nil {
			panic(fmt.Sprintf("user: the format of %s: %v", name, err)) // generated, and tested
		}
		kept := f.Fields[:0]
		for _, field := range f.Fields {
			if !kernelOnly(name, field.Name) {
				kept = append(kept, field)
			}
		}
		f.Fields = kept
		all[name] = f
	}
	return all
})

// kernelOnly reports whether nobody but the kernel knows a field: how a process handles a signal.
func kernelOnly(tracepoint, field string) bool {
	return tracepoint == "signal:signal_deliver" && (field == "sa_handler" || field == "sa_flags")
}

// commonPID is where every record has the task.
const commonPID = 4

// fill writes a record: integers and texts by the names of the fields.
func fill(record []byte, f *probe.Format, k *task, values map[string]any) {
	binary.NativeEndian.PutUint32(record[commonPID:], uint32(k.tid))
	end := commonPID + 4
	for _, field := range f.Fields {
		end = max(end, field.Offset+field.Size)
	}
	for _, field := range f.Fields {
		to := record[field.Offset : field.Offset+field.Size]
		switch v := values[field.Name].(type) {
		case int:
			putInt(to, uint64(v))
		case string:
			if !strings.HasPrefix(field.Type, "__data_loc") {
				copy(to[:len(to)-1], v)
				continue
			}
			n := copy(record[end:len(record)-1], v) + 1
			binary.NativeEndian.PutUint32(to, uint32(n<<16|end))
			end += n
		}
	}
}

func putInt(to []byte, v uint64) {
	switch len(to) {
	case 1:
		to[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(to, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(to, uint32(v))
	case 8:
		binary.NativeEndian.PutUint64(to, v)
	}
}

// fillEnter writes the record of raw_syscalls:sys_enter {long id; unsigned long args[6]}.
func fillEnter(record []byte, k *task, regs *unix.PtraceRegs) {
	binary.NativeEndian.PutUint32(record[commonPID:], uint32(k.tid))
	binary.NativeEndian.PutUint64(record[8:], uint64(callNumber(regs)))
	for i, arg := range k.callArgs(regs) {
		binary.NativeEndian.PutUint64(record[16+8*i:], arg)
	}
}

func (k *task) callArgs(regs *unix.PtraceRegs) [6]uint64 {
	if k.foreign {
		return foreignArgs(regs)
	}
	return callArgs(regs)
}

// fillExit writes the record of raw_syscalls:sys_exit {long id; long ret}.
func fillExit(record []byte, k *task, regs *unix.PtraceRegs) {
	binary.NativeEndian.PutUint32(record[commonPID:], uint32(k.tid))
	binary.NativeEndian.PutUint64(record[8:], uint64(callNumber(regs)))
	binary.NativeEndian.PutUint64(record[16:], callResult(regs))
}

// executed is the name of the file that a process has just begun to run, as execve was given it: the kernel leaves it on the stack.
func executed(pid int) string { return readText(pid, readAuxiliary(pid).value(auxExecName)) }

// What the kernel tells a program on its stack, of which /proc has a copy.
const (
	auxHeader   = 4  // AT_PHENT: the size of an ELF program header
	auxEntry    = 9  // AT_ENTRY
	auxExecName = 31 // AT_EXECFN
)

// auxiliary is what the kernel has told a program, in words of so many bytes.
type auxiliary struct {
	text []byte
	word int
}

func readAuxiliary(pid int) auxiliary {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	a := auxiliary{text, 8}
	if err == nil && a.value(auxHeader) != uint64(binary.Size(elf.Prog64{})) {
		a.word = 4
	}
	return a
}

func (a auxiliary) value(kind uint64) uint64 {
	number := func(b []byte) uint64 {
		if a.word == 4 {
			return uint64(binary.NativeEndian.Uint32(b))
		}
		return binary.NativeEndian.Uint64(b)
	}
	for rest := a.text; len(rest) >= 2*a.word; rest = rest[2*a.word:] {
		if number(rest) == kind {
			return number(rest[a.word:])
		}
	}
	return 0
}

// readText reads a text from a process's memory, up to the length of a path.
func readText(pid int, addr uint64) string {
	const step = 64 // divides every page's size
	var text []byte
	for len(text) < unix.PathMax {
		part := make([]byte, step-addr%step)
		if readMemory(pid, addr, part) != nil {
			break
		}
		if end := bytes.IndexByte(part, 0); end >= 0 {
			return string(append(text, part[:end]...))
		}
		text = append(text, part...)
		addr += uint64(len(part))
	}
	return string(text)
}

// signalSet is a set of signals in /proc/PID/status.
type signalSet uint64

func signals(status []byte, mask string) (set signalSet) {
	if _, rest, ok := bytes.Cut(status, []byte("\n"+mask+":\t")); ok {
		fmt.Sscanf(string(rest[:min(len(rest), 16)]), "%x", &set)
	}
	return set
}

func (s signalSet) has(signal unix.Signal) bool { return s>>(signal-1)&1 != 0 }

// disturbed reports whether a task is about to be given signals, of which one may be known (else 0), that it does not ignore: those it would
// never have heard of if nobody traced it.
func disturbed(tid int, signal unix.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true
	}
	coming := (signals(status, "SigPnd") | signals(status, "ShdPnd")) &^ signals(status, "SigBlk")
	if signal != 0 {
		coming |= setOf(signal)
	}
	ignored := signals(status, "SigIgn") | setOf(unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH)&^signals(status, "SigCgt")
	return coming&^ignored != 0
}

func setOf(all ...unix.Signal) (set signalSet) {
	for _, signal := range all {
		set |= 1 << (signal - 1)
	}
	return set
}

// undelivered reports whether the kernel would not have delivered the signal to a process without a tracer: it drops what the process
// ignores, and ends the process at once for what only ends it.
func undelivered(tid int, signal unix.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return false
	}
	switch signal {
	case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU: // stop it, and are delivered for that
		return signals(status, "SigIgn").has(signal)
	case unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGFPE, unix.SIGSEGV, unix.SIGBUS, unix.SIGSYS, unix.SIGXCPU, unix.SIGXFSZ:
		return signals(status, "SigIgn").has(signal) // else it may dump its memory
	}
	return !signals(status, "SigCgt").has(signal)
}
