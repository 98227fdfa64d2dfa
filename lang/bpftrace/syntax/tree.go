// Package syntax turns the text of a bpftrace script into a tree, and a tree back into text.
//
// It knows nothing of names and types: that is the work of package check.
package syntax

import "skep/internal/diag"

// Script is a whole file.
type Script struct {
	Source   *diag.Source
	C        []CDecl      // struct, union, enum definitions of the C section, after preprocessing
	Defines  []CDefine    // object-like macros of the C section, in order; uses are expanded in the tree
	Includes []Include    // #include lines; no header is read
	Config   []ConfigItem // config = { … }
	MapDecls []*MapDecl   // let @m = hash(100);
	Imports  []*Import
	Macros   []*Macro
	Funcs    []*Func
	Probes   []*Probe
	Comments []Comment // for the printer; in source order

	// For the printer, too:
	ConfigSpan diag.Span   // the whole config block
	Parens     []diag.Span // what stood in parentheses, without them; only with Options.Format
}

// Include is #include <Name> (System) or #include "Name".
type Include struct {
	Span   diag.Span
	Name   string
	System bool
}

// Import is import "Path".
type Import struct {
	Span diag.Span
	Path string
}

// Func is fn name($a : T, …) : T { … }.
type Func struct {
	Span     diag.Span
	Name     string
	NameSpan diag.Span
	Params   []FuncParam
	Result   *TypeExpr // nil if not given
	Body     *Block
}

// FuncParam is one parameter of a Func.
type FuncParam struct {
	Span diag.Span
	Name string // with its $
	Type *TypeExpr
}

// Comment is a // or /* */ comment with its delimiters, a shebang line, or a preprocessor line with the lines after it
// that it disables.
type Comment struct {
	Span diag.Span
	Text string
}

// ConfigItem is one k = v of the config block. Value is as written (a number, word, string without quotes, or $name for a named parameter).
type ConfigItem struct {
	Span                diag.Span
	Name, Value         string
	NameSpan, ValueSpan diag.Span
}

// MapDecl declares the kind and size of a map: let @name = kind(max).
type MapDecl struct {
	Span              diag.Span
	Name              string // with the leading @
	Kind              string // hash, lruhash, percpuhash, percpulruhash
	Max               uint64
	KindSpan, MaxSpan diag.Span
}

// Macro is macro name($v, expr, @m) { … }.
type Macro struct {
	Span     diag.Span
	Name     string
	NameSpan diag.Span
	Params   []MacroParam
	Body     *Block // its value is Body.Value
}

// MacroParam is one parameter. Kind tells which arguments it takes.
type MacroParam struct {
	Span diag.Span
	Kind ParamKind
	Name string // with its $ or @, if it has one
}

// ParamKind is the kind of a macro parameter, told by its spelling.
type ParamKind uint8

const (
	ParamExpr ParamKind = iota // name: any expression, evaluated where it is used
	ParamVar                   // $name: a scratch variable
	ParamMap                   // @name: a map
)

// Probe is one action block with its attach points: name=probe, probe /predicate/ { … }.
type Probe struct {
	Span   diag.Span
	Points []AttachPoint
	Pred   Expr // nil if there is none
	Body   *Block
}

// AttachPoint is a probe as written, such as tracepoint:sched:*, with positional parameters still in it.
type AttachPoint struct {
	Span diag.Span
	Name string // the name= before it, or ""
	Text string // the probe's text without blanks around it; quotes of uprobe targets are kept
}

// Block is { stmts; value }. Value is the last expression if it has no semicolon and the block stands where a value is
// wanted (macro bodies and block expressions); otherwise that expression is an ExprStmt and Value is nil.
type Block struct {
	Span  diag.Span
	Stmts []Stmt
	Value Expr
}

// Stmt is a statement: one of the *…Stmt types, or *Block.
type Stmt interface {
	Pos() diag.Span
	stmt()
}

type (
	// ExprStmt is an expression evaluated for its effect.
	ExprStmt struct {
		Span diag.Span
		X    Expr
	}
	// AssignStmt is Left Op Right with Op one of "=", "+=", "-=", … ; Left is *Var, *MapRef, or *Ident "_" for "_ = x".
	AssignStmt struct {
		Span  diag.Span
		Left  Expr
		Op    string
		Right Expr
	}
	// LetStmt is let $x [: Type] [= Init]. Assignments to fields of tuples do not exist in the language.
	LetStmt struct {
		Span diag.Span
		Var  *Var
		Type *TypeExpr // nil if not given
		Init Expr      // nil if not given
	}
	// IfStmt is if (Cond) Then else Else; Else is nil, *Block or *IfStmt.
	IfStmt struct {
		Span diag.Span
		Cond Expr
		Then *Block
		Else Stmt
	}
	// WhileStmt is while (Cond) { … }.
	WhileStmt struct {
		Span diag.Span
		Cond Expr
		Body *Block
	}
	// UnrollStmt is unroll (Count) { … }.
	UnrollStmt struct {
		Span  diag.Span
		Count Expr
		Body  *Block
	}
	// ForStmt is for ($v : Over) { … }: over a map (*MapRef without keys) or a range (*Range).
	ForStmt struct {
		Span diag.Span
		Var  *Var
		Over Expr
		Body *Block
	}
	// JumpStmt is break, continue or return [Value].
	JumpStmt struct {
		Span  diag.Span
		Word  string // "break", "continue", "return"
		Value Expr   // only for return; may be nil
	}
)

