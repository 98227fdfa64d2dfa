package syntax

import (
	"strings"

	"skep/internal/diag"
)

// probe reads attach points, predicate and block.
func (p *parser) probe() {
	s := p.scan
	pr := &Probe{Span: span(s.pos, s.pos)}
	for {
		pt, ok := p.attachPoint()
		if !ok {
			break
		}
		pr.Points = append(pr.Points, pt)
		s.skipBlank()
		if s.peekByte(0) != ',' {
			break
		}
		s.pos++
		s.skipBlank()
		if c := s.peekByte(0); c == '{' || c == '/' || c == 0 {
			break
		}
	}
	s.skipBlank()
	p.next()
	switch {
	case p.tok.is("/"):
		pr.Pred = p.predicate()
		if !p.tok.is("{") {
			p.unexpected(`"{" after the predicate`)
		}
	case p.tok.is("{"):
	default:
		p.badPoint(pr)
	}
	if !p.skipToBlock() {
		if !p.stopped && p.tok.kind != kindEOF {
			p.next()
		}
		p.rewind()
		return
	}
	pr.Body = p.body(false)
	pr.Span = diag.Span{Start: pr.Span.Start, End: pr.Body.Span.End}
	p.script.Probes = append(p.script.Probes, pr)
}

// badPoint reports what follows an attach point and should not.
func (p *parser) badPoint(pr *Probe) {
	if len(pr.Points) == 0 {
		p.stop() // attachPoint has reported it
		return
	}
	last := pr.Points[len(pr.Points)-1]
	switch {
	case p.tok.kind == kindEOF:
		p.fail(last.Span, `the probe has no block`).Hint = "say what to do in braces: " + last.Text + " { … }"
	case isCWord(last.Text):
		p.fail(last.Span, "unexpected %q, expected a probe", last.Text).Hint =
			"the C section has structs, unions, enums, typedefs and #defines only"
	case p.tok.is(":") || p.tok.is("=") || strings.HasSuffix(last.Text, ":"):
		p.fail(p.tok.span, "unexpected blank in a probe").Hint = "write it without blanks, or put the part with blanks in quotes"
	case p.tok.is("=="), p.tok.is("&&"), p.tok.kind == kindIdent:
		p.fail(p.tok.span, "unexpected %s after the probe", p.tok.describe()).Hint =
			"a predicate stands between slashes: /pid == 1/; probes are separated by commas"
	default:
		p.unexpected(`",", "{" or a predicate after the probe`)
	}
}

func isCWord(w string) bool {
	switch w {
	case "int", "char", "long", "short", "unsigned", "signed", "static", "extern", "inline", "void", "const":
		return true
	}
	return false
}

// predicate reads /expr/; the current token is the first slash.
func (p *parser) predicate() Expr {
	open := p.tok.span
	p.pred = predicate{inside: true}
	p.next()
	if p.tok.is("/") {
		p.fail(open.To(p.tok.span), "the predicate is empty").Hint = "leave it out"
	}
	x := p.expr()
	switch {
	case p.stopped:
	case p.tok.is("="):
		p.fail(p.tok.span, `unexpected "=" in a predicate`).Hint = `did you mean "=="?`
	case !p.tok.is("/"):
		d := p.unexpected(`"/" to close the predicate`)
		d.Related = append(d.Related, diag.Related{Span: open, Message: "the predicate begins here"})
	}
	p.pred = predicate{}
	p.next()
	return x
}

// endsPredicate reports whether the current slash closes the predicate, and is no division: a block follows.
func (p *parser) endsPredicate() bool {
	if !p.pred.inside || p.pred.nested > 0 {
		return false
	}
	t := p.peek(0)
	return t.is("{") || t.kind == kindEOF
}

// attachPoint reads one probe from the text. It ends at a blank, a comma, a brace or the slash of a predicate.
func (p *parser) attachPoint() (AttachPoint, bool) {
	s := p.scan
	pt := AttachPoint{}
	start := s.pos
	if n := endOfWord(s.text, s.pos); n > start && strings.HasPrefix(s.text[n:], "=") && !strings.HasPrefix(s.text[n:], "==") {
		pt.Name = s.text[start:n]
		s.pos = n + 1
	}
	textStart := s.pos
	part, partStart := 0, s.pos // the part between colons
scan:
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r', ',', '{', '}', ';':
			break scan
		case '"':
			n := quotedEnd(s.text, s.pos)
			if n < 0 {
				end := endOfLine(s.text, s.pos)
				s.report(span(s.pos, end), "string is not closed").Hint = `it ends with "`
				s.pos = end
				return pt, false
			}
			s.pos = n
			continue
		case '/':
			path := s.pos == partStart && part > 0 || s.text[partStart] == '/' && s.pos > partStart || part == 1 && takesPath(s.text[textStart:])
			if !path {
				break scan
			}
		case ':':
			part++
			partStart = s.pos + 1
		}
		s.pos++
	}
	pt.Text = s.text[textStart:s.pos]
	pt.Span = span(start, s.pos)
	if pt.Text == "" {
		s.report(span(s.pos, min(s.pos+1, len(s.text))), "expected a probe").Hint = `for example tracepoint:sched:sched_switch, or BEGIN`
		return pt, false
	}
	return pt, true
}

// quotedEnd returns the place behind the string that begins at pos, or -1.
func quotedEnd(text string, pos int) int {
	for i := pos + 1; i < len(text) && text[i] != '\n'; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// takesPath reports whether the second part of a probe is a file, in which a slash begins no predicate.
func takesPath(probe string) bool {
	provider, _, _ := strings.Cut(probe, ":")
	if strings.ContainsAny(provider, "*?[") {
		return true
	}
	switch strings.ToLower(provider) {
	case "uprobe", "u", "uretprobe", "ur", "usdt":
		return true
	}
	return false
}
