package syntax

import (
	"fmt"
	"strings"

	"skep/internal/diag"
)

// expr reads a whole expression: c ? t : f and what binds more tightly.
func (p *parser) expr() Expr {
	if !p.enter() {
		p.leave()
		return &Bad{Span: p.tok.span}
	}
	defer p.leave()
	start := p.tok.span.Start
	x := p.binary(1)
	if !p.tok.is("?") {
		return x
	}
	p.next()
	c := &Cond{C: x}
	if !p.accept(":") {
		c.T = p.expr()
		p.expect(":", `of c ? t : f`)
	}
	c.F = p.expr()
	c.Span = p.from(start)
	return c
}

// precedence of a binary operator, or 0 for what is none.
func precedence(op string) int {
	switch op {
	case "||":
		return 1
	case "&&":
		return 2
	case "|":
		return 3
	case "^":
		return 4
	case "&":
		return 5
	case "==", "!=":
		return 6
	case "<", ">", "<=", ">=":
		return 7
	case "<<", ">>":
		return 8
	case "+", "-":
		return 9
	case "*", "/", "%":
		return 10
	}
	return 0
}

// binary reads operators that bind at least as tightly as level.
func (p *parser) binary(level int) Expr {
	start := p.tok.span.Start
	x := p.unary()
	for p.tok.kind == kindOp {
		op := p.tok
		prec := precedence(op.text)
		if prec < level || prec == 0 || op.text == "/" && p.endsPredicate() {
			break
		}
		p.next()
		y := p.binary(prec + 1)
		x = &Binary{Span: p.from(start), Op: op.text, OpSpan: op.span, X: x, Y: y}
	}
	return x
}

func (p *parser) unary() Expr {
	if !p.enter() {
		p.leave()
		return &Bad{Span: p.tok.span}
	}
	defer p.leave()
	t := p.tok
	if t.kind != kindOp {
		return p.postfix()
	}
	switch t.text {
	case "-", "!", "~", "*":
		p.next()
		x := p.unary()
		return &Unary{Span: p.from(t.span.Start), Op: t.text, X: x}
	case "&":
		p.next()
		x := p.unary()
		switch x.(type) {
		case *Var, *MapRef, *Bad, *Field, *Index:
		default:
			d := p.fail(t.span.To(x.Pos()), "& takes the address of a variable or a map only")
			if before := p.scan.text[:t.span.Start]; strings.HasSuffix(before, "&&") {
				d.Hint = `did you mean "&&"?`
			}
		}
		return &Unary{Span: p.from(t.span.Start), Op: "&", X: x}
	case "&&":
		p.fail(t.span, `unexpected "&&", expected an expression`).Hint = "is there an & or an operand too many or too few?"
		return &Bad{Span: t.span}
	case "++", "--":
		p.next()
		x := p.unary()
		p.countable(x, t)
		return &Unary{Span: p.from(t.span.Start), Op: t.text, X: x}
	case "(":
		if p.isCast() {
			return p.cast()
		}
	}
	return p.postfix()
}

// countable fails if x cannot be incremented.
func (p *parser) countable(x Expr, op token) {
	switch x.(type) {
	case *Var, *MapRef, *Bad:
		return
	}
	p.fail(op.span, "%s takes a variable or a map", op.text)
}

func (p *parser) postfix() Expr {
	start := p.tok.span.Start
	x := p.primary()
	for p.tok.kind == kindOp {
		t := p.tok
		switch t.text {
		case ".", "->":
			p.next()
			if p.tok.kind == kindInt && t.text == "." {
				index := int(min(p.tok.val, 1<<30))
				p.next()
				x = &TupleField{Span: p.from(start), X: x, Index: index}
				continue
			}
			name, at := p.name(fmt.Sprintf("the name of a field after %q", t.text))
			x = &Field{Span: p.from(start), X: x, Arrow: t.text == "->", Name: name, NameSpan: at}
		case "[":
			p.next()
			p.pred.nested++
			i := p.expr()
			p.pred.nested--
			p.closing("]", t.span, "the index")
			x = &Index{Span: p.from(start), X: x, I: i}
		case "++", "--":
			switch x.(type) {
			case *Var, *MapRef, *Bad:
			default:
				return x // an error of the statement, or of --
			}
			p.next()
			x = &Unary{Span: p.from(start), Op: t.text, Postfix: true, X: x}
			return x
		default:
			return x
		}
	}
	return x
}

func (p *parser) primary() Expr {
	t := p.tok
	switch t.kind {
	case kindInt:
		p.next()
		return &IntLit{Span: t.span, Value: t.val, Unsigned: t.unsigned, Text: t.text}
	case kindStr:
		p.next()
		return &StrLit{Span: t.span, Value: t.text, Text: t.raw}
	case kindParam:
		p.next()
		return &PosParam{Span: t.span, Index: int(t.val)}
	case kindVar:
		p.next()
		return &Var{Span: t.span, Name: t.text}
	case kindMap:
		p.next()
		return p.mapRef(t)
	case kindIdent:
		return p.word(t)
	case kindOp:
		switch t.text {
		case "(":
			return p.parens()
		case "{":
			b := p.block(true, false)
			return &BlockExpr{Span: b.Span, B: b}
		}
	}
	d := p.unexpected("an expression")
	switch {
	case t.is("+"):
		d.Hint = "there is no unary +"
	case t.is("="):
		d.Hint = `did you mean "=="?`
	}
	return &Bad{Span: t.span}
}

