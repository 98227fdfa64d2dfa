// Package check finds out what a parsed script means: names, types, probe arguments. All that a user can get wrong is
// reported here; what it returns can be compiled without further questions.
package check

import (
	"skep/internal/diag"
	"skep/probe"
	"skep/schema"
)

// Tree is a checked script. Macros are expanded, positional and named parameters are replaced by their values, constant
// conditions on them are decided, probes have no wildcards left.
type Tree struct {
	Source *diag.Source
	Probes []*Probe
	Maps   []*Map // in the order of first use
	Config Config
	// Questions are those that has() asked, in their order.
	Questions []Question
}

// Config holds the configuration variables of the script, its environment (which wins) and the defaults.
type Config struct {
	MaxMapKeys       int
	MaxStrlen        int
	MaxCatBytes      int
	MaxProbes        int
	MaxPrograms      int
	PerfRBPages      int // 0: automatic
	StackCopy        int // bytes that dw_ustack copies at most
	OnStackLimit     int
	PrintMapsOnExit  bool
	MissingProbes    string // "error", "warn", "ignore"
	StackMode        string // "bpftrace", "perf", "raw", "build_id"
	StrTruncTrailer  string
	License          string
	CppDemangle      bool
	CacheUserSymbols string
	Unsafe           bool
}

// Map is one map of the script.
type Map struct {
	Name     string
	Key      *schema.Type // nil without key; a Tuple for several
	Value    *schema.Type
	Max      int       // from let, or Config.MaxMapKeys
	Declared string    // kind given by let, or ""
	Span     diag.Span // first use
}

// Probe is one program: an action block typed for points that all have the same arguments. A block with a wildcard over
// tracepoints whose arguments differ becomes several probes.
type Probe struct {
	Span   diag.Span
	Points []probe.Point
	Args   Args
	Pred   Expr // nil if there is none
	Body   []Stmt
	// What the body uses, so that code need not be generated per point: the builtins probe, func and probetype.
	UsesProbe, UsesFunc bool
}

// Args tells where the arguments of a probe are.
type Args struct {
	// Fields of args.x. For tracepoints, Offset counts from the start of the tracepoint's record. For rawtracepoint, fentry, fexit
	// (from BTF) the Offset is 8 times the index of the argument. For syscalls tracepoints the fields
	// are those of the record too: sys_enter_* has argument i at 16+8*i, sys_exit_* has ret at 16.
	Fields []schema.Field
	// Retval is the type of retval for fexit (from BTF; at Offset 8*len(params)), and uint64 for kretprobe and uretprobe.
	Retval  *schema.Type
	NParams int // fexit: number of parameters before the result
}

// Var is a scratch variable. Two of the same name in different blocks are different Vars.
type Var struct {
	Name string
	Type *schema.Type
	Span diag.Span
}

// Stmt is a checked statement.
type Stmt interface{ Pos() diag.Span }

type (
	// Eval evaluates X for its effect.
	Eval struct {
		Span diag.Span
		X    Expr
	}
	// SetVar is $x = X; X has the variable's type, or one of the same kind that is smaller (string, integer).
	SetVar struct {
		Span diag.Span
		Var  *Var
		X    Expr
	}
	// DeclareVar is let $x without value: it is zero.
	DeclareVar struct {
		Span diag.Span
		Var  *Var
	}
	// SetMap is @m[Key] = X. Op is "" or the operator of a compound assignment ("+" for +=), in which case the
	// current value is read, changed and written; + and - on integers must be atomic. To a pointer, X bytes are added.
	SetMap struct {
		Span diag.Span
		Map  *Map
		Key  Expr // of the map's key type; nil without key
		Op   string
		X    Expr
	}
	// Aggregate is @m[Key] = count() and so on: Map.Value.Kind tells which. X is nil for count.
	Aggregate struct {
		Span   diag.Span
		Map    *Map
		Key    Expr
		X      Expr
		Weight Expr // of hist and lhist with a third argument; nil otherwise
	}
	// If is if (Cond) Then else Else; Cond is of an integer, bool or pointer type.
	If struct {
		Span       diag.Span
		Cond       Expr
		Then, Else []Stmt
	}
	// While is while (Cond) Body.
	While struct {
		Span diag.Span
		Cond Expr
		Body []Stmt
	}
	// Unroll is Body, N times.
	Unroll struct {
		Span diag.Span
		N    int
		Body []Stmt
	}
	// ForMap is for ($kv : @m) Body. Var is a Tuple (key, value); aggregations are cast to integers when used.
	ForMap struct {
		Span diag.Span
		Var  *Var
		Map  *Map
		Body []Stmt
	}
	// ForRange is for $i : From..To Body.
	ForRange struct {
		Span     diag.Span
		Var      *Var
		From, To Expr
		Body     []Stmt
	}
	// Jump is break, continue or return (which leaves the program).
	Jump struct {
		Span diag.Span
		Word string
	}
	// Group is a block of its own.
	Group struct {
		Span diag.Span
		Body []Stmt
	}
)

