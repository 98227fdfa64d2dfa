package syntax

import (
	"fmt"
	"strings"

	"skep/internal/diag"
)

// Options change how a script is read.
type Options struct {
	// Format reads the script for the printer: macros of the C section are not expanded, and Script.Parens is filled.
	// Such a tree is not for package check.
	Format bool
}

// Parse reads a script. The tree is never nil; where there was a mistake, which the list has, it has gaps and Bad nodes.
func Parse(src *diag.Source, opt Options) (script *Script, list *diag.List) {
	list = &diag.List{Source: src}
	script = &Script{Source: src}
	p := &parser{
		scan:   &scanner{text: src.Text, list: list, directives: directives{format: opt.Format}},
		script: script,
		format: opt.Format,
	}
	defer func() {
		if r := recover(); r != nil {
			list.Errorf(span(p.scan.pos, p.scan.pos), "internal error while parsing: %v", r)
		}
		script.Comments = p.scan.comments
		script.Includes, script.Defines = p.scan.includes, p.scan.defines
	}()
	p.file()
	return script, list
}

// parser reads tokens and builds the tree. After a mistake it is fed stop tokens, which end every rule quickly, until a
// statement or a probe takes up again at the place of the mistake: see fail and resume.
type parser struct {
	scan    *scanner
	script  *Script
	format  bool
	tok     token    // the current token
	ahead   []token  // tokens after it that have been looked at
	end     diag.Pos // end of the token before
	stopped bool     // a mistake has been reported
	at      token    // the token of the mistake
	depth   int      // nesting of rules
	tooDeep bool     // that it is too much has been reported
	pred    predicate
	enums   map[string]int64 // constants of the C section, for array lengths
	inHead  int              // in the head of an if or while, outside of parentheses: (x) before a word is no cast
}

// predicate tells whether a slash may end a predicate: only outside of parentheses.
type predicate struct {
	inside bool
	nested int
}

const maxDepth = 400

func (p *parser) next() {
	if p.stopped {
		return
	}
	p.end = p.tok.span.End
	p.advance()
}

func (p *parser) advance() {
	if len(p.ahead) > 0 {
		p.tok = p.ahead[0]
		p.ahead = p.ahead[1:]
		return
	}
	p.tok = p.scan.next()
}

// peek returns the nth token after the current one.
func (p *parser) peek(n int) token {
	if p.stopped {
		return p.tok
	}
	for len(p.ahead) <= n {
		p.ahead = append(p.ahead, p.scan.next())
	}
	return p.ahead[n]
}

// fail reports a mistake, unless the scanner has, and stops the parser.
func (p *parser) fail(at diag.Span, format string, args ...any) *diag.Diagnostic {
	if p.stopped {
		return &diag.Diagnostic{}
	}
	d := &diag.Diagnostic{}
	if p.tok.kind != kindError {
		d = p.scan.report(at, format, args...)
	}
	p.stop()
	return d
}

func (p *parser) stop() {
	p.stopped, p.at = true, p.tok
	p.tok = token{kind: kindStop, span: p.tok.span}
}

// unexpected fails at the current token.
func (p *parser) unexpected(wanted string) *diag.Diagnostic {
	return p.fail(p.tok.span, "unexpected %s, expected %s", p.tok.describe(), wanted)
}

func (p *parser) resume() {
	if p.stopped {
		p.stopped, p.tok = false, p.at
	}
}

func (p *parser) accept(op string) bool {
	if !p.tok.is(op) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(op, where string) bool {
	if p.accept(op) {
		return true
	}
	p.unexpected(fmt.Sprintf("%q %s", op, where))
	return false
}

// closing expects the op that closes what was opened at open.
func (p *parser) closing(op string, open diag.Span, what string) {
	if p.accept(op) {
		return
	}
	if p.stopped {
		return
	}
	if p.tok.kind == kindEOF && p.scan.unclosed {
		p.stop()
		return
	}
	d := p.unexpected(fmt.Sprintf("%q", op))
	if p.at.kind == kindEOF || p.lineOf(p.at.span.Start) != p.lineOf(open.Start) {
		d.Related = append(d.Related, diag.Related{Span: open, Message: what + " begins here"})
	}
}

func (p *parser) lineOf(pos diag.Pos) int {
	if p.script == nil {
		return 0
	}
	line, _ := p.script.Source.Line(pos)
	return line
}

// name expects a word and returns it.
func (p *parser) name(what string) (string, diag.Span) {
	t := p.tok
	if t.kind != kindIdent {
		p.unexpected(what)
		return "", t.span
	}
	p.next()
	return t.text, t.span
}

// enter guards a rule that can contain itself.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > maxDepth {
		p.depth--
		if p.tooDeep { // what is left of the nest would say it again and again
			p.stop()
			return false
		}
		p.tooDeep = true
		p.fail(p.tok.span, "nested more than %d levels deep", maxDepth)
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

func (p *parser) from(start diag.Pos) diag.Span {
	return diag.Span{Start: start, End: max(start, p.end)}
}

// skipStatement goes on after a mistake: behind the next semicolon or block, or at the brace that closes this one.
func (p *parser) skipStatement() {
	p.resume()
	for depth := 0; ; {
		switch {
		case p.tok.kind == kindEOF:
			return
		case p.tok.is(";") && depth == 0:
			p.next()
			return
		case p.tok.is("{"):
			depth++
		case p.tok.is("}"):
			if depth == 0 {
				return
			}
			if depth--; depth == 0 {
				p.next()
				p.accept(";")
				if !p.tok.word("else") {
					return
				}
				continue
			}
		case depth == 0 && p.tok.kind == kindIdent && p.atProbe():
			return
		}
		p.next()
	}
}

// skipToBlock goes on after a mistake in the head of a block. It reports whether there is one.
func (p *parser) skipToBlock() bool {
	if !p.stopped {
		return p.tok.is("{")
	}
	p.resume()
	for {
		switch {
		case p.tok.is("{"):
			return true
		case p.tok.kind == kindEOF || p.tok.is(";") || p.tok.is("}"):
			return false
		}
		p.next()
	}
}

// atProbe guesses whether a probe begins at the current word, where a statement should: then a brace is missing.
func (p *parser) atProbe() bool {
	pos := int(p.tok.span.Start)
	if p.tok.depth > 0 || p.script == nil || pos > 0 && p.scan.text[pos-1] != '\n' {
		return false
	}
	rest := p.scan.text[p.tok.span.End:]
	if strings.EqualFold(p.tok.text, "begin") || strings.EqualFold(p.tok.text, "end") {
		rest = strings.TrimLeft(rest, " \t\r\n")
		return strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "/")
	}
	return len(rest) > 1 && rest[0] == ':' && rest[1] != ' '
}
