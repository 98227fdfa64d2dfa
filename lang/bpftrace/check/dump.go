package check

import (
	"fmt"
	"strconv"
	"strings"

	"skep/schema"
)

// Dump writes a tree with the types that were found, as skep -d types prints it.
func Dump(t *Tree) string {
	d := &dumper{}
	for _, m := range t.Maps {
		d.line("map %s%s: %s%s", m.Name, keyName(m.Key), TypeName(m.Value), declared(m))
	}
	for _, p := range t.Probes {
		d.probe(p)
	}
	return d.b.String()
}

func keyName(t *schema.Type) string {
	if t == nil {
		return ""
	}
	return "[" + strings.TrimSuffix(strings.TrimPrefix(TypeName(t), "("), ")") + "]"
}

func declared(m *Map) string {
	if m.Declared == "" {
		return ""
	}
	return fmt.Sprintf(" = %s(%d)", m.Declared, m.Max)
}

type dumper struct {
	b      strings.Builder
	indent int
}

func (d *dumper) line(format string, args ...any) {
	d.b.WriteString(strings.Repeat("  ", d.indent))
	fmt.Fprintf(&d.b, format, args...)
	d.b.WriteByte('\n')
}

func (d *dumper) probe(p *Probe) {
	names := make([]string, 0, len(p.Points))
	for _, pt := range p.Points {
		names = append(names, pt.Name)
	}
	if len(names) > 3 {
		names = append(names[:2:2], fmt.Sprintf("… %d more", len(names)-2))
	}
	d.line("%s", strings.Join(names, ", "))
	if p.Pred != nil {
		d.line("/%s/", exprText(p.Pred))
	}
	d.block(p.Body)
}

func (d *dumper) block(list []Stmt) {
	d.line("{")
	d.indent++
	for _, s := range list {
		d.stmt(s)
	}
	d.indent--
	d.line("}")
}

func (d *dumper) stmt(s Stmt) {
	switch s := s.(type) {
	case *Eval:
		d.line("%s;", exprText(s.X))
	case *SetVar:
		d.line("%s: %s = %s;", s.Var.Name, TypeName(s.Var.Type), exprText(s.X))
	case *DeclareVar:
		d.line("let %s: %s;", s.Var.Name, TypeName(s.Var.Type))
	case *SetMap:
		d.line("%s %s= %s;", placeText(s.Map, s.Key), s.Op, exprText(s.X))
	case *Aggregate:
		x := ""
		if s.X != nil {
			x = exprText(s.X)
		}
		d.line("%s = %s(%s);", placeText(s.Map, s.Key), strings.TrimSuffix(TypeName(s.Map.Value), "_t"), x)
	case *If:
		d.line("if (%s)", exprText(s.Cond))
		d.block(s.Then)
		if len(s.Else) > 0 {
			d.line("else")
			d.block(s.Else)
		}
	case *While:
		d.line("while (%s)", exprText(s.Cond))
		d.block(s.Body)
	case *Unroll:
		d.line("unroll (%d)", s.N)
		d.block(s.Body)
	case *ForMap:
		d.line("for (%s: %s : %s)", s.Var.Name, TypeName(s.Var.Type), s.Map.Name)
		d.block(s.Body)
	case *ForRange:
		d.line("for (%s: %s : %s..%s)", s.Var.Name, TypeName(s.Var.Type), exprText(s.From), exprText(s.To))
		d.block(s.Body)
	case *Jump:
		d.line("%s;", s.Word)
	case *Group:
		d.block(s.Body)
	}
}

func placeText(m *Map, key Expr) string {
	if key == nil {
		return m.Name
	}
	text := exprText(key)
	if t, ok := key.(*Tuple); ok {
		text = elemsText(t.Elems)
	}
	return m.Name + "[" + text + "]"
}

func elemsText(list []Expr) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = exprText(e)
	}
	return strings.Join(texts, ", ")
}

// exprText writes an expression with the type of each operation.
func exprText(x Expr) string {
	switch x := x.(type) {
	case *Const:
		return constText(x)
	case *Str:
		return strconv.Quote(x.Value)
	case *VarRef:
		return x.Var.Name
	case *MapGet:
		return typed(placeText(x.Map, x.Key), x.T)
	case *MapArg:
		return x.Map.Name
	case *IncDec:
		return incDecText(x)
	case *Unary:
		return typed(x.Op+exprText(x.X), x.T)
	case *Binary:
		return "(" + exprText(x.X) + " " + x.Op + " " + exprText(x.Y) + ")" + suffix(x.T)
	case *Cond:
		return "(" + exprText(x.C) + " ? " + exprText(x.Then) + " : " + exprText(x.Else) + ")" + suffix(x.T)
	case *Convert:
		return "(" + typeText(x.T) + ")" + exprText(x.X)
	case *Deref:
		return typed("*"+exprText(x.X), x.T)
	case *Member:
		if p, ok := x.X.(*Deref); ok {
			return typed(exprText(p.X)+"->"+x.Field.Name, x.T)
		}
		return typed(exprText(x.X)+"."+x.Field.Name, x.T)
	case *Index:
		return typed(exprText(x.X)+"["+exprText(x.I)+"]", x.T)
	case *AddrOf:
		return typed("&"+exprText(x.X), x.T)
	case *ArgsField:
		return typed("args."+x.Field.Name, x.T)
	case *Tuple:
		return "(" + elemsText(x.Elems) + ")"
	case *Call:
		return callText(x)
	case *Seq:
		return seqText(x)
	}
	return fmt.Sprintf("%T", x)
}

func suffix(t *schema.Type) string { return ":" + typeText(t) }

func typed(text string, t *schema.Type) string { return text + suffix(t) }

// typeText is TypeName with the memory that pointers lead to.
func typeText(t *schema.Type) string {
	switch spaceOf(t) {
	case userSpace:
		return "user " + TypeName(t)
	case eitherSpace:
		return "user or kernel " + TypeName(t)
	}
	return TypeName(t)
}

func constText(x *Const) string {
	switch x.T.Kind {
	case schema.Bool:
		return strconv.FormatBool(x.Value != 0)
	case schema.Enum:
		if name, ok := x.T.Enum.NameOf(x.Value); ok {
			return name
		}
	}
	if !x.T.Signed {
		return strconv.FormatUint(uint64(x.Value), 10) + suffix(x.T)
	}
	return strconv.FormatInt(x.Value, 10) + suffix(x.T)
}

func incDecText(x *IncDec) string {
	place := ""
	if x.Var != nil {
		place = x.Var.Name
	} else {
		place = placeText(x.Map, x.Key)
	}
	if x.Postfix {
		return typed(place+x.Op, x.T)
	}
	return typed(x.Op+place, x.T)
}

func callText(x *Call) string {
	name := x.Fn
	if name == "arg" {
		name += strconv.Itoa(x.Index)
	}
	args := elemsText(x.Args)
	if x.Event != nil && x.Event.Format != "" {
		format := strconv.Quote(x.Event.Format)
		if args != "" {
			format += ", "
		}
		args = format + args
	}
	if args != "" || x.Event != nil {
		name += "(" + args + ")"
	}
	if x.T.Kind == schema.None {
		return name
	}
	return typed(name, x.T)
}

func seqText(x *Seq) string {
	d := &dumper{}
	for _, s := range x.Stmts {
		d.stmt(s)
	}
	text := "{ " + strings.Join(strings.Fields(d.b.String()), " ")
	if x.X != nil {
		text += " " + exprText(x.X)
	}
	return text + " }"
}