func (p *parser) mapRef(t token) Expr {
	m := &MapRef{Span: t.span, Name: t.text}
	if !p.tok.is("[") {
		return m
	}
	open := p.tok.span
	p.next()
	p.pred.nested++
	if p.tok.is("]") {
		p.unexpected("the key of the map").Hint = fmt.Sprintf("the map as a whole is %s", t.text)
	}
	m.Keys = p.list("]")
	p.pred.nested--
	p.closing("]", open, "the key")
	m.Span = p.from(t.span.Start)
	return m
}

// list reads expressions between commas, up to but not including the token that ends them.
func (p *parser) list(end string) []Expr {
	var xs []Expr
	for !p.tok.is(end) && !p.stopped {
		xs = append(xs, p.argument())
		if !p.accept(",") {
			break
		}
		if p.tok.is(end) {
			p.unexpected("an expression after the comma")
		}
	}
	return xs
}

// argument reads an expression or, where one may stand, a type.
func (p *parser) argument() Expr {
	if p.isType(0) {
		t := p.typeExpr()
		return &TypeArg{Span: t.Span, Type: t}
	}
	return p.expr()
}

// word reads an expression that begins with a name.
func (p *parser) word(t token) Expr {
	switch t.text {
	case "true", "false":
		p.next()
		return &BoolLit{Span: t.span, Value: t.text == "true"}
	case "if":
		s := p.ifChain(true)
		if p.stopped {
			return &Bad{Span: s.Span}
		}
		if !allValues(s) {
			p.fail(s.Span, "an if as a value needs a value in each branch").Hint =
				"end each block, also that of an else, in an expression without a semicolon"
			return &Bad{Span: s.Span}
		}
		return ifValue(s)
	case "comptime":
		p.next()
		x := p.unary()
		return &Comptime{Span: p.from(t.span.Start), X: x}
	case "struct", "union", "enum":
		p.fail(t.span, "unexpected %q, a value is expected here", t.text).Hint =
			fmt.Sprintf("a cast is written (%s name *)value", t.text)
		return &Bad{Span: t.span}
	case "let", "while", "for", "return", "break", "continue", "else", "unroll":
		p.fail(t.span, "unexpected %q, expected an expression", t.text)
		return &Bad{Span: t.span}
	}
	p.next()
	if !p.tok.is("(") {
		return &Ident{Span: t.span, Name: t.text}
	}
	open := p.tok.span
	p.next()
	c := &Call{Name: t.text, NameSpan: t.span}
	p.pred.nested++
	head := p.inHead
	p.inHead = 0
	c.Args = p.list(")")
	p.inHead = head
	p.pred.nested--
	p.closing(")", open, "the list of arguments")
	c.Span = p.from(t.span.Start)
	return c
}

// parens reads (x), a tuple or a record.
func (p *parser) parens() Expr {
	open := p.tok.span
	p.next()
	p.pred.nested++
	head := p.inHead
	p.inHead = 0
	defer func() {
		p.pred.nested--
		p.inHead = head
	}()
	if p.accept(")") {
		return &Tuple{Span: p.from(open.Start)}
	}
	if p.tok.kind == kindIdent && p.peek(0).is("=") {
		return p.record(open)
	}
	x := p.expr()
	if p.tok.is("=") {
		p.fail(p.tok.span, `unexpected "="`).Hint = `did you mean "=="?`
	}
	if !p.tok.is(",") {
		p.pred.nested-- // what follows the parenthesis is outside
		p.closing(")", open, "the parenthesis")
		p.pred.nested++
		if p.format && !p.stopped {
			p.script.Parens = append(p.script.Parens, x.Pos())
		}
		return x
	}
	tuple := &Tuple{Elems: []Expr{x}}
	for p.accept(",") && !p.tok.is(")") {
		tuple.Elems = append(tuple.Elems, p.expr())
	}
	p.closing(")", open, "the tuple")
	tuple.Span = p.from(open.Start)
	return tuple
}

func (p *parser) record(open diag.Span) Expr {
	r := &Record{}
	for !p.tok.is(")") && !p.stopped {
		f := RecordField{Span: p.tok.span}
		f.Name, _ = p.name("the name of a field")
		p.expect("=", "after the name of a field")
		f.X = p.expr()
		f.Span = p.from(f.Span.Start)
		r.Fields = append(r.Fields, f)
		if !p.accept(",") {
			break
		}
	}
	p.closing(")", open, "the record")
	r.Span = p.from(open.Start)
	return r
}
