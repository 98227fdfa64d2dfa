// Package schema describes the values that a compiled program hands to user space: their types and layouts, its maps,
// and the events it sends. It is what a compiler knows and a reader of maps and events must know too.
package schema

// Kind is the kind of a type.
type Kind uint8

const (
	None        Kind = iota // no value, such as the result of printf()
	Int                     // Size 1, 2, 4 or 8, Signed or not
	Bool                    // one byte
	String                  // Size bytes of memory, ends at the first NUL or at Size
	Buffer                  // of buf(): u32 length (≤ Size-4), then the bytes; Size is the whole
	Pointer                 // 8 bytes; Elem is what it points to (nil for void)
	Array                   // Len times Elem
	Struct                  // struct or union: Name, Def
	Enum                    // Size bytes; Name, Enum
	Tuple                   // Fields with offsets, as C lays them out
	Inet                    // 20 bytes: u32 address family (AF_INET 2, AF_INET6 10), 16 bytes of address
	MAC                     // 6 bytes
	KSym                    // u64 kernel address
	USym                    // 16 bytes: u64 address, u32 pid, u32 zero
	KStack                  // 8 bytes: see Stack
	UStack                  // 16 bytes: see Stack; if Unwound, the first word is UnwoundStack and the time at which the stack was copied
	Timestamp               // u64 nanoseconds of Clock, to be formatted with Format by strftime
	CgroupPath              // 8 bytes: cgroup id
	ProbeName               // u32 index into Script.ProbeNames
	Username                // u32 uid
	Errno                   // i32 error number, printed as its text (strerror)
	SignalName              // i32 signal number, printed as its name
	SyscallName             // u64 number, printed as the syscall's name
	Names                   // u64, shown as the names of its parts: see NameTable
	Ratio                   // u64 a, u64 b (Signed): the number a/b, 0 if b is 0; times a number in a file if Format names it
	// Kinds that only maps hold. Values are per CPU unless the map's Shared says otherwise.
	Count   // u64
	Sum     // u64; Signed
	Min     // u64 value, u64 set
	Max     // u64 value, u64 set
	Avg     // u64 total, u64 count; Signed
	Stats   // u64 total, u64 count; Signed
	Hist    // u64 per bucket: see HistBuckets
	LHist   // u64 per bucket: see LHistBuckets
	TSeries // see TSeries fields of Type: Buckets slots of {u64 epoch, u64 a, u64 b}
)

// UnwoundStack is set in the first word of a UStack that is Unwound, unless the program could not copy the stack: then that word is one
// of the errors that other stacks have, too.
const UnwoundStack = 1 << 62

// Clock is the clock of a timestamp.
type Clock uint8

const (
	Boot Clock = iota // CLOCK_BOOTTIME, nsecs
	Monotonic
	Wall // CLOCK_TAI or REALTIME already
)

// Type is the type of a value and its layout in memory. Types are immutable once made and compared with Equal.
type Type struct {
	Kind   Kind
	Size   int        // bytes in memory, including padding
	Signed bool       // Int, Enum, Sum, Avg, Stats, Min, Max
	Name   string     // Struct: tag; Enum: tag; Int: typedef name as the user sees it, or ""
	Elem   *Type      // Pointer, Array
	Len    int        // Array; 0 for a flexible array
	Fields []Field    // Tuple
	Def    *StructDef // Struct
	Enum   *EnumDef   // Enum
	User   bool       // Pointer, Int: an address of user memory
	Either bool       // with User: or of the kernel's, which its highest bit tells

	Bits           int    // Hist: extra bits 0..5
	Min, Max, Step int64  // LHist
	Format         string // Timestamp: strftime format; Names: the table; Inet: "dns" if it is shown as a name; Buffer: "words" or "quoted" if it shows as words that end with NUL, at most Len; CgroupPath: pattern of hierarchies, "" for all; Ratio: "" or a file's path, NUL, and the word that begins the line of a number in it
	Clock          Clock  // Timestamp
	UTC            bool   // Timestamp: not in the time zone of the machine
	StackMode      string // KStack, UStack: "bpftrace", "perf", "raw", "build_id"
	StackDepth     int    // KStack, UStack: most frames
	Unwound        bool   // UStack: user space unwinds it, see Event
	Interval       uint64 // TSeries: ns per bucket
	Buckets        int    // TSeries
	Agg            string // TSeries: "", "avg", "max", "min", "sum"
}