// Expr is an expression: one of the pointer types below.
type Expr interface {
	Pos() diag.Span
	expr()
}

type (
	// IntLit is an integer literal; Suffixed types and durations are resolved: 5ms is 5000000. Text is as written.
	IntLit struct {
		Span     diag.Span
		Value    uint64
		Unsigned bool // it had a U suffix
		Text     string
	}
	// StrLit is a string literal, Value unescaped (it may hold any byte). Text is as written, with quotes, or "".
	StrLit struct {
		Span  diag.Span
		Value string
		Text  string
	}
	// BoolLit is true or false.
	BoolLit struct {
		Span  diag.Span
		Value bool
	}
	// PosParam is $1 … $N (Index ≥ 1) or $# (Index 0).
	PosParam struct {
		Span  diag.Span
		Index int
	}
	// Ident is a bare name: a builtin (pid, args, arg0, …), an enum constant, a #define that is not expanded,
	// a macro without parentheses, a macro's expression parameter, or "_".
	Ident struct {
		Span diag.Span
		Name string
	}
	// Var is a scratch variable; Name has the leading $.
	Var struct {
		Span diag.Span
		Name string
	}
	// MapRef is @, @name or @name[keys]. Keys is nil without brackets. Name has the leading @.
	MapRef struct {
		Span diag.Span
		Name string
		Keys []Expr
	}
	// Unary is Op X for "-", "!", "~", "*", "&", and "++" and "--" before (Postfix false) or after X.
	Unary struct {
		Span    diag.Span
		Op      string
		Postfix bool
		X       Expr
	}
	// Binary is X Op Y.
	Binary struct {
		Span   diag.Span
		Op     string
		OpSpan diag.Span
		X, Y   Expr
	}
	// Cond is C ? T : F; T is nil for the short form C ?: F. An if as a value is one, too: T and F are BlockExprs (F a
	// Cond again for else if).
	Cond struct {
		Span    diag.Span
		C, T, F Expr
	}
	// Field is X.Name or X->Name.
	Field struct {
		Span     diag.Span
		X        Expr
		Arrow    bool
		Name     string
		NameSpan diag.Span
	}
	// TupleField is X.0, X.1, ….
	TupleField struct {
		Span  diag.Span
		X     Expr
		Index int
	}
	// Index is X[I].
	Index struct {
		Span diag.Span
		X, I Expr
	}
	// Call is Name(Args). Args may hold *TypeExpr (wrapped in TypeArg) for sizeof, offsetof and macros.
	Call struct {
		Span     diag.Span
		Name     string
		NameSpan diag.Span
		Args     []Expr
	}
	// Cast is (Type)X.
	Cast struct {
		Span diag.Span
		Type *TypeExpr
		X    Expr
	}
	// Tuple is (a, b), (a,) or ().
	Tuple struct {
		Span  diag.Span
		Elems []Expr
	}
	// Record is (name = X, …).
	Record struct {
		Span   diag.Span
		Fields []RecordField
	}
	// Comptime is comptime X, in the condition of an if.
	Comptime struct {
		Span diag.Span
		X    Expr
	}
	// Range is From..To, in for loops only; To is exclusive.
	Range struct {
		Span     diag.Span
		From, To Expr
	}
	// BlockExpr is { stmts; value } where a value is wanted.
	BlockExpr struct {
		Span diag.Span
		B    *Block
	}
	// TypeArg is a type where an expression may stand: sizeof(struct task_struct), offsetof(struct x, f).
	TypeArg struct {
		Span diag.Span
		Type *TypeExpr
	}
	// Bad stands for text that could not be parsed; an error has been reported.
	Bad struct{ Span diag.Span }
)

// RecordField is one name = X of a Record.
type RecordField struct {
	Span diag.Span
	Name string
	X    Expr
}

// TypeExpr is a type as written: struct task_struct *, uint8[4], string[16], int32*[4]*, typeof($x), enum e.
type TypeExpr struct {
	Span   diag.Span
	Tag    string    // "struct", "union", "enum" or ""
	Name   string    // "task_struct", "uint8", "string"; "" for typeof
	Typeof Expr      // the argument of typeof(…), may be a *TypeArg
	Mods   []TypeMod // applied from left to right
}

