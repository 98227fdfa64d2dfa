package syntax

import (
	"fmt"

	"skep/internal/diag"
)

// block reads { … }. A block of the file ends with its brace as the current token and the text behind it unread, since
// there may be an attach point.
func (p *parser) block(wantValue, ofFile bool) *Block {
	open := p.tok.span
	b := &Block{Span: open}
	if !p.enter() {
		return b
	}
	defer p.leave()
	p.expect("{", "")
	outer, head := p.pred, p.inHead
	p.pred, p.inHead = predicate{}, 0
	for !p.tok.is("}") && p.tok.kind != kindEOF {
		if p.accept(";") {
			continue
		}
		if p.tok.kind == kindIdent && p.atProbe() {
			break
		}
		p.statement(b, wantValue)
		if p.stopped {
			p.skipStatement()
		}
	}
	p.pred, p.inHead = outer, head
	b.Span.End = p.tok.span.End
	switch {
	case p.tok.is("}"):
		if !ofFile {
			p.next()
			return b
		}
		p.end = p.tok.span.End
		p.scan.pos = int(p.end)
	default:
		b.Span.End = p.end
		p.missingBrace(open)
		if ofFile {
			p.rewind()
		}
	}
	return b
}

// missingBrace reports that the block that begins at open ends at the end of the file or before a probe.
func (p *parser) missingBrace(open diag.Span) {
	if p.tok.kind == kindEOF && p.scan.unclosed {
		return
	}
	where := "the end of the script"
	if p.tok.kind != kindEOF {
		where = "this probe"
	}
	d := p.scan.report(p.tok.span, `"}" is missing before %s`, where)
	if d.Related == nil { // blocks further out are at the same place
		d.Related = []diag.Related{{Span: open, Message: "this brace is not closed"}}
	}
}

// statement reads one statement of b.
func (p *parser) statement(b *Block, wantValue bool) {
	start := p.tok.span.Start
	add := func(s Stmt) { b.Stmts = append(b.Stmts, s) }
	if p.tok.is("{") {
		nested := p.block(wantValue, false)
		if p.isValue(nested, wantValue) {
			b.Value = &BlockExpr{Span: nested.Span, B: nested}
			return
		}
		add(withoutValue(nested))
		return
	}
	if p.tok.kind == kindIdent {
		switch p.tok.text {
		case "if":
			p.ifStatement(b, wantValue)
			return
		case "while":
			p.next()
			s := &WhileStmt{}
			s.Cond, s.Body = p.head("while")
			s.Span = p.from(start)
			add(s)
			return
		case "unroll":
			p.next()
			s := &UnrollStmt{}
			s.Count, s.Body = p.head("unroll")
			s.Span = p.from(start)
			add(s)
			return
		case "for":
			add(p.forStatement())
			return
		case "let":
			add(p.let())
			p.endStatement()
			return
		case "break", "continue", "return":
			s := &JumpStmt{Word: p.tok.text}
			p.next()
			if s.Word == "return" && !p.tok.is(";") && !p.tok.is("}") {
				s.Value = p.expr()
			}
			s.Span = p.from(start)
			add(s)
			p.endStatement()
			return
		case "import":
			if p.peek(0).kind == kindStr {
				p.importFile()
				p.endStatement()
				return
			}
		case "else":
			p.fail(p.tok.span, `"else" without "if"`)
			return
		}
	}
	x := p.expr()
	if op, ok := assignment(p.tok); ok {
		if !p.assignable(x) {
			return
		}
		p.next()
		s := &AssignStmt{Left: x, Op: op, Right: p.expr()}
		s.Span = p.from(start)
		add(s)
		if p.tok.is("=") {
			p.fail(p.tok.span, "an assignment has no value").Hint = "assign in two statements"
		}
		p.endStatement()
		return
	}
	if p.tok.is("}") && wantValue {
		b.Value = x
		return
	}
	add(&ExprStmt{Span: p.from(start), X: x})
	if name, ok := x.(*Ident); ok && p.lineOf(p.end) == p.lineOf(p.tok.span.Start) {
		switch p.tok.kind {
		case kindIdent, kindInt, kindStr, kindParam, kindVar, kindMap:
			p.unexpected(`";" after the statement`).Hint =
				fmt.Sprintf("a function is called with parentheses: %s(…)", name.Name)
			return
		}
	}
	p.endStatement()
}