// Field is a member of a struct, union, tuple or tracepoint record.
type Field struct {
	Name   string
	Type   *Type
	Offset int // bytes from the start of the outer value
	// A bit field has BitSize > 0: BitOffset counts from the least significant bit of the little-endian integer of
	// Type.Size bytes at Offset.
	BitOffset, BitSize int
	// DataLoc fields of tracepoints hold a u32 in the record: offset in the record (low 16 bits) and length (high 16).
	// DataRel is the same, but counted from the end of the field.
	DataLoc, DataRel bool
}

// StructDef is a definition of a struct or union. Its fields are found on demand, since kernel types refer to each other
// without end.
type StructDef struct {
	Name   string
	Union  bool
	Size   int
	Kernel bool // found in the kernel's BTF
	// Load gives the fields; those of anonymous members are among them at their offsets. It is called at most once.
	Load   func() []Field
	fields []Field
	loaded bool
}

// Fields returns the members in the order of their definition.
func (s *StructDef) Fields() []Field {
	if !s.loaded {
		s.loaded = true
		if s.Load != nil {
			s.fields = s.Load()
		}
	}
	return s.fields
}

// Field returns the member of that name.
func (s *StructDef) Field(name string) (Field, bool) {
	for _, f := range s.Fields() {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// EnumDef is a definition of an enum.
type EnumDef struct {
	Name   string
	Values []EnumValue
}

// EnumValue is one constant.
type EnumValue struct {
	Name  string
	Value int64
}

// NameOf returns the first constant of that value.
func (e *EnumDef) NameOf(v int64) (string, bool) {
	for _, c := range e.Values {
		if c.Value == v {
			return c.Name, true
		}
	}
	return "", false
}

// Log2 histograms follow bpftrace. Bucket 0 counts negative values. With k = Bits extra bits, non-negative values below
// 2^k have a bucket each (bucket v+1); above, each power of two is cut in 2^k equal parts. HistBuckets(k) is the length.
func HistBuckets(bits int) int { return (64-bits)<<bits + 1 }

// HistIndex returns the bucket of v in a histogram with that many extra bits.
func HistIndex(v int64, bits int) int {
	if v < 0 {
		return 0
	}
	if v < 1<<bits {
		return int(v) + 1
	}
	msb := 63
	for v>>msb == 0 {
		msb--
	}
	sub := int(v>>(msb-bits)) & (1<<bits - 1)
	return 1 + (msb-bits+1)<<bits + sub
}

// HistRange returns the range [lo, hi) of bucket i ≥ 1 of a histogram with that many extra bits.
func HistRange(i, bits int) (lo, hi int64) {
	i--
	if i < 1<<bits {
		return int64(i), int64(i) + 1
	}
	exp, sub := i>>bits-1, int64(i&(1<<bits-1))
	lo = (1<<bits + sub) << exp
	return lo, lo + 1<<exp
}

// LHistBuckets returns how many buckets lhist(v, min, max, step) has: one below min, the steps, one from max.
func LHistBuckets(min, max, step int64) int { return int((max-min)/step) + 2 }

// Equal reports whether two types have the same kind and layout, names of integers aside.
func Equal(a, b *Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Size != b.Size || a.Signed != b.Signed || a.Len != b.Len || len(a.Fields) != len(b.Fields) ||
		a.Bits != b.Bits || a.Min != b.Min || a.Max != b.Max || a.Step != b.Step || a.StackDepth != b.StackDepth || a.StackMode != b.StackMode || a.Unwound != b.Unwound {
		return false
	}
	switch a.Kind {
	case Struct, Enum:
		return a.Name == b.Name
	case Pointer:
		return a.Elem == nil || b.Elem == nil || a.Elem.Name == b.Elem.Name && a.Elem.Kind == b.Elem.Kind
	case Array:
		return Equal(a.Elem, b.Elem)
	}
	for i := range a.Fields {
		if !Equal(a.Fields[i].Type, b.Fields[i].Type) {
			return false
		}
	}
	return true
}

// HasUnwound reports whether a value has stacks that user space unwinds, itself or as parts of a tuple. A nil type has none.
func (t *Type) HasUnwound() bool {
	if t == nil {
		return false
	}
	for i := range t.Fields {
		if t.Kind == Tuple && t.Fields[i].Type.HasUnwound() {
			return true
		}
	}
	return t.Unwound
}
