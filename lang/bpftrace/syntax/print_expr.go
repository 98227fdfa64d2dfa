package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"skep/internal/diag"
)

// exprText gives an expression as text.
func exprText(x Expr) string {
	p := &printer{src: &diag.Source{}, midLine: true, flat: true}
	p.expr(x, 0)
	return p.b.String()
}

// levels of binding: those of binary operators are precedence's.
const (
	levelUnary   = 11
	levelPostfix = 12
)

func levelOf(x Expr) int {
	switch x := x.(type) {
	case *Cond:
		return 0
	case *Binary:
		return precedence(x.Op)
	case *Unary:
		if x.Postfix {
			return levelPostfix
		}
		return levelUnary
	case *Cast, *Comptime:
		return levelUnary
	}
	return levelPostfix
}

// expr prints x as an operand that must bind at least as tightly as level.
func (p *printer) expr(x Expr, level int) {
	if levelOf(x) < level || p.parens[x.Pos()] {
		p.write("(")
		p.bare(x)
		p.write(")")
		return
	}
	p.bare(x)
}

// guarded prints x as a statement.
func (p *printer) guarded(x Expr) {
	switch leftmost(x).(type) {
	case *BlockExpr, *Cond:
		if !p.parens[x.Pos()] {
			p.write("(")
			p.bare(x)
			p.write(")")
			return
		}
	}
	p.expr(x, 0)
}

// leftmost returns the expression that x begins with, if no parenthesis is printed before it.
func leftmost(x Expr) Expr {
	for {
		switch y := x.(type) {
		case *Binary:
			x = y.X
		case *Index:
			x = y.X
		case *Field:
			x = y.X
		case *TupleField:
			x = y.X
		case *Unary:
			if !y.Postfix {
				return x
			}
			x = y.X
		case *Cond:
			if isIfValue(y) {
				return x
			}
			x = y.C
		default:
			return x
		}
	}
}

// isIfValue reports whether the cond was written as an if.
func isIfValue(c *Cond) bool {
	_, then := c.T.(*BlockExpr)
	switch f := c.F.(type) {
	case *BlockExpr:
		return then
	case *Cond:
		return then && isIfValue(f)
	}
	return false
}

// bare prints x without parentheses around it.
func (p *printer) bare(x Expr) {
	switch x := x.(type) {
	case *IntLit:
		if x.Text != "" {
			p.write(x.Text)
			return
		}
		p.write(strconv.FormatUint(x.Value, 10))
		if x.Unsigned {
			p.write("u")
		}
	case *StrLit:
		if x.Text != "" {
			p.write(x.Text)
			return
		}
		p.write(quote(x.Value))
	case *BoolLit:
		p.write(strconv.FormatBool(x.Value))
	case *PosParam:
		if x.Index == 0 {
			p.write("$#")
			return
		}
		p.write("$" + strconv.Itoa(x.Index))
	case *Ident:
		p.write(x.Name)
	case *Var:
		p.write(x.Name)
	case *MapRef:
		p.write(x.Name)
		if x.Keys != nil {
			p.list("[", x.Keys, "]")
		}
	case *Unary:
		p.unary(x)
	case *Binary:
		level := precedence(x.Op)
		p.expr(x.X, level)
		y, ok := p.oneLine(x.Y, level+1)
		if (x.Op == "&&" || x.Op == "||") && ok && p.column+len(x.Op)+2+utf8.RuneCountInString(y) > maxColumn {
			p.wrap()
			p.write(x.Op + " ")
		} else {
			p.write(" " + x.Op + " ")
		}
		p.fill(x.Y, level+1, y, ok)
	case *Cond:
		p.cond(x)
	case *Field:
		p.expr(x.X, levelPostfix)
		if x.Arrow {
			p.write("->" + x.Name)
		} else {
			p.write("." + x.Name)
		}
	case *TupleField:
		p.expr(x.X, levelPostfix)
		p.write("." + strconv.Itoa(x.Index))
	case *Index:
		p.operand(x.X)
		p.write("[")
		p.expr(x.I, 0)
		p.write("]")
	case *Call:
		p.write(x.Name)
		p.list("(", x.Args, ")")
	case *Cast:
		p.write("(" + x.Type.String() + ")")
		p.expr(x.X, levelUnary)
	case *Tuple:
		if len(x.Elems) == 1 {
			p.list("(", x.Elems, ",)")
			return
		}
		p.list("(", x.Elems, ")")
	case *Record:
		p.write("(")
		for i, f := range x.Fields {
			if i > 0 {
				p.write(", ")
			}
			p.write(f.Name + " = ")
			p.expr(f.X, 0)
		}
		p.write(")")
	case *Comptime:
		p.write("comptime ")
		p.expr(x.X, levelUnary)
	case *Range:
		p.expr(x.From, 0)
		p.write("..")
		p.expr(x.To, 0)
	case *BlockExpr:
		p.blockValue(x.B)
	case *TypeArg:
		p.write(x.Type.String())
	case *Bad:
		p.write("/* ? */")
	}
}

