package syntax

import (
	"slices"
	"strings"
	"unicode/utf8"

	"skep/internal/diag"
)

// Print gives the script as text in the usual form: two blanks of indentation, probes apart, the brace of a probe on a
// line of its own, long lists wrapped. Comments, single blank lines and the C section stay as they are. Parsing the result gives the same
// tree, and printing that the same text. The script must come from Parse, without errors.
func Print(s *Script) string {
	p := &printer{src: s.Source, comments: s.Comments}
	if len(s.Parens) > 0 {
		p.parens = make(map[diag.Span]bool, len(s.Parens))
		for _, at := range s.Parens {
			p.parens[at] = true
		}
	}
	items := p.items(s)
	slices.SortStableFunc(items, func(a, b item) int { return int(a.at.Start - b.at.Start) })
	for i, it := range items {
		if i > 0 && it.apart {
			p.wantBlank = true
		}
		p.before(it.at.Start)
		it.print()
		p.last = it.at.End
		p.trailing()
	}
	p.before(diag.Pos(len(p.src.Text)) + 1)
	p.newline()
	return p.b.String()
}

// item is something that stands between other things in the file.
type item struct {
	at    diag.Span
	apart bool // with a blank line before it
	print func()
}

func (p *printer) items(s *Script) []item {
	var items []item
	last := diag.Span{}
	for i := range s.C {
		c := &s.C[i]
		if c.Span == last {
			continue // a typedef of two names
		}
		last = c.Span
		items = append(items, item{at: c.Span, print: func() { p.cText(c.Span) }})
	}
	if s.ConfigSpan != (diag.Span{}) || len(s.Config) > 0 {
		items = append(items, item{at: s.ConfigSpan, apart: true, print: func() { p.config(s) }})
	}
	for _, m := range s.MapDecls {
		items = append(items, item{at: m.Span, print: func() {
			p.write("let " + m.Name + " = " + m.Kind + "(" + p.source(m.MaxSpan) + ");")
		}})
	}
	for _, imp := range s.Imports {
		items = append(items, item{at: imp.Span, print: func() { p.write("import " + quote(imp.Path) + ";") }})
	}
	for _, m := range s.Macros {
		items = append(items, item{at: m.Span, apart: true, print: func() { p.macro(m) }})
	}
	for _, f := range s.Funcs {
		items = append(items, item{at: f.Span, apart: true, print: func() { p.function(f) }})
	}
	for _, pr := range s.Probes {
		items = append(items, item{at: pr.Span, apart: true, print: func() { p.probe(pr) }})
	}
	return items
}

type printer struct {
	b         strings.Builder
	src       *diag.Source
	comments  []Comment // those not printed yet
	parens    map[diag.Span]bool
	indent    int
	midLine   bool     // something stands on the current line
	column    int      // of what is printed next on it
	flat      bool     // keep expressions on one line
	last      diag.Pos // end of what was printed last, in the source
	any       bool     // something has been printed
	opened    bool     // what was printed last is an opening brace: no blank line
	wantBlank bool     // a blank line comes next
}

func (p *printer) write(text string) {
	if !p.midLine {
		p.startAt(p.indent)
	}
	p.b.WriteString(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		p.column, text = 0, text[i+1:]
	}
	p.column += utf8.RuneCountInString(text)
	p.midLine, p.any, p.opened, p.wantBlank = true, true, false, false
}

func (p *printer) startAt(indent int) {
	for range indent {
		p.b.WriteString("  ")
	}
	p.column, p.midLine = 2*indent, true
}

// wrap continues an expression on the next line.
func (p *printer) wrap() {
	p.newline()
	p.startAt(p.indent + 2)
}

func (p *printer) newline() {
	if p.midLine {
		p.b.WriteByte('\n')
		p.midLine = false
	}
}

func (p *printer) line(at diag.Pos) int {
	line, _ := p.src.Line(at)
	return line
}

