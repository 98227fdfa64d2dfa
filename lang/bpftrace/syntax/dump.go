package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// Dump prints the tree with a node a line, indented by its depth, without places and comments.
func Dump(s *Script) string {
	d := &dumper{}
	for _, inc := range s.Includes {
		d.line("include %s", inc.Name)
	}
	for _, def := range s.Defines {
		d.line("define %s = %s", def.Name, def.Body)
	}
	for i := range s.C {
		d.cdecl(&s.C[i])
	}
	for _, c := range s.Config {
		d.line("config %s = %s", c.Name, c.Value)
	}
	for _, i := range s.Imports {
		d.line("import %q", i.Path)
	}
	for _, m := range s.MapDecls {
		d.line("map %s = %s(%d)", m.Name, m.Kind, m.Max)
	}
	for _, m := range s.Macros {
		var names []string
		for _, p := range m.Params {
			names = append(names, p.Name)
		}
		d.line("macro %s(%s)", m.Name, strings.Join(names, ", "))
		d.block(m.Body)
	}
	for _, f := range s.Funcs {
		var params []string
		for _, p := range f.Params {
			params = append(params, p.Name+" : "+p.Type.String())
		}
		result := ""
		if f.Result != nil {
			result = " : " + f.Result.String()
		}
		d.line("fn %s(%s)%s", f.Name, strings.Join(params, ", "), result)
		d.block(f.Body)
	}
	for _, p := range s.Probes {
		d.line("probe")
		d.in(func() {
			for _, pt := range p.Points {
				if pt.Name != "" {
					d.line("at %s (%s)", pt.Text, pt.Name)
				} else {
					d.line("at %s", pt.Text)
				}
			}
			if p.Pred != nil {
				d.line("if")
				d.child(p.Pred)
			}
		})
		d.block(p.Body)
	}
	return d.b.String()
}

type dumper struct {
	b     strings.Builder
	depth int
}

func (d *dumper) line(format string, args ...any) {
	for range d.depth {
		d.b.WriteString("  ")
	}
	fmt.Fprintf(&d.b, format, args...)
	d.b.WriteByte('\n')
}

func (d *dumper) in(f func()) {
	d.depth++
	f()
	d.depth--
}

func (d *dumper) child(x Expr) { d.in(func() { d.expr(x) }) }

// part prints children under a word that says what they are.
func (d *dumper) part(word string, xs ...Expr) {
	d.in(func() {
		d.line("%s", word)
		for _, x := range xs {
			d.child(x)
		}
	})
}

func (d *dumper) block(b *Block) {
	d.in(func() {
		if b == nil {
			d.line("(no block)")
			return
		}
		for _, s := range b.Stmts {
			d.stmt(s)
		}
		if b.Value != nil {
			d.line("value")
			d.child(b.Value)
		}
	})
}

func (d *dumper) stmt(s Stmt) {
	switch s := s.(type) {
	case *Block:
		d.line("block")
		d.block(s)
	case *ExprStmt:
		d.expr(s.X)
	case *AssignStmt:
		d.line("%s", s.Op)
		d.child(s.Left)
		d.child(s.Right)
	case *LetStmt:
		if s.Type != nil {
			d.line("let %s : %s", s.Var.Name, s.Type)
		} else {
			d.line("let %s", s.Var.Name)
		}
		if s.Init != nil {
			d.child(s.Init)
		}
	case *IfStmt:
		d.line("if")
		d.child(s.Cond)
		d.in(func() { d.line("then"); d.block(s.Then) })
		if s.Else != nil {
			d.in(func() { d.line("else"); d.in(func() { d.stmt(s.Else) }) })
		}
	case *WhileStmt:
		d.line("while")
		d.child(s.Cond)
		d.in(func() { d.line("do"); d.block(s.Body) })
	case *UnrollStmt:
		d.line("unroll")
		d.child(s.Count)
		d.in(func() { d.line("do"); d.block(s.Body) })
	case *ForStmt:
		d.line("for %s", s.Var.Name)
		d.child(s.Over)
		d.in(func() { d.line("do"); d.block(s.Body) })
	case *JumpStmt:
		d.line("%s", s.Word)
		if s.Value != nil {
			d.child(s.Value)
		}
	}
}