// operand prints what is indexed. A map with a key in parentheses, (@a)[1], is not @a[1].
func (p *printer) operand(x Expr) {
	if m, ok := x.(*MapRef); ok && m.Keys == nil {
		p.write("(")
		p.bare(x)
		p.write(")")
		return
	}
	p.expr(x, levelPostfix)
}

func (p *printer) unary(x *Unary) {
	if x.Postfix {
		p.expr(x.X, levelPostfix)
		p.write(x.Op)
		return
	}
	p.write(x.Op)
	if y, ok := x.X.(*Unary); ok && !y.Postfix && strings.ContainsAny(x.Op[:1], "-+&") && y.Op[0] == x.Op[0] &&
		!p.parens[y.Span] {
		p.write(" ") // not --
	}
	p.expr(x.X, levelUnary)
}

func (p *printer) cond(x *Cond) {
	if isIfValue(x) {
		p.write("if (")
		p.bare(x.C)
		p.write(") ")
		p.blockValue(x.T.(*BlockExpr).B)
		p.write(" else ")
		if f, ok := x.F.(*BlockExpr); ok {
			p.blockValue(f.B)
			return
		}
		p.bare(x.F)
		return
	}
	p.expr(x.C, 1)
	if x.T == nil {
		p.write(" ?: ")
	} else {
		p.write(" ? ")
		p.expr(x.T, 0)
		p.write(" : ")
	}
	p.expr(x.F, 0)
}

// blockValue prints a block that is a value, on one line if it is only an expression.
func (p *printer) blockValue(b *Block) {
	commented := len(p.comments) > 0 && p.comments[0].Span.Start < b.Span.End
	if len(b.Stmts) > 0 || b.Value == nil || commented {
		p.block(b)
		return
	}
	p.write("{ ")
	p.expr(b.Value, 0)
	p.write(" }")
}

func (p *printer) list(open string, xs []Expr, end string) {
	p.write(open)
	for i, x := range xs {
		text, ok := p.oneLine(x, 0)
		switch {
		case i == 0:
		case ok && p.column+2+utf8.RuneCountInString(text)+len(end) > maxColumn:
			p.write(",")
			p.wrap()
		default:
			p.write(", ")
		}
		p.fill(x, 0, text, ok)
	}
	p.write(end)
}

// maxColumn is where lists of arguments and conditions are wrapped.
const maxColumn = 100

// oneLine gives an operand as it is without wrapping. It fails if it does not fit on a line, and if nothing is wrapped.
func (p *printer) oneLine(x Expr, level int) (string, bool) {
	if p.flat {
		return "", false
	}
	q := &printer{src: p.src, parens: p.parens, indent: p.indent, midLine: true, flat: true}
	q.expr(x, level)
	text := q.b.String()
	return text, !strings.Contains(text, "\n")
}

// fill prints an operand of which oneLine gave text and ok.
func (p *printer) fill(x Expr, level int, text string, ok bool) {
	if ok && p.column+utf8.RuneCountInString(text) <= maxColumn {
		p.write(text)
		return
	}
	p.expr(x, level)
}

// quote writes a string so that the scanner reads it back.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteString(s[i : i+n])
			}
			i += n
			continue
		}
		i++
	}
	b.WriteByte('"')
	return b.String()
}
