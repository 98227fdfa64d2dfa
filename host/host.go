// Package host is the meeting of programs with the machine that runs them: the Linux kernel (host/kernel) or our own machine
// in user space (host/user). Both take the same specs and give the same results.
package host

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cilium/ebpf"

	"skep/ir"
	"skep/probe"
	"skep/recording"
)

// Host runs programs.
type Host interface {
	// Name is "kernel" or "user".
	Name() string
	// Target says what the host can do. Features are asked for lazily.
	Target() (*ir.Target, error)
	// Load creates the maps and verifies and loads the programs. Nothing is attached yet. Errors are *Missing,
	// *Privilege or *Rejected where these tell more.
	Load(spec *ebpf.CollectionSpec, attach []probe.Attach, opt Options) (Session, error)
}

// Options of a session.
type Options struct {
	PID        int    // events of this process only, where the kind of attachment allows; 0 for all
	Child      int    // the process that is to become the command of -c, for hosts that see only what they trace; 0 for none
	RingPages  int    // size of the data ring in pages; 0: chosen by the number of CPUs and the memory
	RingMap    string // names of the ring buffers in the spec, ControlMap of the control ring
	ControlMap string
	StateMap   string // the mappable state array
	// VerifierLog, if not nil, gets the verifier's whole log of each program that it accepts.
	VerifierLog func(program, log string)
	// Loading, if not nil, is called when all is ready but the programs, which the kernel's verifier is now given.
	Loading func()
	// Main, if not nil, runs a function on the process's first thread: programs that are run by hand are to see its id, not that of any
	// thread.
	Main func(func())
	// TrackProcesses, if not nil, receives the life of processes and their executable mappings from before the programs
	// are attached, so that addresses of processes that have exited can be named.
	TrackProcesses ProcessSink
	// Record, if not nil, is told of each run of a program what it was given.
	Record EventSink
	// Notice, if not nil, gets lines for the user about what the host cannot do, each once. Calls may come from any goroutine.
	Notice func(line string)
}

// EventSink is told what programs were given when they ran: the one of Attach number attach, for its point. The event's Probe is not set;
// its memory is the sink's. Calls come one at a time, in the order of the events.
type EventSink interface {
	Event(attach, point int, e *recording.Event)
	// Lost is told of events that could not be had.
	Lost(n uint64)
}

// Player is a Session whose events are played to it, by who reads its rings: nothing happens between two calls of Play.
type Player interface {
	Session
	// Play runs programs for the next events: several, but not more than the rings have room for, and none after one that has sent a
	// control record. It waits for events until ctx ends. more is false when there will be none.
	Play(ctx context.Context) (more bool, err error)
	// Now is the time of the event that was played last, in the zone of where it happened.
	Now() time.Time
	// Clocks are what to add to the boot clock and the monotonic clock of programs to get nanoseconds since 1970.
	Clocks() (boot, monotonic time.Duration)
}

// ProcessSink is told what processes do. Calls come from one goroutine.
type ProcessSink interface {
	Fork(parent, child int)
	Exec(pid int, comm string)
	Mmap(pid int, addr, length, pgoff uint64, path string, dev uint64, inode uint64, buildID []byte)
	Exit(pid int)
	Lost(n uint64)
}

// Session is a set of loaded programs.
type Session interface {
	// Attach connects the programs: those with How TestRun on BEGIN points run first, as in bpftrace, then the others are attached in
	// their order, and clocks start last. It returns the number of points attached. Each point that cannot be attached gives an
	// *AttachError in the list, and what to do is the caller's choice; err is for what is worse, or the first of them if none
	// could be attached.
	Attach(ctx context.Context) (attached int, failed []*AttachError, err error)
	// Run runs one TestRun or SignalSelf program now (END).
	Run(program string) error
	// Map returns a map by its name in the spec, nil if it has none of that name.
	Map(name string) Map
	// Ring returns a ring buffer by its name in the spec.
	Ring(name string) Ring
	// Missed returns how often each program was not run for an event since it was at work on that CPU already; programs that missed
	// nothing are left out. Linux 5.12 is the first to tell, and 6.7 for all kinds of programs.
	Missed() map[string]uint64
	// State returns the value of the state map as words that programs see at once; use atomic operations.
	State() []uint64
	// Disable stops all events at once: when it returns, no program runs any more for a new event, and everything
	// that was sent is in the rings. It costs milliseconds whatever is attached.
	Disable()
	// Close releases everything; what takes the kernel long is released in the background, by a helper process where needed.
	// Maps and rings must not be used any more.
	Close() error
}

