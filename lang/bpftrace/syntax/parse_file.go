package syntax

import (
	"strings"

	"skep/internal/diag"
)

// file reads everything. Between the items of a file there are no tokens: a probe is read from the text.
func (p *parser) file() {
	s := p.scan
	for {
		p.resume()
		s.skipBlank()
		if s.pos >= len(s.text) || len(s.list.All) >= maxErrors {
			break
		}
		start := s.pos
		word := s.text[start:endOfWord(s.text, start)]
		rest := strings.TrimLeft(s.text[start+len(word):], " \t\r\n")
		after := byte(0)
		if rest != "" {
			after = rest[0]
		}
		switch {
		case s.text[start] == ';':
			s.pos++
		case s.text[start] == '}':
			s.report(span(start, start+1), `"}" without "{"`).Hint = "is there one too many above?"
			s.pos++
		case word == "config" && after == '=' && !strings.HasPrefix(rest, "=="):
			p.next()
			p.config()
		case word == "let" && after == '@':
			p.next()
			p.mapDecl()
		case word == "macro" && isLetter(after):
			p.next()
			p.macro()
		case word == "fn" && isLetter(after):
			p.next()
			p.function()
		case word == "import" && (after == '"' || isLetter(after)):
			p.next()
			p.importFile()
			p.endItem()
		case (word == "struct" || word == "union" || word == "enum") && (after == '{' || isLetter(after)) ||
			word == "typedef" && isLetter(after):
			p.next()
			p.cItem()
			p.endItem()
		default:
			p.probe()
		}
	}
	for _, c := range s.conds {
		s.report(c.at, "#if without #endif")
	}
	for _, inc := range s.includes {
		if !s.format {
			s.list.Warnf(inc.Span, "the header %s is not read", inc.Name).Hint =
				"kernel types come from its BTF; define other types and constants in the script"
		}
	}
}

// endItem goes on with the text after an item that ends in an optional semicolon.
func (p *parser) endItem() {
	if p.stopped {
		p.skipStatement()
		if p.tok.is("}") {
			p.next()
			p.accept(";")
		}
	} else {
		p.accept(";")
	}
	p.rewind()
}

// rewind gives the tokens that have been read but not used back to the text.
func (p *parser) rewind() {
	p.resume()
	p.scan.pos = int(p.tok.span.Start)
	p.scan.pend, p.ahead, p.scan.afterDot = nil, nil, false
	comments := p.scan.comments
	for len(comments) > 0 && comments[len(comments)-1].Span.Start >= p.tok.span.Start {
		comments = comments[:len(comments)-1]
	}
	p.scan.comments = comments
}

// body reads the block of an item of the file; the text goes on behind its brace.
func (p *parser) body(wantValue bool) *Block {
	b := p.block(wantValue, true)
	p.resume()
	return b
}

func (p *parser) config() {
	start := p.tok.span.Start
	if p.script.ConfigSpan != (diag.Span{}) {
		p.scan.report(p.tok.span, "there is a config block already").Related = []diag.Related{{Span: p.script.ConfigSpan, Message: "here"}}
	}
	p.next()
	p.expect("=", "after config")
	open := p.tok.span
	p.expect("{", "after config =")
	for !p.tok.is("}") && p.tok.kind != kindEOF && !p.stopped {
		if p.accept(";") {
			continue
		}
		item := ConfigItem{Span: p.tok.span}
		item.Name, item.NameSpan = p.name("the name of a config variable")
		p.expect("=", "after the name of a config variable")
		item.ValueSpan = p.tok.span
		switch p.tok.kind {
		case kindInt, kindIdent, kindStr, kindVar:
			item.Value = p.tok.text
			p.next()
		default:
			p.unexpected("a number, a word, a string or $parameter")
		}
		if p.stopped {
			p.skipStatement()
			continue
		}
		item.Span = p.from(item.Span.Start)
		p.script.Config = append(p.script.Config, item)
		if !p.tok.is("}") && !p.accept(";") {
			p.unexpected(`";" between config variables`)
			p.skipStatement()
		}
	}
	if p.tok.is("}") {
		p.script.ConfigSpan = diag.Span{Start: start, End: p.tok.span.End}
		p.scan.pos = int(p.tok.span.End)
		return
	}
	p.closing("}", open, "the config block")
	if p.skipToBlock() {
		p.rewind()
	}
}

func (p *parser) mapDecl() {
	d := &MapDecl{Span: p.tok.span}
	p.next()
	d.Name = p.tok.text
	p.next()
	p.expect("=", "after the map")
	d.Kind, d.KindSpan = p.name("the kind of the map, such as hash")
	if p.expect("(", "and the map's size") {
		d.MaxSpan = p.tok.span
		d.Max = p.tok.val
		if p.tok.kind != kindInt {
			p.unexpected("the greatest number of keys")
		}
		p.next()
		p.expect(")", "after the map's size")
	}
	if !p.stopped {
		d.Span = p.from(d.Span.Start)
		p.script.MapDecls = append(p.script.MapDecls, d)
	}
	p.endItem()
}

func (p *parser) macro() {
	m := &Macro{Span: p.tok.span}
	p.next()
	m.Name, m.NameSpan = p.name("the macro's name")
	p.expect("(", "after the macro's name")
	for !p.tok.is(")") && !p.stopped {
		par := MacroParam{Span: p.tok.span, Name: p.tok.text}
		switch p.tok.kind {
		case kindIdent:
			par.Kind = ParamExpr
		case kindVar:
			par.Kind = ParamVar
		case kindMap:
			par.Kind = ParamMap
		default:
			p.unexpected("a parameter: $variable, @map or name")
		}
		p.next()
		m.Params = append(m.Params, par)
		if !p.tok.is(")") {
			p.expect(",", "between parameters")
		}
	}
	p.accept(")")
	if p.hasBody("of the macro") {
		m.Body = p.body(true)
		m.Span = p.from(m.Span.Start)
		p.script.Macros = append(p.script.Macros, m)
	}
}

func (p *parser) function() {
	f := &Func{Span: p.tok.span}
	p.next()
	f.Name, f.NameSpan = p.name("the function's name")
	p.expect("(", "after the function's name")
	for !p.tok.is(")") && !p.stopped {
		par := FuncParam{Span: p.tok.span, Name: p.tok.text}
		if p.tok.kind != kindVar {
			p.unexpected("a parameter: $name : type")
		}
		p.next()
		p.expect(":", "between a parameter and its type")
		par.Type = p.typeExpr()
		par.Span = p.from(par.Span.Start)
		f.Params = append(f.Params, par)
		if !p.tok.is(")") {
			p.expect(",", "between parameters")
		}
	}
	p.accept(")")
	if p.accept(":") {
		f.Result = p.typeExpr()
	}
	if p.hasBody("of the function") {
		f.Body = p.body(false)
		f.Span = p.from(f.Span.Start)
		p.script.Funcs = append(p.script.Funcs, f)
	}
}

// hasBody makes sure that a block follows, skipping what is wrong before it.
func (p *parser) hasBody(of string) bool {
	if !p.tok.is("{") {
		p.unexpected(`"{" before the body ` + of)
		if !p.skipToBlock() {
			p.next()
			p.rewind()
			return false
		}
	}
	return true
}

func (p *parser) importFile() {
	imp := &Import{Span: p.tok.span}
	p.next()
	imp.Path = p.tok.text
	if p.tok.kind != kindStr {
		p.unexpected(`the name of a file in quotes`)
		return
	}
	p.next()
	imp.Span = p.from(imp.Span.Start)
	p.script.Imports = append(p.script.Imports, imp)
}
