package check

import (
	"fmt"
	"strings"

	"skep/schema"
)

// The types that need no definition. They are static data: nothing is made at start-up.
var (
	typeNone = &schema.Type{Kind: schema.None}
	// typeBad is the type of what could not be understood, or whose type is not known yet. It silences what follows from it.
	typeBad  = &schema.Type{Kind: schema.None, Name: "unknown"}
	typeBool = &schema.Type{Kind: schema.Bool, Size: 1}
	typeI8   = &schema.Type{Kind: schema.Int, Size: 1, Signed: true}
	typeI16  = &schema.Type{Kind: schema.Int, Size: 2, Signed: true}
	typeI32  = &schema.Type{Kind: schema.Int, Size: 4, Signed: true}
	typeI64  = &schema.Type{Kind: schema.Int, Size: 8, Signed: true}
	typeU8   = &schema.Type{Kind: schema.Int, Size: 1}
	typeU16  = &schema.Type{Kind: schema.Int, Size: 2}
	typeU32  = &schema.Type{Kind: schema.Int, Size: 4}
	typeU64  = &schema.Type{Kind: schema.Int, Size: 8}
	typeInet = &schema.Type{Kind: schema.Inet, Size: 20}
	typeMAC  = &schema.Type{Kind: schema.MAC, Size: 6}
	typeKSym = &schema.Type{Kind: schema.KSym, Size: 8}
	typeUSym = &schema.Type{Kind: schema.USym, Size: 16}
	typeComm = &schema.Type{Kind: schema.String, Size: 16}
	// typeUser64 is an integer that may be an address of user space: a register of a uprobe.
	typeUser64 = &schema.Type{Kind: schema.Int, Size: 8, User: true}
	// typeUserSigned64 is the same for an argument of a USDT probe that the program takes for signed.
	typeUserSigned64 = &schema.Type{Kind: schema.Int, Size: 8, Signed: true, User: true}
	typeUserID       = &schema.Type{Kind: schema.Username, Size: 4}
	typeErrno        = &schema.Type{Kind: schema.Errno, Size: 4, Signed: true}
	typeSignal       = &schema.Type{Kind: schema.SignalName, Size: 4, Signed: true}
	typeSyscall      = &schema.Type{Kind: schema.SyscallName, Size: 8}
	typeCgroup       = &schema.Type{Kind: schema.CgroupPath, Size: 8}
	typeVoidPtr      = &schema.Type{Kind: schema.Pointer, Size: 8}
	typeCount        = &schema.Type{Kind: schema.Count, Size: 8}
)

// Integer literals have types of their own, told apart by identity: unlike other integers they adapt to what they are used with.
var (
	literalI8  = &schema.Type{Kind: schema.Int, Size: 1, Signed: true}
	literalI16 = &schema.Type{Kind: schema.Int, Size: 2, Signed: true}
	literalI32 = &schema.Type{Kind: schema.Int, Size: 4, Signed: true}
	literalI64 = &schema.Type{Kind: schema.Int, Size: 8, Signed: true}
	literalU64 = &schema.Type{Kind: schema.Int, Size: 8}
)

// literal returns the smallest signed type that holds v.
func literal(v int64) *schema.Type {
	switch {
	case v == int64(int8(v)):
		return literalI8
	case v == int64(int16(v)):
		return literalI16
	case v == int64(int32(v)):
		return literalI32
	}
	return literalI64
}

func isLiteralType(t *schema.Type) bool {
	return t == literalI8 || t == literalI16 || t == literalI32 || t == literalI64 || t == literalU64
}

// isLiteral reports whether x is an integer literal, or a constant computed from some.
func isLiteral(x Expr) bool {
	c, ok := x.(*Const)
	return ok && isLiteralType(c.T)
}

func intType(size int, signed bool) *schema.Type {
	switch {
	case size == 1 && signed:
		return typeI8
	case size == 2 && signed:
		return typeI16
	case size == 4 && signed:
		return typeI32
	case signed:
		return typeI64
	case size == 1:
		return typeU8
	case size == 2:
		return typeU16
	case size == 4:
		return typeU32
	}
	return typeU64
}

func stringType(size int) *schema.Type { return &schema.Type{Kind: schema.String, Size: size} }

func pointerTo(elem *schema.Type, in space) *schema.Type {
	return withSpace(&schema.Type{Kind: schema.Pointer, Size: 8, Elem: elem}, in)
}

// arrayOf gives char arrays the type of strings.
func arrayOf(elem *schema.Type, n int) *schema.Type {
	if elem.Kind == schema.Int && elem.Name == "char" && n > 0 {
		return stringType(n)
	}
	return &schema.Type{Kind: schema.Array, Size: elem.Size * n, Elem: elem, Len: n}
}