// ProcessSyncer is a Session that tracks processes. SyncProcesses returns when the sink knows all that happened before.
type ProcessSyncer interface {
	SyncProcesses()
}

// ProgramTimer is a Session that can tell how long a program takes.
type ProgramTimer interface {
	// TimeRuns runs a program n times and returns the time that it took, without the way into the kernel.
	TimeRuns(program string, n int) (time.Duration, error)
}

// Command is a Session that waits for the command of -c itself, since it traces it.
type Command interface {
	// ExitStatus tells how the command has ended. ok is false until it has.
	ExitStatus() (status syscall.WaitStatus, ok bool)
	// Signalled reports whether the command has got a signal since then.
	Signalled(signal syscall.Signal, since time.Time) bool
}

// Map is a map of a session as user space sees it. Keys and values are bytes in the machine's order; per-CPU values come as one
// slice per possible CPU. Slices are valid until the next call only.
type Map interface {
	// Lookup returns the values of a key: one, or one per CPU. ok is false if it has none.
	Lookup(key []byte) (values [][]byte, ok bool, err error)
	// Each calls f with all entries, read in batches where the kernel can, until f returns false. An entry is given once.
	Each(f func(key []byte, values [][]byte) bool) error
	Update(key, value []byte) error // the same value for all CPUs
	Delete(key []byte) error
	// Clear deletes all entries; of arrays, it zeroes them.
	Clear() error
	MaxEntries() int
}

// Ring is a ring buffer.
type Ring interface {
	// Drain calls f with each record that is in the ring now, up to the producer position limit (0 for no limit), and returns how many
	// there were. The record is valid during the call only. Drain stops early and returns false if f returns false.
	Drain(limit uint64, f func(record []byte) bool) (n int, more bool)
	// Position is the consumer's position in bytes since the start, comparable with BPF_RB_PROD_POS.
	Position() uint64
	// Produced is the producer's position now: what was sent until now lies before it.
	Produced() uint64
	// Wait returns when the ring is not empty and a record was submitted with a wake-up, when ctx ends or after the timeout (< 0 for
	// none).
	Wait(ctx context.Context, timeout time.Duration) error
	// Size in bytes.
	Size() int
}

// Missing says that this host lacks something. It is the typed error for kernel features.
type Missing struct {
	On    string // "" for the kernel
	What  string // "kprobe", "ring buffer", "BTF"
	Since string // "Linux 5.8", or "" if it is a matter of configuration
	Why   string // "CONFIG_KPROBES is not set", "lockdown=confidentiality"
	Way   string // the way around it, or ""
}

func (e *Missing) Error() string {
	on := e.On
	if on == "" {
		on = "this kernel"
	}
	s := e.What + " is not available on " + on
	if e.Why != "" {
		s += ": " + e.Why
	}
	if e.Since != "" {
		s += " (needs " + e.Since + ")"
	}
	if e.Way != "" {
		s += "; " + e.Way
	}
	return s
}

// Privilege says which right is missing.
type Privilege struct {
	Capability string // "CAP_BPF"
	Action     string // "loading programs"
	Way        string // "run as root, or …"
	Err        error
}

func (e *Privilege) Error() string {
	return fmt.Sprintf("%s needs %s: %s", e.Action, e.Capability, e.Way)
}

func (e *Privilege) Unwrap() error { return e.Err }

// Rejected is the verifier's refusal of a program.
type Rejected struct {
	Program string
	Insn    int    // raw instruction at which it failed, -1 if not known
	Reason  string // the last telling line of the log
	Log     string // whole
	Err     error
}

func (e *Rejected) Error() string {
	return fmt.Sprintf("the kernel's verifier rejected program %s at instruction %d: %s", e.Program, e.Insn, e.Reason)
}

func (e *Rejected) Unwrap() error { return e.Err }

// AttachError is one point that could not be attached.
type AttachError struct {
	Attach probe.Attach
	Point  probe.Point
	Err    error
}

func (e *AttachError) Error() string { return fmt.Sprintf("attaching to %s: %v", e.Point.Name, e.Err) }
func (e *AttachError) Unwrap() error { return e.Err }

// ErrClosed is returned by what is used after Close.
var ErrClosed = errors.New("session is closed")