func assignment(t token) (string, bool) {
	if t.kind != kindOp {
		return "", false
	}
	switch t.text {
	case "=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^=":
		return t.text, true
	}
	return "", false
}

// assignable fails if nothing can be assigned to x.
func (p *parser) assignable(x Expr) bool {
	switch x := x.(type) {
	case *Var, *MapRef:
		return true
	case *Ident:
		if x.Name == "_" && p.tok.is("=") {
			return true
		}
		p.fail(x.Span, "cannot assign to %s", x.Name).Hint = fmt.Sprintf("a variable is written $%s, a map @%[1]s", x.Name)
	case *Field, *TupleField, *Index:
		p.fail(x.Pos(), "cannot assign to a part of a value").Hint = "structs of the kernel cannot be written, tuples are built anew"
	case *Bad:
	default:
		d := p.fail(x.Pos(), "cannot assign to this")
		d.Hint = "only variables ($x) and maps (@x) can be assigned to"
		if p.at.is("=") {
			d.Hint += `; to compare, use "=="`
		}
	}
	return false
}

// endStatement expects what may follow a statement without a block.
func (p *parser) endStatement() {
	if p.tok.is("}") || p.accept(";") || p.stopped {
		return
	}
	if p.tok.kind == kindEOF || p.tok.kind == kindIdent && p.atProbe() {
		return // the brace is missed by the block
	}
	if p.tok.kind == kindIdent || p.tok.kind == kindVar || p.tok.kind == kindMap {
		// A new statement on a line of its own: it has no mistake, the one before it has.
		if p.lineOf(p.tok.span.Start) > p.lineOf(p.end) {
			at := diag.Span{Start: max(p.end, 1) - 1, End: p.end}
			p.scan.report(at, `";" is missing after this statement`)
			return
		}
	}
	if p.tok.is(")") || p.tok.is("]") {
		p.fail(p.tok.span, "unexpected %s, nothing is open here", p.tok.describe())
		return
	}
	p.unexpected(`";" after the statement`)
}

// head reads condition and block of if, while and unroll.
func (p *parser) head(word string) (Expr, *Block) {
	return p.valueHead(word, false)
}

func (p *parser) valueHead(word string, wantValue bool) (Expr, *Block) {
	start := p.tok.span
	p.inHead++
	x := p.expr()
	p.inHead--
	if p.tok.is("=") {
		p.fail(p.tok.span, `unexpected "=" in a condition`).Hint = `did you mean "=="?`
	}
	if !p.tok.is("{") {
		at := p.tok
		d := p.unexpected(fmt.Sprintf(`"{" to begin the body of %s`, word))
		if at.kind == kindIdent || at.kind == kindMap || at.kind == kindVar {
			d.Hint = "the body needs braces, even if it is one statement"
			p.resume()
			b := &Block{Span: at.span}
			p.statement(b, false)
			return x, b
		}
	}
	if !p.skipToBlock() {
		p.stop()
		return x, &Block{Span: start}
	}
	return x, p.block(wantValue, false)
}

// ifStatement adds the if to b, or makes it b's value.
func (p *parser) ifStatement(b *Block, wantValue bool) {
	s := p.ifChain(wantValue)
	if wantValue && p.tok.is("}") && allValues(s) {
		b.Value = ifValue(s)
		return
	}
	b.Stmts = append(b.Stmts, s)
	dropValues(s)
}

func (p *parser) ifChain(wantValue bool) *IfStmt {
	s := &IfStmt{Span: p.tok.span}
	if !p.enter() {
		s.Cond, s.Then = &Bad{Span: s.Span}, &Block{Span: s.Span}
		return s
	}
	defer p.leave()
	p.next()
	s.Cond, s.Then = p.valueHead("if", wantValue)
	if p.tok.word("else") {
		p.next()
		switch {
		case p.tok.word("if"):
			s.Else = p.ifChain(wantValue)
		case p.tok.is("{"):
			s.Else = p.block(wantValue, false)
		default:
			p.unexpected(`"{" or "if" after else`).Hint = "the body needs braces, even if it is one statement"
		}
	}
	s.Span = p.from(s.Span.Start)
	return s
}

