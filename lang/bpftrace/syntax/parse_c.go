package syntax

import "skep/internal/diag"

// cItem reads a struct, union, enum or typedef of the C section.
func (p *parser) cItem() {
	start := p.tok.span.Start
	if p.tok.word("typedef") {
		p.typedef(start)
		return
	}
	at := p.tok
	base := p.cBase()
	if p.stopped {
		return
	}
	switch {
	case base.Inline != nil:
		base.Inline.Span = p.from(start)
		if p.tok.is("*") || p.tok.kind == kindIdent && (p.peek(0).is(";") || p.peek(0).is("[")) {
			p.unexpected(`";" after the definition`).Hint = "variables cannot be defined in C"
			return
		}
		p.script.C = append(p.script.C, *base.Inline)
	case p.tok.is(";"): // a declaration: struct x;
	default:
		p.fail(at.span.To(p.tok.span), "expected { after %s %s", base.Tag, base.Name).Hint =
			"the C section defines structs, unions and enums; it has no variables"
	}
}

func (p *parser) typedef(start diag.Pos) {
	p.next()
	base := p.cBase()
	first := len(p.script.C)
	for !p.stopped {
		d := CDecl{Span: p.tok.span, Tag: "typedef"}
		var bits int
		d.Name, d.Type, bits = p.declarator(base)
		if !p.stopped && (d.Name == "" || bits >= 0) {
			p.unexpected("the name of the type")
		}
		if p.stopped {
			return
		}
		p.script.C = append(p.script.C, d)
		if !p.accept(",") {
			break
		}
	}
	for i := range p.script.C[first:] { // typedef int a, *b; is one text
		p.script.C[first+i].Span = p.from(start)
	}
}

// cBase reads the type that declarators build on, with definitions in place. Its pointers and arrays are not set.
func (p *parser) cBase() *CType {
	t := &CType{}
	var words []string
	if !p.enter() {
		p.leave()
		return t
	}
	defer p.leave()
	for p.tok.kind == kindIdent {
		w := p.tok
		switch w.text {
		case "const", "volatile", "static", "extern", "__user", "__rcu", "__kernel", "__iomem", "__percpu", "register":
			p.next()
			continue
		case "__attribute__", "__packed":
			p.attributes(&CDecl{})
			continue
		case "struct", "union":
			p.cStruct(t)
			p.qualifiers()
			return t
		case "enum":
			p.cEnum(t)
			p.qualifiers()
			return t
		}
		if len(words) > 0 && !isCInt(w.text) {
			break
		}
		words = append(words, w.text)
		p.next()
		if !isCInt(w.text) {
			p.qualifiers()
			break
		}
	}
	if len(words) == 0 {
		p.unexpected("a C type")
		return t
	}
	t.Name = joinCInt(words)
	return t
}

func (p *parser) qualifiers() {
	for p.tok.kind == kindIdent {
		switch p.tok.text {
		case "const", "volatile", "restrict", "__restrict", "__user", "__rcu", "__percpu", "__iomem":
			p.next()
		default:
			return
		}
	}
}

// cStruct reads struct name, with its definition if there is one.
func (p *parser) cStruct(t *CType) {
	d := &CDecl{Span: p.tok.span, Tag: p.tok.text}
	t.Tag = p.tok.text
	p.next()
	p.attributes(d)
	if p.tok.kind == kindIdent {
		t.Name, d.Name = p.tok.text, p.tok.text
		p.next()
	} else if !p.tok.is("{") {
		p.unexpected(`a name or "{" after ` + d.Tag)
	}
	if !p.tok.is("{") {
		return
	}
	t.Inline = d
	open := p.tok.span
	p.next()
	for !p.tok.is("}") && !p.stopped && p.tok.kind != kindEOF {
		if p.accept(";") {
			continue
		}
		p.fields(d)
		if p.stopped {
			p.skipStatement()
		}
	}
	p.closing("}", open, "the definition")
	p.attributes(d)
	d.Span = p.from(d.Span.Start)
}

// fields reads one line of members: int a, *b, c:3;
func (p *parser) fields(d *CDecl) {
	start := p.tok.span.Start
	base := p.cBase()
	if p.tok.is(";") && base.Inline != nil {
		d.Fields = append(d.Fields, CField{Span: p.from(start), Type: base, Bits: -1})
		p.next()
		return
	}
	for !p.stopped {
		f := CField{Span: p.tok.span}
		f.Name, f.Type, f.Bits = p.declarator(base)
		if f.Name == "" && f.Bits < 0 && !p.stopped {
			p.unexpected("the name of a field")
		}
		f.Span = p.from(f.Span.Start)
		d.Fields = append(d.Fields, f)
		if !p.accept(",") {
			break
		}
	}
	if !p.tok.is("}") { // bpftrace does without the last semicolon
		p.expect(";", "after the field")
	}
}