// startLine begins a line for what stands at pos in the source, after a blank line if there is one in the source.
func (p *printer) startLine(at diag.Pos) {
	p.newline()
	gap := p.line(at) > p.line(p.last)+1
	if p.any && !p.opened && (gap || p.wantBlank) {
		p.b.WriteByte('\n')
	}
	p.opened, p.wantBlank = false, false
}

// before prints the comments that stand before pos, each on its own line, and begins the line of what stands at pos.
func (p *printer) before(pos diag.Pos) {
	for len(p.comments) > 0 && p.comments[0].Span.Start < pos {
		p.comment()
	}
	if int(pos) <= len(p.src.Text) {
		p.startLine(pos)
	}
}

// comment prints the next comment on its own line.
func (p *printer) comment() {
	c := p.comments[0]
	p.comments = p.comments[1:]
	p.startLine(c.Span.Start)
	text := c.Text
	if strings.HasPrefix(text, "#") && !strings.HasPrefix(text, "#!") {
		indent := p.indent
		p.indent = 0
		p.write(text)
		p.indent = indent
	} else {
		p.write(text)
	}
	p.newline()
	p.last = c.Span.End
}

// trailing prints the comments that follow on the source line of what was printed last behind it.
func (p *printer) trailing() {
	for len(p.comments) > 0 && p.midLine {
		c := p.comments[0]
		if c.Span.Start < p.last || p.line(c.Span.Start) != p.line(p.last) || strings.HasPrefix(c.Text, "#") {
			return
		}
		if between := p.src.Text[p.last:c.Span.Start]; strings.Trim(between, " \t;,") != "" {
			return
		}
		p.comments = p.comments[1:]
		p.b.WriteString(" " + c.Text)
		p.last = c.Span.End
		if strings.HasPrefix(c.Text, "//") || strings.Contains(c.Text, "\n") {
			p.newline()
		}
	}
}

// hoist prints the comments inside of at before it, but those at its end.
func (p *printer) hoist(at diag.Span) {
	end := p.line(at.End)
	for len(p.comments) > 0 {
		c := p.comments[0]
		if c.Span.Start >= at.End || p.line(c.Span.Start) == end && !strings.HasPrefix(c.Text, "/*") {
			return
		}
		p.last = c.Span.Start // no blank line: it has left its place
		p.comment()
	}
}

func (p *printer) source(at diag.Span) string { return p.src.Text[at.Start:at.End] }

// cText prints a definition of the C section as it is written; its comments go with it.
func (p *printer) cText(at diag.Span) {
	text := p.source(at)
	for len(p.comments) > 0 && p.comments[0].Span.Start < at.End {
		p.comments = p.comments[1:]
	}
	p.write(text + ";")
}

func (p *printer) config(s *Script) {
	if len(s.Config) == 0 {
		p.write("config = {}")
		return
	}
	p.write("config = {")
	p.open(s.ConfigSpan.Start)
	for _, c := range s.Config {
		p.before(c.Span.Start)
		p.write(c.Name + " = " + p.source(c.ValueSpan) + ";")
		p.last = c.Span.End
		p.trailing()
	}
	p.close(s.ConfigSpan.End)
}

// open begins the inside of braces; the opening one has been printed and stands at pos.
func (p *printer) open(pos diag.Pos) {
	p.last = pos + 1
	p.indent++
	if len(p.comments) > 0 && strings.HasPrefix(p.comments[0].Text, "//") {
		p.trailing()
	}
	p.opened = true
}

// close prints the closing brace that ends at end.
func (p *printer) close(end diag.Pos) {
	for len(p.comments) > 0 && p.comments[0].Span.Start < end {
		p.comment()
	}
	p.newline()
	p.indent--
	p.write("}")
	p.last = end
}

func (p *printer) macro(m *Macro) {
	var names []string
	for _, par := range m.Params {
		names = append(names, par.Name)
	}
	p.write("macro " + m.Name + "(" + strings.Join(names, ", ") + ")")
	p.ownBlock(m.Body)
}

