// Package helper is the kernel's helper functions as data: their numbers, names and prototypes, who may call them, and since when.
// What a call does is for those who run programs.
package helper

import "github.com/cilium/ebpf"

// An Arg is what a helper takes in one of r1 to r5: a kind, with flags. [Arg.Kind] is without them.
type Arg uint32

// Kinds of arguments, which the kernel calls ARG_….
const (
	None          Arg = iota // not an argument: never looked at
	Anything                 // any initialized value
	Ctx                      // the program's context, unmodified
	ConstMap                 // a map
	MapKey                   // memory of the map's key size
	MapValue                 // memory of the map's value size
	Mem                      // memory, as long as the Size that follows says; with FixedSize, as long as [Arg.Size] says
	Size                     // the length of the memory before it, not 0
	SizeOrZero               // the same, and 0 is allowed
	AllocSize                // a known number of bytes, the length of what is returned
	SpinLock                 // a bpf_spin_lock in a map's value
	Timer                    // a bpf_timer in a map's value
	Kptr                     // a kernel pointer in a map's value
	SockCommon               // a struct bpf_sock of any kind
	BTFSockCommon            // the same, or a BTF pointer to a socket
	BTF                      // a BTF pointer to the struct that the row's BTF names
	PerCPUBTF                // a BTF pointer to a variable of each CPU
	RingbufMem               // what ringbuf_reserve has returned
	Func                     // a function of the program
	Stack                    // memory on the stack
	ConstStr                 // a constant string in a read-only map
	Dynptr                   // a bpf_dynptr on the stack

	kindMask Arg = 0xff
)

// Flags of arguments.
const (
	MaybeNull     Arg = 1 << (8 + iota) // 0 is accepted
	Uninit                              // need not be initialized: the helper does so
	ReadOnly                            // the helper does not write, so that read-only memory will do
	Write                               // the helper writes
	Release                             // the reference is given away
	FixedSize                           // of Mem
	Aligned                             // of Mem: aligned to its size
	LocalDynptr                         // of Dynptr: over memory of the program
	RingbufDynptr                       // of Dynptr: over a record of a ring buffer

	sizeShift = 24
	// Four and Eight are lengths of fixed-size memory; IPv4, IPv6 and TCP those of headers without options.
	Four       = FixedSize | 4<<sizeShift
	Eight      = FixedSize | 8<<sizeShift
	IPv4Header = FixedSize | 20<<sizeShift
	IPv6Header = FixedSize | 40<<sizeShift
	TCPHeader  = FixedSize | 20<<sizeShift
)

// UninitMem is memory that the helper fills.
const UninitMem = Mem | Uninit | Write

// ConstMem is memory that the helper only reads.
const ConstMem = Mem | ReadOnly

// Kind is the argument without flags.
func (a Arg) Kind() Arg { return a & kindMask }

// Has reports whether all the flags are set.
func (a Arg) Has(flags Arg) bool { return a&flags == flags }

// Size is the length of fixed-size memory.
func (a Arg) Size() int { return int(a >> sizeShift) }

// A Ret is what a helper returns.
type Ret uint8

// Kinds of results, which the kernel calls RET_….
const (
	Integer Ret = iota
	Void
	RetMapValue
	RetMapValueOrNull
	RetSocketOrNull
	RetTCPSockOrNull
	RetSockCommonOrNull
	RetRingbufMemOrNull // of the size of the AllocSize argument
	RetDynptrMemOrNull  // of the size of the AllocSize argument
	RetMemOrBTF         // of the type of the PerCPUBTF argument
	RetMemOrBTFOrNull
	RetBTF // a trusted pointer to the struct that RetBTF names
	RetBTFOrNull
)

// Flags of helpers.
type Flags uint8

const (
	GPL          Flags = 1 << iota // only for programs with a GPL-compatible license
	Sleeps                         // only for programs that may sleep
	ChangesData                    // pointers into the packet are void afterwards
	Acquires                       // the result is a reference that must be released
	NeedsPerfmon                   // outside of tracing programs, only with CAP_PERFMON
	NeedsBPF                       // only with CAP_BPF
)

// A Helper is one row of the table.
type Helper struct {
	Number int32
	Name   string // without bpf_
	Since  int    // the first kernel that has it, as major × 100 + minor: 5_08 is Linux 5.8
	Ret    Ret
	Args   [5]Arg
	// Programs are the types of programs that may call it on the newest kernel known here. Older ones know it in fewer.
	Programs Programs
	Flags    Flags
	BTF      string // the struct of its BTF argument
	RetBTF   string // the struct that it returns
}

// Kernel is the first kernel that has the helper, as the kernel's own version numbers: major<<16 | minor<<8.
func (h *Helper) Kernel() uint32 { return uint32(h.Since/100)<<16 | uint32(h.Since%100)<<8 }

// NumArgs is the number of arguments.
func (h *Helper) NumArgs() int {
	n := 0
	for n < len(h.Args) && h.Args[n] != None {
		n++
	}
	return n
}

// ByNumber finds a helper; nil if the number is none's.
func ByNumber(number int32) *Helper {
	if number < 1 || int(number) > len(table) {
		return nil
	}
	return &table[number-1]
}

// ByName finds a helper by its name without bpf_; nil if there is none.
func ByName(name string) *Helper {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// Max is the highest number of a helper.
func Max() int32 { return int32(len(table)) }

// Programs is a set of program types.
type Programs uint64

// Has reports whether the type is in the set.
func (p Programs) Has(t ebpf.ProgramType) bool { return t < 64 && p>>t&1 != 0 }
