package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// typeExpr finds a type. It reports an error and returns nil if there is none.
func (c *checker) typeExpr(e *syntax.TypeExpr) *schema.Type { return c.typeExprFor(e, nil) }

// typeExprFor finds the type e for a cast of x, whose size is that of arrays of open length. It reports an error and returns
// nil if there is no such type.
func (c *checker) typeExprFor(e *syntax.TypeExpr, x Expr) *schema.Type {
	t := c.baseType(e)
	if t == nil {
		return nil
	}
	void := t.Kind == schema.None
	for i, m := range e.Mods {
		switch {
		case m.Pointer:
			if void && t.Kind == schema.None {
				t = nil
			}
			t = pointerTo(t, kernelSpace)
		case e.Name == "string" && i == 0:
			t = stringType(max(m.Len, 0))
		case e.Name == "buffer" && i == 0:
			t = &schema.Type{Kind: schema.Buffer, Size: max(m.Len, 0) + 4}
		default:
			n := m.Len
			if t.Kind == schema.Struct {
				if t = c.types.complete(t, e.Span); t == nil {
					return nil
				}
			}
			if n < 0 {
				n = 0
				if x != nil && t.Size > 0 {
					n = x.Type().Size / t.Size
				}
			}
			if t.Size == 0 || n > maxSize/t.Size {
				c.list.Errorf(e.Span, "the array is too large")
				return nil
			}
			t = arrayOf(t, n)
		}
	}
	if t.Kind == schema.None && t != typeBad {
		c.list.Errorf(e.Span, "nothing can have the type void").Hint = "a pointer to it is written void *"
		return nil
	}
	if len(e.Mods) == 0 && t.Kind == schema.Struct {
		return c.types.complete(t, e.Span)
	}
	return t
}

func (c *checker) baseType(e *syntax.TypeExpr) *schema.Type {
	if e.Typeof != nil {
		return c.typeOf(e.Typeof)
	}
	switch e.Tag {
	case "struct", "union":
		if len(e.Mods) > 0 && e.Mods[0].Pointer {
			if _, known := c.types.named[e.Tag+" "+e.Name]; !known && e.Name == "task_struct" {
				return incomplete(e.Name) // it may not be looked into at all
			}
		}
		if t := c.types.find(e.Tag, e.Name); t != nil {
			return t
		}
		c.unknownType(e)
		return nil
	case "enum":
		if t := c.types.find("enum", e.Name); t != nil {
			return t
		}
		c.unknownType(e)
		return nil
	}
	if t := scriptType(e.Name); t != nil {
		return t
	}
	if t := cType(e.Name); t != nil {
		return t
	}
	if t := c.types.typedef(e.Name); t != nil {
		return t
	}
	c.unknownType(e)
	return nil
}

func (c *checker) unknownType(e *syntax.TypeExpr) {
	name := e.Name
	if e.Tag != "" {
		name = e.Tag + " " + e.Name
	}
	d := c.list.Errorf(e.Span, "type %s is not known", name)
	if e.Tag == "" {
		if near := diag.Nearest(e.Name, scriptTypes()); near != "" {
			d.Hint = "did you mean " + near + "?"
		} else if c.types.find("struct", e.Name) != nil {
			d.Hint = "did you mean struct " + e.Name + "?"
		}
		return
	}
	if d.Hint = c.types.noBTF(); d.Hint == "" {
		d.Hint = c.types.nearest(e.Tag, e.Name)
	}
}

// typeOf is the type of an expression that is not evaluated.
func (c *checker) typeOf(x syntax.Expr) *schema.Type {
	if arg := c.exprParam(x); arg != nil {
		var t *schema.Type
		c.inCaller(func() { t = c.typeOf(arg) })
		return t
	}
	if a, ok := x.(*syntax.TypeArg); ok {
		return c.typeExpr(a.Type)
	}
	e := c.expr(x)
	if isBad(e) {
		return nil
	}
	return e.Type()
}

// exprParam returns what the caller of the macro gave for the name x, or nil if x is no such parameter.
func (c *checker) exprParam(x syntax.Expr) syntax.Expr {
	id, ok := x.(*syntax.Ident)
	if !ok || c.frame == nil {
		return nil
	}
	if i := c.frame.param(id.Name); i >= 0 {
		return c.frame.args[i]
	}
	return nil
}

func scriptTypes() []string {
	return []string{"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "string", "buffer", "inet",
		"mac_address", "timestamp", "ksym_t", "usym_t", "username", "cgroup_path_t", "void"}
}

// scriptType is a type that the language names.
func scriptType(name string) *schema.Type {
	switch name {
	case "bool":
		return typeBool
	case "int8":
		return typeI8
	case "int16":
		return typeI16
	case "int32":
		return typeI32
	case "int64":
		return typeI64
	case "uint8":
		return typeU8
	case "uint16":
		return typeU16
	case "uint32":
		return typeU32
	case "uint64":
		return typeU64
	case "string":
		return stringType(0)
	case "buffer":
		return &schema.Type{Kind: schema.Buffer, Size: 4}
	case "inet":
		return typeInet
	case "mac_address":
		return typeMAC
	case "timestamp":
		return &schema.Type{Kind: schema.Timestamp, Size: 8}
	case "ksym_t":
		return typeKSym
	case "usym_t":
		return typeUSym
	case "username":
		return typeUserID
	case "cgroup_path_t":
		return typeCgroup
	case "void":
		return typeNone
	}
	return nil
}

// cType is a type that C and Linux headers name.
func cType(name string) *schema.Type {
	switch name {
	case "char":
		return charType
	case "signed char", "s8", "__s8", "int8_t":
		return typeI8
	case "unsigned char", "u8", "__u8", "uint8_t", "u_int8_t":
		return typeU8
	case "_Bool":
		return typeBool
	case "short", "short int", "signed short", "s16", "__s16", "int16_t":
		return typeI16
	case "unsigned short", "unsigned short int", "short unsigned int", "u16", "__u16", "uint16_t", "u_int16_t", "__be16", "__le16",
		"sa_family_t", "umode_t":
		return typeU16
	case "int", "signed", "signed int", "s32", "__s32", "int32_t", "pid_t", "clockid_t":
		return typeI32
	case "unsigned", "unsigned int", "u32", "__u32", "uint32_t", "u_int32_t", "__be32", "__le32", "uid_t", "gid_t", "mode_t", "dev_t",
		"uint":
		return typeU32
	case "long", "long int", "signed long", "long long", "long long int", "signed long long", "s64", "__s64", "int64_t", "ssize_t",
		"loff_t", "off_t", "ptrdiff_t", "intptr_t", "time_t":
		return typeI64
	case "unsigned long", "unsigned long int", "long unsigned int", "unsigned long long", "unsigned long long int",
		"long long unsigned int", "u64", "__u64", "uint64_t", "u_int64_t", "size_t", "sector_t", "uintptr_t", "__be64", "__le64",
		"ulong", "ino_t":
		return typeU64
	case "void":
		return typeNone
	}
	return nil
}