// allValues reports whether each arm of the if has a value.
func allValues(s *IfStmt) bool {
	if s.Then.Value == nil {
		return false
	}
	switch e := s.Else.(type) {
	case *IfStmt:
		return allValues(e)
	case *Block:
		return e.Value != nil
	}
	return false
}

func ifValue(s *IfStmt) Expr {
	c := &Cond{Span: s.Span, C: s.Cond, T: &BlockExpr{Span: s.Then.Span, B: s.Then}}
	switch e := s.Else.(type) {
	case *IfStmt:
		c.F = ifValue(e)
	case *Block:
		c.F = &BlockExpr{Span: e.Span, B: e}
	}
	return c
}

func dropValues(s *IfStmt) {
	withoutValue(s.Then)
	switch e := s.Else.(type) {
	case *IfStmt:
		dropValues(e)
	case *Block:
		withoutValue(e)
	}
}

// isValue reports whether the block that has been read is the value of the block around it.
func (p *parser) isValue(b *Block, wantValue bool) bool {
	return wantValue && b.Value != nil && p.tok.is("}")
}

// withoutValue makes the value of a block a statement, where no value is wanted.
func withoutValue(b *Block) *Block {
	if b.Value == nil {
		return b
	}
	switch v := b.Value.(type) {
	case *BlockExpr:
		b.Stmts = append(b.Stmts, withoutValue(v.B))
	case *Cond:
		if s := statementOf(v); s != nil {
			b.Stmts = append(b.Stmts, s)
			break
		}
		b.Stmts = append(b.Stmts, &ExprStmt{Span: v.Span, X: v})
	default:
		b.Stmts = append(b.Stmts, &ExprStmt{Span: v.Pos(), X: v})
	}
	b.Value = nil
	return b
}

// statementOf turns the value of an if back into a statement, or returns nil if it was c ? t : f.
func statementOf(c *Cond) *IfStmt {
	then, ok := c.T.(*BlockExpr)
	if !ok {
		return nil
	}
	s := &IfStmt{Span: c.Span, Cond: c.C, Then: withoutValue(then.B)}
	switch f := c.F.(type) {
	case *BlockExpr:
		s.Else = withoutValue(f.B)
	case *Cond:
		e := statementOf(f)
		if e == nil {
			return nil
		}
		s.Else = e
	default:
		return nil
	}
	return s
}

func (p *parser) forStatement() Stmt {
	s := &ForStmt{Span: p.tok.span, Over: &Bad{Span: p.tok.span}}
	p.next()
	open := p.tok.span
	parens := p.accept("(")
	s.Var = &Var{Span: p.tok.span, Name: p.tok.text}
	if p.tok.kind != kindVar {
		p.unexpected("the variable of the loop, such as $kv")
	}
	p.next()
	p.expect(":", "after the variable of the loop")
	if !p.stopped {
		s.Over = p.rangeExpr()
	}
	if parens {
		p.closing(")", open, "the head of the loop")
	}
	if !p.tok.is("{") {
		p.unexpected(`"{" to begin the body of for`)
	}
	if !p.skipToBlock() {
		p.stop()
		s.Body = &Block{Span: s.Span}
		return s
	}
	s.Body = p.block(false, false)
	s.Span = p.from(s.Span.Start)
	return s
}

// rangeExpr reads what a for loop goes over.
func (p *parser) rangeExpr() Expr {
	start := p.tok.span.Start
	x := p.expr()
	if p.accept("..") {
		to := p.expr()
		return &Range{Span: p.from(start), From: x, To: to}
	}
	return x
}

func (p *parser) let() Stmt {
	s := &LetStmt{Span: p.tok.span}
	p.next()
	s.Var = &Var{Span: p.tok.span, Name: p.tok.text}
	if p.tok.kind == kindMap {
		p.fail(p.tok.span, "maps are declared outside of probes")
	} else if p.tok.kind != kindVar {
		p.unexpected("a variable, such as $x, after let")
	}
	p.next()
	if p.accept(":") {
		s.Type = p.typeExpr()
	}
	if p.accept("=") {
		s.Init = p.expr()
	}
	s.Span = p.from(s.Span.Start)
	return s
}