// Expr is a checked expression.
type Expr interface {
	Pos() diag.Span
	Type() *schema.Type
}

// Node is the part that all expressions have.
type Node struct {
	Span diag.Span
	T    *schema.Type
}

func (n Node) Pos() diag.Span     { return n.Span }
func (n Node) Type() *schema.Type { return n.T }

type (
	// Const is an integer, boolean or enum constant, or a null pointer. Value holds 64 bits; T says how to read them.
	Const struct {
		Node
		Value int64
	}
	// Str is a constant string. T.Size is len(Value)+1.
	Str struct {
		Node
		Value string
	}
	// VarRef reads a scratch variable.
	VarRef struct {
		Node
		Var *Var
	}
	// MapGet reads @m[Key]; a missing key reads as zero. The value of an aggregation is its cross-CPU result as an integer
	// (count, sum, min, max, avg): only then is T an Int while Map.Value is not.
	MapGet struct {
		Node
		Map *Map
		Key Expr
	}
	// MapArg is a map as the argument of a function: print, clear, zero, delete, has_key, len, find.
	MapArg struct {
		Node
		Map *Map
	}
	// IncDec is ++ or -- of a variable or of a map's value. The result is the old value if Postfix.
	IncDec struct {
		Node
		Op      string // "++" or "--"
		Postfix bool
		Var     *Var // or
		Map     *Map
		Key     Expr
		Step    int64 // 1, or the size of what a map's pointer points to
	}
	// Unary is "-", "~" or "!" of an integer (! also of a pointer or bool).
	Unary struct {
		Node
		Op string
		X  Expr
	}
	// Binary is X Op Y. Both operands have been converted to the type in which the operation is done, except for shifts, whose right
	// side is any integer. Comparisons compare with the signedness of X's type and give a Bool; of strings, buffers, inet, mac and arrays
	// they are "==" and "!=". "&&" and "||" evaluate Y only if needed. Pointer arithmetic: X is the pointer and T too; Y has been
	// scaled already.
	Binary struct {
		Node
		Op   string
		X, Y Expr
	}
	// Cond is C ? T : F; both sides have type T.
	Cond struct {
		Node
		C, Then, Else Expr
	}
	// Convert changes the type of X: integer widths (truncate, extend by the signedness of X's type), pointer ↔ integer,
	// integer → bool, array ↔ integer, string sizes, enum ↔ integer, integer ↔ KSym and the like.
	Convert struct {
		Node
		X Expr
	}
	// Deref is *X: X is a pointer (T.User tells which memory), the result is what lies there. A struct, union or array result is the place itself and is read
	// only as far as it is used.
	Deref struct {
		Node
		X Expr
	}
	// Member is a field of X, which has a struct type (a Deref, another Member, an element, a map's value, a variable) or is a tuple.
	Member struct {
		Node
		X     Expr
		Field schema.Field
	}
	// Index is X[I] of an array. A constant I is known to be in range; otherwise it is checked at run time.
	Index struct {
		Node
		X, I Expr
	}
	// AddrOf is &X for a variable or map value (X is VarRef or MapGet), or the address of a Member, Index or Deref.
	AddrOf struct {
		Node
		X Expr
	}
	// ArgsField is args.x. Field is one of the probe's Args.Fields.
	ArgsField struct {
		Node
		Field schema.Field
	}
	// Tuple makes a tuple; elements have the types of T.Fields.
	Tuple struct {
		Node
		Elems []Expr
	}
	// Call is a builtin or function: Fn is its name as in the language reference ("pid", "nsecs", "str", "kstack", …; argN is "arg"
	// with N in Index, a named register "reg"). Aliases are resolved. Calls that send an event have it in Event, complete but for
	// offsets and sizes: Event.Args[i] tells the type of Args[i]. print, clear and zero of a whole map have a MapArg before these.
	Call struct {
		Node
		Fn    string
		Args  []Expr
		Index int // arg: N; str, buf: the constant limit in bytes
		Event *schema.Event
	}
	// Seq runs Stmts, then gives X (a block expression or macro); X is nil for no value.
	Seq struct {
		Node
		Stmts []Stmt
		X     Expr
	}
)

func (s *Eval) Pos() diag.Span       { return s.Span }
func (s *SetVar) Pos() diag.Span     { return s.Span }
func (s *DeclareVar) Pos() diag.Span { return s.Span }
func (s *SetMap) Pos() diag.Span     { return s.Span }
func (s *Aggregate) Pos() diag.Span  { return s.Span }
func (s *If) Pos() diag.Span         { return s.Span }
func (s *While) Pos() diag.Span      { return s.Span }
func (s *Unroll) Pos() diag.Span     { return s.Span }
func (s *ForMap) Pos() diag.Span     { return s.Span }
func (s *ForRange) Pos() diag.Span   { return s.Span }
func (s *Jump) Pos() diag.Span       { return s.Span }
func (s *Group) Pos() diag.Span      { return s.Span }
