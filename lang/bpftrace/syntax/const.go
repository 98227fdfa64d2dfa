package syntax

import "fmt"

// evalConst computes a constant expression of the C section: an array's length, an enumerator, the condition of an #if.
// The string is empty or says why it is none.
func evalConst(x Expr, lookup func(name string) (int64, bool)) (int64, string) {
	switch x := x.(type) {
	case *IntLit:
		return int64(x.Value), ""
	case *BoolLit:
		return boolInt(x.Value), ""
	case *Ident:
		if v, ok := lookup(x.Name); ok {
			return v, ""
		}
		return 0, fmt.Sprintf("unknown constant %s", x.Name)
	case *Cast:
		return evalConst(x.X, lookup)
	case *Unary:
		v, err := evalConst(x.X, lookup)
		if err != "" {
			return 0, err
		}
		switch x.Op {
		case "-":
			return -v, ""
		case "~":
			return ^v, ""
		case "!":
			return boolInt(v == 0), ""
		}
	case *Cond:
		c, err := evalConst(x.C, lookup)
		switch {
		case err != "":
			return 0, err
		case c == 0:
			return evalConst(x.F, lookup)
		case x.T == nil:
			return c, ""
		}
		return evalConst(x.T, lookup)
	case *Call:
		if n := sizeofConst(x); n > 0 {
			return n, ""
		}
	case *Binary:
		a, err := evalConst(x.X, lookup)
		if err != "" {
			return 0, err
		}
		b, err := evalConst(x.Y, lookup)
		if err != "" {
			return 0, err
		}
		return evalBinary(x.Op, a, b)
	}
	return 0, "not a constant"
}

func evalBinary(op string, a, b int64) (int64, string) {
	switch op {
	case "+":
		return a + b, ""
	case "-":
		return a - b, ""
	case "*":
		return a * b, ""
	case "/", "%":
		if b == 0 {
			return 0, "division by zero"
		}
		if op == "/" {
			return a / b, ""
		}
		return a % b, ""
	case "<<":
		return a << (uint64(b) & 63), ""
	case ">>":
		return a >> (uint64(b) & 63), ""
	case "&":
		return a & b, ""
	case "|":
		return a | b, ""
	case "^":
		return a ^ b, ""
	case "&&":
		return boolInt(a != 0 && b != 0), ""
	case "||":
		return boolInt(a != 0 || b != 0), ""
	case "==":
		return boolInt(a == b), ""
	case "!=":
		return boolInt(a != b), ""
	case "<":
		return boolInt(a < b), ""
	case ">":
		return boolInt(a > b), ""
	case "<=":
		return boolInt(a <= b), ""
	case ">=":
		return boolInt(a >= b), ""
	}
	return 0, "not a constant"
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// sizeofConst is sizeof of a C integer or a pointer, or 0.
func sizeofConst(c *Call) int64 {
	if c.Name != "sizeof" || len(c.Args) != 1 {
		return 0
	}
	name := ""
	switch a := c.Args[0].(type) {
	case *Ident:
		name = a.Name
	case *TypeArg:
		if n := len(a.Type.Mods); n > 0 {
			if a.Type.Mods[n-1].Pointer {
				return 8
			}
			return 0
		}
		name = a.Type.Name
	}
	switch name {
	case "char", "signed char", "unsigned char", "bool", "u8", "s8", "__u8", "__s8", "int8_t", "uint8_t", "uint8", "int8":
		return 1
	case "short", "unsigned short", "u16", "s16", "__u16", "__s16", "int16_t", "uint16_t", "uint16", "int16":
		return 2
	case "int", "unsigned int", "u32", "s32", "__u32", "__s32", "int32_t", "uint32_t", "uint32", "int32":
		return 4
	case "long", "unsigned long", "long long", "unsigned long long", "u64", "s64", "__u64", "__s64", "int64_t", "uint64_t",
		"uint64", "int64", "size_t":
		return 8
	}
	return 0
}
