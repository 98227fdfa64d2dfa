// Package recording reads and writes files of what programs have seen: the events with their contexts, tasks, times and stacks, and the
// memory that was read for them. docs/recordings.md is the format.
package recording

import (
	"fmt"

	"skep/probe"
)

// Form is what the context of an event is.
type Form string

// Forms of contexts.
const (
	None    Form = ""        // BEGIN, END, interval and signals have none
	Syscall Form = "syscall" // 8 bytes, the number or the result, and the registers
	Record  Form = "record"  // the tracepoint's record
	Words   Form = "words"   // the arguments of a raw tracepoint, 8 bytes each
	Regs    Form = "regs"    // struct pt_regs
	Perf    Form = "perf"    // struct bpf_perf_event_data
)

// Probe is a point that was recorded. A script with several probes on a point has as many of them.
type Probe struct {
	Point probe.Point
	Form  Form
	// Failed is why nothing could be attached to it; "" if it could.
	Failed string `json:",omitempty"`
}

// Header is what is known when a recording begins.
type Header struct {
	Script string            // its text
	Name   string            `json:",omitempty"` // of its file
	Args   []string          `json:",omitempty"`
	Named  map[string]string `json:",omitempty"` // parameters behind --

	Host   string // "kernel" or "user"
	Kernel string // release
	Arch   string // GOARCH
	CPUs   int    // possible ones

	PID        int  `json:",omitempty"` // of -p
	Child      bool `json:",omitempty"` // there was a command of -c
	OtherPIDNS bool `json:",omitempty"` // the tracer was in a pid namespace
	Probes     []Probe
	// Formats are the records of the tracepoints, by category:event.
	Formats map[string]*probe.Format `json:",omitempty"`

	Zone       string // of local time
	ZoneOffset int    // east of UTC in seconds
}

// Start is what is known when all probes are attached.
type Start struct {
	Attached int            // points
	Failed   map[int]string `json:",omitempty"` // of Probes, and why
	State    []uint64       // words of the state map that user space has set
	Self     Task           // the tracer
	Boot     uint64         // time of the boot clock
	// Monotonic, TAI and Wall are what to add to the boot clock to get the other clocks and nanoseconds since 1970.
	Monotonic, TAI, Wall int64
}

// Task is the task that an event happened in.
type Task struct {
	TID, PID uint32 // as programs see them
	UID, GID uint32
	Comm     string
	Address  uint64   `json:",omitempty"` // of its task_struct; 0 if nobody asked
	Cgroups  []uint64 `json:",omitempty"` // from the root down; its own at least
	// Of the process's parent.
	ParentPID  uint32
	ParentComm string
	// In the tracer's pid namespace; 0 if it is in another one.
	OwnTID, OwnPID uint32 `json:",omitempty"`
}

// Kind is what a program asked for.
type Kind uint8

// Kinds of results.
const (
	ReadUser    Kind = iota // memory of the task: Addr, Data
	ReadKernel              // memory of the kernel
	UserStack               // Frames
	KernelStack             //
	Boot                    // a clock: Value
	Monotonic               //
	TAI                     //
	Random                  // Value
	Signal                  // what send_signal returned, as Errno
	kinds
)

// Result is what a program was given when it asked.
type Result struct {
	Kind   Kind
	Errno  int // not 0: it could not be had. Then Value is the number of bytes that were asked for.
	Addr   uint64
	Value  uint64
	Data   []byte
	Frames []uint64
}

// Event is one run of a program.
type Event struct {
	Probe   int    // in Header.Probes
	Boot    uint64 // time
	CPU     int
	Task    Task
	Context []byte
	Results []Result
	// Incomplete says that results have been lost.
	Incomplete bool
}

// Answer is what the machine said when user space asked it: the name of an address, the text of a file.
type Answer struct {
	About    string // "ksym", "user", "cgroup", …
	Question string
	Text     string
}

// End is written when a recording ends in order.
type End struct {
	Boot   uint64 // time
	Events uint64
	Lost   uint64 // events that there was no room for
}

// Error is what is wrong with a file, and where.
type Error struct {
	Offset int64 // in the file
	Inside int   // in the content of the block that begins there; -1 if it is about the block
	What   string
	Cut    bool // the file ends too early, as when the writer was killed
}

func (e *Error) Error() string {
	if e.Inside < 0 {
		return fmt.Sprintf("at byte %d: %s", e.Offset, e.What)
	}
	return fmt.Sprintf("in the block at byte %d, at byte %d of its content: %s", e.Offset, e.Inside, e.What)
}

// The file begins with the magic and the version. Then come blocks:
//
//	u32 stored    bytes that follow the block's header
//	u32 length    of the content
//	u32 checksum  CRC-32C of the stored bytes
//	…             the content, compressed by DEFLATE
//
// The content is entries, none of which goes over the end of a block: kind (1 byte), length (uvarint), payload. All numbers are
// little endian.
const (
	magic       = "skeprec\n"
	version     = 1
	fileHeader  = len(magic) + 4
	blockHeader = 12
	mostContent = 16 << 20
)

// Kinds of entries.
const (
	entryHeader = 1 + iota // JSON
	entryTypes             // BTF
	entryStart             // JSON
	entryTask
	entryStack
	entryEvent
	entryAnswer
	entryEnd // JSON
)