// tupleOf lays out a tuple as C lays out a struct.
func tupleOf(elems []*schema.Type) *schema.Type {
	t := &schema.Type{Kind: schema.Tuple, Fields: make([]schema.Field, len(elems))}
	most := 1
	for i, e := range elems {
		a := alignOf(e)
		most = max(most, a)
		t.Size = (t.Size + a - 1) / a * a
		t.Fields[i] = schema.Field{Name: fmt.Sprint(i), Type: e, Offset: t.Size}
		t.Size += e.Size
	}
	t.Size = (t.Size + most - 1) / most * most
	return t
}

// alignOf is the alignment of a type inside a tuple or a struct.
func alignOf(t *schema.Type) int {
	switch t.Kind {
	case schema.String, schema.MAC:
		return 1
	case schema.Buffer, schema.Inet:
		return 4
	case schema.Array:
		return alignOf(t.Elem)
	case schema.Struct:
		if t.Def == nil {
			return 8
		}
		if t.Size%8 != 0 {
			for a := 4; a > 1; a /= 2 {
				if t.Size%a == 0 {
					return a
				}
			}
			return 1
		}
		return 8
	case schema.Tuple:
		most := 1
		for _, f := range t.Fields {
			most = max(most, alignOf(f.Type))
		}
		return most
	}
	switch t.Size {
	case 0, 1:
		return 1
	case 2, 4:
		return t.Size
	}
	return 8
}

// isAggregate reports whether values of the kind live in maps only.
func isAggregate(k schema.Kind) bool { return k >= schema.Count && k <= schema.TSeries }

// aggregateResult is the type of an aggregation that is used as a value, or nil if it has no single value.
func aggregateResult(t *schema.Type) *schema.Type {
	switch t.Kind {
	case schema.Count:
		return typeU64
	case schema.Sum, schema.Min, schema.Max, schema.Avg:
		return intType(8, t.Signed)
	}
	return nil
}

// isNumber reports whether values of t can be computed with like integers.
func isNumber(t *schema.Type) bool {
	switch t.Kind {
	case schema.Int, schema.Bool, schema.Enum:
		return true
	}
	return false
}

// isCondition reports whether a value of t can be asked for being true.
func isCondition(t *schema.Type) bool {
	switch t.Kind {
	case schema.Int, schema.Bool, schema.Enum, schema.Pointer, schema.KSym, schema.CgroupPath,
		schema.Username, schema.Errno, schema.SignalName, schema.SyscallName:
		return true
	}
	return false
}

// TypeName writes a type as the language does.
func TypeName(t *schema.Type) string {
	if t == nil {
		return "void"
	}
	sign := func(word string) string {
		if t.Signed {
			return word
		}
		return "u" + word
	}
	switch t.Kind {
	case schema.None:
		if t == typeBad {
			return "unknown"
		}
		return "none"
	case schema.Int:
		return fmt.Sprintf("%s%d", sign("int"), t.Size*8)
	case schema.Bool:
		return "bool"
	case schema.String:
		return fmt.Sprintf("string[%d]", t.Size)
	case schema.Buffer:
		return fmt.Sprintf("buffer[%d]", t.Size-4)
	case schema.Pointer:
		return TypeName(t.Elem) + " *"
	case schema.Array:
		return fmt.Sprintf("%s[%d]", TypeName(t.Elem), t.Len)
	case schema.Struct:
		if t.Def != nil && t.Def.Union {
			return "union " + t.Name
		}
		return "struct " + t.Name
	case schema.Enum:
		return "enum " + t.Name
	case schema.Tuple:
		names := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			names[i] = TypeName(f.Type)
		}
		return "(" + strings.Join(names, ",") + ")"
	case schema.Inet:
		if t.Format != "" {
			return "dns_name_t"
		}
		return "inet"
	case schema.MAC:
		return "mac_address"
	case schema.KSym:
		return "ksym_t"
	case schema.USym:
		return "usym_t"
	case schema.KStack, schema.UStack:
		word := "kstack"
		if t.Kind == schema.UStack {
			word = "ustack"
		}
		if t.Unwound {
			word = "dw_ustack"
		}
		return fmt.Sprintf("%s_%s_%d", word, t.StackMode, t.StackDepth)
	case schema.Timestamp:
		return "timestamp"
	case schema.CgroupPath:
		return "cgroup_path_t"
	case schema.ProbeName:
		return "probe_name"
	case schema.Username:
		return "username"
	case schema.Errno:
		return "strerror_t"
	case schema.SignalName:
		return "signal_name_t"
	case schema.SyscallName:
		return "syscall_name_t"
	case schema.Names:
		return "names_t"
	case schema.Ratio:
		return sign("ratio_t")
	case schema.Count:
		return "count_t"
	case schema.Sum:
		return sign("sum_t")
	case schema.Min:
		return sign("min_t")
	case schema.Max:
		return sign("max_t")
	case schema.Avg:
		return sign("avg_t")
	case schema.Stats:
		return sign("stats_t")
	case schema.Hist:
		return "hist_t"
	case schema.LHist:
		return "lhist_t"
	case schema.TSeries:
		return "tseries_t"
	}
	return fmt.Sprintf("kind %d", t.Kind)
}
