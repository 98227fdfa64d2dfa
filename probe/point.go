// Package probe knows what can be probed: tracepoints, kernel and user functions, timers, software events; and finds
// the ones that a pattern means.
package probe

import (
	"time"

	"skep/symbol"
)

// Kind is a provider of events.
type Kind uint8

const (
	Begin Kind = iota
	End
	Tracepoint
	RawTracepoint
	Kprobe
	Kretprobe
	Fentry
	Fexit
	Uprobe
	Uretprobe
	USDT
	Profile
	Interval
	Software
	SelfSignal // self:signal:SIGUSR1
	Test       // test:name, with --test
	Bench      // bench:name, with --bench
)

// Own reports whether probes of the kind are skep's own: they run once, when asked to, or by a clock, and are about no process.
func (k Kind) Own() bool {
	switch k {
	case Begin, End, Interval, SelfSignal:
		return true
	}
	return false
}

// Point is one concrete place to attach to, with no wildcard left in it.
type Point struct {
	Kind Kind
	// Name is the full name as the builtin probe prints it: "tracepoint:syscalls:sys_enter_openat", "interval:s:1", "BEGIN".
	Name string

	Category, Event string // tracepoint: "sched", "sched_switch"; rawtracepoint: Event only

	Module   string // kprobe, fentry, rawtracepoint: kernel module, or "" for any ("vmlinux" if known)
	Function string // kprobe, fentry: kernel function; uprobe: symbol as found in the file (mangled), may be ""
	Offset   uint64 // kprobe, uprobe: bytes after the function's start
	Address  uint64 // kprobe by address; 0 otherwise

	Binary     string       // uprobe: absolute path of the file, in the tracer's mount namespace
	FileOffset uint64       // uprobe: offset in the file of the instruction to probe
	USDT       *symbol.USDT // usdt: where its arguments are
	PID        int          // uprobe, software, profile: limited to this process; 0 for all

	Period    time.Duration // profile, interval: time between two events; 0 if Frequency is set
	Frequency uint64        // profile, interval: events per second, from hz:
	Software  uint64        // software: PERF_COUNT_SW_*
	Count     uint64        // software: events per sample
	Signal    int           // self:signal
}
