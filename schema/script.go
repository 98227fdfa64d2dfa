package schema

import "skep/internal/diag"

// Script is all that user space must know to read the events and maps of a compiled script.
type Script struct {
	Maps       []*Map
	Events     []*Event       // index = event id
	ProbeNames []string       // index = value of a ProbeName
	Errors     []RuntimeError // index = id of a runtime error
	Strings    Strings
	Config     Config
	Source     *diag.Source
}

// Config is the part of a script's configuration that user space needs.
type Config struct {
	PrintMapsOnExit  bool
	TruncTrailer     string // printed after a string that was cut, ".."
	StrSize          int    // of the value of str() without a length: one that fills it has been cut
	MaxCatBytes      int
	StackMode        string
	CppDemangle      bool
	CacheUserSymbols string
	MaxMapKeys       int    // of maps that the script does not declare
	RingPages        int    // pages of the event ring; 0: chosen by the host
	StackCopy        int    // most bytes of a stack that are copied to be unwound
	MissingProbes    string // what to do if some of the probes cannot be attached: "error", "warn", "ignore"
}

// Strings is the text of constant strings that programs refer to by number.
type Strings []string

// Map is one map of the script.
type Map struct {
	Name string // as written, "@" or "@start"
	// Object is the name in the collection spec's Maps.
	Object string
	Key    *Type // nil if the map has no key; a Tuple for several
	Value  *Type
	// Layout tells how a map without key is stored: always an (optionally per-CPU) array of one element
	// {value, padded to 8; u64 present}. Keyed maps are (LRU, per-CPU) hashes of Key to Value.
	PerCPU bool
	Max    int
	Drops  []Drop
}

// Drop is a place where insertions into a full map fail.
type Drop struct {
	Index int // in the drops array map, of the count of them
	Span  diag.Span
}

// EventKind says what user space does on an event.
type EventKind uint8

const (
	Printf EventKind = iota
	Errorf
	Warnf
	PrintValue // print(expr)
	Time       // time(fmt): Args has none; formatted by user space's clock when read
	Join       // join(argv, sep)
	Cat
	System
	Strftime
	Row       // row(): Columns
	DNSAnswer // dns_answer(): Args[0] is a buffer
	// StackCopy is what an unwound stack is made of, sent before what refers to it. Args: the UStack itself; the bytes of the frames that
	// the kernel found by frame pointers, or its error (Int, 8 bytes, Signed); the user's struct pt_regs (Array); those frames (Array).
	// From Size on, the record is a piece of the stack, from the stack pointer up.
	StackCopy
	// Control events travel on a ring of their own; see Record.
	PrintMap
	ClearMap
	ZeroMap
	Exit
	RunError // a helper failed, a division by zero, an index out of range
	SkbOutput
	Refresh // clears the screen
)

// Event is one call site.
//
// An event record in the data ring is, little endian:
//
//	u32 event id | u32 zero | the fixed part: each arg at its Offset | the bytes of the variable strings, in arg order
//
// A record of the control ring is:
//
//	u32 event id | u32 zero | u64 position of the data ring's producer when it was sent | fixed part
//
// so that user space handles it after all the data records that were sent before it. Offsets count from the record's start.
type Event struct {
	Kind   EventKind
	Span   diag.Span
	Format string // printf, errorf, warnf, time, cat, system; or the separator of join
	Verbs  []Verb // parsed Format
	Args   []Arg
	Size   int  // bytes up to the end of the fixed part
	Map    *Map // PrintMap, ClearMap, ZeroMap
	// Row: the columns, and whether their header waits for the first row, since all rows come at the end.
	Columns []Column
	Late    bool
	// Counted rows are shown when tracing has ended, those that look the same once, with their number.
	Counted bool
	View    *View // PrintMap: nil for print()
	// TextOnly output is for people: with JSON it is left out.
	TextOnly bool
	// PrintMap: arguments top and div are in Args (Int, 8 bytes each) if given.
	// Exit: Args[0] is the exit code (Int, 8 bytes) if given.
	// RunError: Args[0] is a u32 index into Errors, Args[1] an i32 return value.
	// Join: Args are up to 16 variable strings, an empty fixed part length of 0xffffffff ending the list.
}

// Arg is one value in a record.
type Arg struct {
	Type   *Type
	Offset int
	// Var strings and buffers: the fixed part holds at Offset a u32 with the number of bytes (without NUL), bit 31 set if the
	// string was cut at its limit; the bytes stand in the variable part.
	Var bool
	// Literal args need no bytes in the record: the value is known at compile time.
	Literal bool
	Text    string // Literal strings
	Number  int64  // Literal integers
}

// Verb is a piece of a format: literal text if Conv is 0, else one conversion. Flags, Width and Precision as in C; -1 if absent.
type Verb struct {
	Text                          string
	Minus, Zero, Plus, Space, Alt bool
	Width, Precision              int
	Length                        string // hh h l ll z j t
	Conv                          string // "d" "u" "x" "X" "o" "c" "s" "p" "r" "rx" "rh" "i" "gr" "f"
	Arg                           int    // index into Args
}

// RuntimeError describes a place where a program may fail at run time.
type RuntimeError struct {
	Span    diag.Span
	Helper  string // helper's name, or ""
	Message string // "division by zero"
}