func (d *dumper) expr(x Expr) {
	switch x := x.(type) {
	case nil:
		d.line("(nothing)")
	case *IntLit:
		if x.Unsigned {
			d.line("int %du", x.Value)
		} else {
			d.line("int %d", x.Value)
		}
	case *StrLit:
		d.line("string %s", strconv.Quote(x.Value))
	case *BoolLit:
		d.line("bool %t", x.Value)
	case *PosParam:
		if x.Index == 0 {
			d.line("param #")
		} else {
			d.line("param %d", x.Index)
		}
	case *Ident:
		d.line("name %s", x.Name)
	case *Var:
		d.line("var %s", x.Name)
	case *MapRef:
		d.line("map %s", x.Name)
		for _, k := range x.Keys {
			d.child(k)
		}
	case *Unary:
		if x.Postfix {
			d.line("postfix %s", x.Op)
		} else {
			d.line("unary %s", x.Op)
		}
		d.child(x.X)
	case *Binary:
		d.line("binary %s", x.Op)
		d.child(x.X)
		d.child(x.Y)
	case *Cond:
		d.line("cond")
		d.child(x.C)
		if x.T != nil {
			d.part("then", x.T)
		}
		d.part("else", x.F)
	case *Field:
		if x.Arrow {
			d.line("field -> %s", x.Name)
		} else {
			d.line("field . %s", x.Name)
		}
		d.child(x.X)
	case *TupleField:
		d.line("field . %d", x.Index)
		d.child(x.X)
	case *Index:
		d.line("index")
		d.child(x.X)
		d.child(x.I)
	case *Call:
		d.line("call %s", x.Name)
		for _, a := range x.Args {
			d.child(a)
		}
	case *Cast:
		d.line("cast %s", x.Type)
		d.child(x.X)
	case *Tuple:
		d.line("tuple")
		for _, e := range x.Elems {
			d.child(e)
		}
	case *Record:
		d.line("record")
		for _, f := range x.Fields {
			d.part(f.Name+" =", f.X)
		}
	case *Comptime:
		d.line("comptime")
		d.child(x.X)
	case *Range:
		d.line("range")
		d.child(x.From)
		d.child(x.To)
	case *BlockExpr:
		d.line("block")
		d.block(x.B)
	case *TypeArg:
		d.line("type %s", x.Type)
	case *Bad:
		d.line("bad")
	}
}

func (d *dumper) cdecl(c *CDecl) {
	attr := ""
	if c.Packed {
		attr += " packed"
	}
	if c.Align > 0 {
		attr += fmt.Sprintf(" aligned(%d)", c.Align)
	}
	name := c.Name
	if name != "" {
		name = " " + name
	}
	d.line("%s%s%s", c.Tag, name, attr)
	d.in(func() {
		if c.Type != nil {
			d.ctype("", c.Type, -1)
		}
		for _, f := range c.Fields {
			d.ctype(f.Name, f.Type, f.Bits)
		}
		for _, m := range c.Members {
			d.line("%s = %d", m.Name, m.Value)
		}
	})
}

func (d *dumper) ctype(name string, t *CType, bits int) {
	text := t.String()
	if bits >= 0 {
		text += fmt.Sprintf(" : %d", bits)
	}
	if name != "" {
		text = name + " " + text
	}
	d.line("%s", text)
	if t.Inline != nil {
		d.in(func() { d.cdecl(t.Inline) })
	}
}

// String gives the type as it is written in a script.
func (t *TypeExpr) String() string {
	var b strings.Builder
	switch {
	case t.Typeof != nil:
		b.WriteString("typeof(")
		b.WriteString(exprText(t.Typeof))
		b.WriteString(")")
	case t.Tag != "":
		b.WriteString(t.Tag + " " + t.Name)
	default:
		b.WriteString(t.Name)
	}
	for i, m := range t.Mods {
		switch {
		case m.Pointer && i == 0 && t.Tag != "":
			b.WriteString(" *")
		case m.Pointer:
			b.WriteString("*")
		case m.Len < 0:
			b.WriteString("[]")
		default:
			fmt.Fprintf(&b, "[%d]", m.Len)
		}
	}
	return b.String()
}

// String gives the type with its pointers before and its arrays after the base: "struct a **[3][4]".
func (t *CType) String() string {
	var b strings.Builder
	if t.Tag != "" {
		b.WriteString(t.Tag + " ")
	}
	b.WriteString(t.Name)
	if t.Func {
		b.WriteString("(*)()")
	}
	if t.Stars > 0 {
		b.WriteString(" " + strings.Repeat("*", t.Stars))
	}
	for _, n := range t.Dims {
		fmt.Fprintf(&b, "[%d]", n)
	}
	return strings.TrimSuffix(b.String(), " ")
}