func (p *printer) function(f *Func) {
	var params []string
	for _, par := range f.Params {
		params = append(params, par.Name+" : "+par.Type.String())
	}
	p.write("fn " + f.Name + "(" + strings.Join(params, ", ") + ")")
	if f.Result != nil {
		p.write(" : " + f.Result.String())
	}
	p.ownBlock(f.Body)
}

func (p *printer) probe(pr *Probe) {
	for i, pt := range pr.Points {
		if i > 0 {
			p.before(pt.Span.Start)
		}
		if pt.Name != "" {
			p.write(pt.Name + "=")
		}
		p.write(pt.Text)
		if i+1 < len(pr.Points) {
			p.write(",")
		}
		p.last = pt.Span.End
		p.trailing()
	}
	if pr.Pred != nil {
		p.hoist(pr.Pred.Pos())
		p.newline()
		p.write("/")
		p.expr(pr.Pred, 0)
		p.write("/")
		p.last = pr.Pred.Pos().End
	}
	p.ownBlock(pr.Body)
}

// ownBlock prints a block whose brace stands on its own line.
func (p *printer) ownBlock(b *Block) {
	for len(p.comments) > 0 && p.comments[0].Span.Start < b.Span.Start {
		p.comment()
	}
	p.newline()
	p.block(b)
}

func (p *printer) block(b *Block) {
	if p.empty(b) {
		p.write("{}")
		return
	}
	p.write("{")
	p.open(b.Span.Start)
	for _, s := range b.Stmts {
		p.before(s.Pos().Start)
		p.stmt(s)
		p.last = s.Pos().End
		p.trailing()
	}
	if b.Value != nil {
		p.before(b.Value.Pos().Start)
		p.hoist(b.Value.Pos())
		p.expr(b.Value, 0)
		p.last = b.Value.Pos().End
		p.trailing()
	}
	p.close(b.Span.End)
}

// empty reports whether nothing stands in the block, also no comment.
func (p *printer) empty(b *Block) bool {
	return len(b.Stmts) == 0 && b.Value == nil && (len(p.comments) == 0 || p.comments[0].Span.Start >= b.Span.End)
}

func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case *Block:
		p.block(s)
		return
	case *IfStmt:
		p.write("if ")
		p.head(s.Cond)
		p.block(s.Then)
		for s.Else != nil {
			p.write(" else ")
			next, ok := s.Else.(*IfStmt)
			if !ok {
				p.block(s.Else.(*Block))
				return
			}
			p.write("if ")
			p.head(next.Cond)
			p.block(next.Then)
			s = next
		}
		return
	case *WhileStmt:
		p.write("while ")
		p.head(s.Cond)
		p.block(s.Body)
		return
	case *UnrollStmt:
		p.write("unroll ")
		p.head(s.Count)
		p.block(s.Body)
		return
	case *ForStmt:
		p.write("for (" + s.Var.Name + " : ")
		p.expr(s.Over, 0)
		p.write(") ")
		p.block(s.Body)
		return
	}
	p.hoist(s.Pos())
	switch s := s.(type) {
	case *ExprStmt:
		// A statement that begins with a brace or an if would be read as a block or an if.
		p.guarded(s.X)
	case *AssignStmt:
		p.expr(s.Left, 0)
		p.write(" " + s.Op + " ")
		p.expr(s.Right, 0)
	case *LetStmt:
		p.write("let " + s.Var.Name)
		if s.Type != nil {
			p.write(" : " + s.Type.String())
		}
		if s.Init != nil {
			p.write(" = ")
			p.expr(s.Init, 0)
		}
	case *JumpStmt:
		p.write(s.Word)
		if s.Value != nil {
			p.write(" ")
			p.expr(s.Value, 0)
		}
	}
	p.write(";")
}

// head prints the condition of a statement, in parentheses.
func (p *printer) head(x Expr) {
	c, comptime := x.(*Comptime)
	if comptime {
		p.write("comptime ")
		x = c.X
	}
	p.write("(")
	delete(p.parens, x.Pos())
	p.expr(x, 0)
	p.write(") ")
}