// declarator reads what follows a base type: pointers, a name, arrays, the width of a bit field.
func (p *parser) declarator(base *CType) (name string, t *CType, bits int) {
	copied := *base
	t, bits = &copied, -1
	for p.accept("*") {
		t.Stars++
		p.qualifiers()
	}
	if p.tok.is("(") { // (*name)(arguments) or (*name)[n]: a pointer whose target does not matter
		open := p.tok.span
		p.next()
		if !p.expect("*", "of a pointer to a function") {
			return name, t, bits
		}
		for p.accept("*") {
		}
		p.qualifiers()
		name, _ = p.name("the name of the pointer")
		for p.tok.is("[") {
			t.Dims = append(t.Dims, p.dim())
		}
		p.closing(")", open, "the declaration")
		*t = CType{Name: "void", Func: true, Dims: t.Dims}
		p.skipParens()
		return name, t, bits
	}
	if p.tok.kind == kindIdent && !isAttribute(p.tok.text) {
		name = p.tok.text
		p.next()
	}
	if p.tok.is("(") {
		p.fail(p.tok.span, "functions cannot be declared here")
		return name, t, bits
	}
	for p.tok.is("[") {
		t.Dims = append(t.Dims, p.dim())
	}
	if p.accept(":") {
		at := p.tok.span
		if bits = int(p.constant("the width of the bit field")); bits < 0 || bits > 64 {
			p.fail(at, "a bit field of %d bits", bits)
			bits = 0
		}
	}
	var ignored CDecl
	p.attributes(&ignored)
	return name, t, bits
}

// skipParens skips the parameters of a function, or the length of an array.
func (p *parser) skipParens() {
	for p.tok.is("[") {
		p.dim()
	}
	if !p.tok.is("(") {
		return
	}
	open := p.tok.span
	for depth := 0; ; {
		switch {
		case p.tok.is("("):
			depth++
		case p.tok.is(")"):
			depth--
		case p.tok.kind == kindEOF || p.tok.is(";") || p.tok.is("{") || p.stopped:
			p.closing(")", open, "the list of parameters")
			return
		}
		p.next()
		if depth == 0 {
			return
		}
	}
}

// dim reads [n]; [] is 0, as in C.
func (p *parser) dim() int {
	open := p.tok.span
	p.next()
	n := int64(0)
	if !p.tok.is("]") {
		at := p.tok.span
		n = p.constant("the length of the array")
		if n < 0 || n > 1<<30 {
			p.fail(at.To(diag.Span{End: p.end}), "an array of %d elements", n)
			n = 0
		}
	}
	p.closing("]", open, "the length")
	return int(n)
}

// constant reads a constant expression.
func (p *parser) constant(what string) int64 {
	start := p.tok.span.Start
	x := p.expr()
	if p.stopped {
		return 0
	}
	v, err := evalConst(x, func(name string) (int64, bool) {
		v, ok := p.enums[name]
		return v, ok || p.format // names may be macros
	})
	if err != "" {
		p.scan.report(p.from(start), "%s: %s", what, err)
	}
	return v
}

// cEnum reads enum name, with its definition if there is one.
func (p *parser) cEnum(t *CType) {
	d := &CDecl{Span: p.tok.span, Tag: "enum"}
	t.Tag = "enum"
	p.next()
	p.attributes(d)
	if p.tok.kind == kindIdent {
		t.Name, d.Name = p.tok.text, p.tok.text
		p.next()
	} else if !p.tok.is("{") {
		p.unexpected(`a name or "{" after enum`)
	}
	if !p.tok.is("{") {
		return
	}
	t.Inline = d
	open := p.tok.span
	p.next()
	for value := int64(0); !p.tok.is("}") && !p.stopped; value++ {
		name, _ := p.name("the name of a constant")
		if p.accept("=") {
			value = p.constant("the value of the constant")
		}
		if p.stopped {
			break
		}
		if p.enums == nil {
			p.enums = map[string]int64{}
		}
		p.enums[name] = value
		d.Members = append(d.Members, CEnumerator{Name: name, Value: value})
		if !p.tok.is("}") {
			p.expect(",", "between constants")
		}
	}
	p.closing("}", open, "the definition")
	p.attributes(d)
	d.Span = p.from(d.Span.Start)
}

func isAttribute(w string) bool { return w == "__attribute__" || w == "__packed" || w == "__aligned" }

// attributes reads __attribute__((packed, aligned(n), …)); those that do not change the layout are ignored.
func (p *parser) attributes(d *CDecl) {
	for p.tok.kind == kindIdent && isAttribute(p.tok.text) {
		w := p.tok.text
		p.next()
		switch w {
		case "__packed":
			d.Packed = true
			continue
		case "__aligned":
			d.Align = p.alignment()
			continue
		}
		open := p.tok.span
		p.expect("(", "after __attribute__")
		p.expect("(", "after __attribute__(")
		for !p.tok.is(")") && !p.stopped {
			name, _ := p.name("an attribute")
			switch name {
			case "packed", "__packed__":
				d.Packed = true
			case "aligned", "__aligned__":
				d.Align = 16
				if p.tok.is("(") {
					d.Align = p.alignment()
				}
			default:
				p.skipParens()
			}
			if !p.tok.is(")") {
				p.expect(",", "between attributes")
			}
		}
		p.closing(")", open, "__attribute__")
		p.closing(")", open, "__attribute__")
	}
}

func (p *parser) alignment() int {
	open := p.tok.span
	p.expect("(", "before the alignment")
	n := p.constant("the alignment")
	if n < 1 || n > 1<<20 || n&(n-1) != 0 {
		p.fail(open, "an alignment of %d is no power of two", n)
		n = 0
	}
	p.closing(")", open, "the alignment")
	return int(n)
}