// TypeMod is one * or [n] after a type's name. Len is -1 for [] (as in (int8[])s) and 0 for a pointer.
type TypeMod struct {
	Pointer bool
	Len     int
}

// CDecl is a struct, union or enum definition of the C section, or a typedef.
type CDecl struct {
	Span    diag.Span
	Tag     string // "struct", "union", "enum", "typedef"
	Name    string
	Packed  bool
	Align   int // of __attribute__((aligned(n))), or 0
	Fields  []CField
	Members []CEnumerator // of an enum
	Type    *CType        // what a typedef stands for
}

// CField is one member. Name is "" for anonymous structs and unions, whose members are those of the outer one.
type CField struct {
	Span diag.Span
	Name string
	Type *CType
	Bits int // width of a bit field, or -1
}

// CType is a C type: Base with pointers and arrays applied from the inside out.
type CType struct {
	Tag    string // "struct", "union", "enum" or ""
	Name   string // base name with normalised blanks: "unsigned long", "u32", "task_struct"
	Inline *CDecl // a definition in place, or nil
	Stars  int    // pointers directly on the base
	Func   bool   // pointer to a function
	Dims   []int  // array lengths, outermost first
}

// CEnumerator is one constant.
type CEnumerator struct {
	Name  string
	Value int64
}

// CDefine is #define NAME body. Body is the text after the name.
type CDefine struct {
	Span       diag.Span
	Name, Body string
}

func (s *ExprStmt) Pos() diag.Span   { return s.Span }
func (s *AssignStmt) Pos() diag.Span { return s.Span }
func (s *LetStmt) Pos() diag.Span    { return s.Span }
func (s *IfStmt) Pos() diag.Span     { return s.Span }
func (s *WhileStmt) Pos() diag.Span  { return s.Span }
func (s *UnrollStmt) Pos() diag.Span { return s.Span }
func (s *ForStmt) Pos() diag.Span    { return s.Span }
func (s *JumpStmt) Pos() diag.Span   { return s.Span }
func (s *Block) Pos() diag.Span      { return s.Span }

func (*ExprStmt) stmt()   {}
func (*AssignStmt) stmt() {}
func (*LetStmt) stmt()    {}
func (*IfStmt) stmt()     {}
func (*WhileStmt) stmt()  {}
func (*UnrollStmt) stmt() {}
func (*ForStmt) stmt()    {}
func (*JumpStmt) stmt()   {}
func (*Block) stmt()      {}

func (x *IntLit) Pos() diag.Span     { return x.Span }
func (x *StrLit) Pos() diag.Span     { return x.Span }
func (x *BoolLit) Pos() diag.Span    { return x.Span }
func (x *PosParam) Pos() diag.Span   { return x.Span }
func (x *Ident) Pos() diag.Span      { return x.Span }
func (x *Var) Pos() diag.Span        { return x.Span }
func (x *MapRef) Pos() diag.Span     { return x.Span }
func (x *Unary) Pos() diag.Span      { return x.Span }
func (x *Binary) Pos() diag.Span     { return x.Span }
func (x *Cond) Pos() diag.Span       { return x.Span }
func (x *Field) Pos() diag.Span      { return x.Span }
func (x *TupleField) Pos() diag.Span { return x.Span }
func (x *Index) Pos() diag.Span      { return x.Span }
func (x *Call) Pos() diag.Span       { return x.Span }
func (x *Cast) Pos() diag.Span       { return x.Span }
func (x *Tuple) Pos() diag.Span      { return x.Span }
func (x *Record) Pos() diag.Span     { return x.Span }
func (x *Comptime) Pos() diag.Span   { return x.Span }
func (x *Range) Pos() diag.Span      { return x.Span }
func (x *BlockExpr) Pos() diag.Span  { return x.Span }
func (x *TypeArg) Pos() diag.Span    { return x.Span }
func (x *Bad) Pos() diag.Span        { return x.Span }

func (*IntLit) expr()     {}
func (*StrLit) expr()     {}
func (*BoolLit) expr()    {}
func (*PosParam) expr()   {}
func (*Ident) expr()      {}
func (*Var) expr()        {}
func (*MapRef) expr()     {}
func (*Unary) expr()      {}
func (*Binary) expr()     {}
func (*Cond) expr()       {}
func (*Field) expr()      {}
func (*TupleField) expr() {}
func (*Index) expr()      {}
func (*Call) expr()       {}
func (*Cast) expr()       {}
func (*Tuple) expr()      {}
func (*Record) expr()     {}
func (*Comptime) expr()   {}
func (*Range) expr()      {}
func (*BlockExpr) expr()  {}
func (*TypeArg) expr()    {}
func (*Bad) expr()        {}
