package syntax

import "strings"

// isTypeName reports whether w is a type without struct, union or enum before it. Other names may be types, too: those
// of BTF's typedefs.
func isTypeName(w string) bool {
	switch w {
	case "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "string", "buffer", "inet",
		"void", "char", "short", "int", "long", "unsigned", "signed", "float", "double", "const", "volatile",
		"mac_address", "cgroup_path", "timestamp", "strerror_t", "macaddr_t",
		"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64",
		"__u8", "__u16", "__u32", "__u64", "__s8", "__s16", "__s32", "__s64":
		return true
	}
	return strings.HasSuffix(w, "_t")
}

// isType reports whether a type begins n tokens after the current one (0 is the current token) and ends at a comma or a
// closing parenthesis.
func (p *parser) isType(n int) bool {
	sure, maybe, _ := p.typeAhead(n)
	return sure && maybe
}

// typeAhead looks for a type n tokens from here. maybe says that there could be one, sure that it is no expression, end
// is the index of the token after it.
func (p *parser) typeAhead(n int) (sure, maybe bool, end int) {
	at := func(i int) token {
		if i == 0 {
			return p.tok
		}
		return p.peek(i - 1)
	}
	t := at(n)
	if t.kind != kindIdent {
		return false, false, n
	}
	switch t.text {
	case "struct", "union", "enum", "typeof":
		return true, true, n
	}
	sure = isTypeName(t.text)
	for n++; sure && at(n).kind == kindIdent; n++ {
		// unsigned long, const struct x
		if w := at(n).text; w == "struct" || w == "union" || w == "enum" {
			return true, true, n
		}
	}
	for {
		switch {
		case at(n).is("*"):
			n++
			for at(n).word("const") {
				n++
			}
			if at(n).is(")") {
				sure = true
			}
			continue
		case at(n).is("**"):
			n++
			continue
		case at(n).is("[") && at(n+1).is("]"):
			sure = true
			n += 2
			continue
		case at(n).is("[") && at(n+1).kind == kindInt && at(n+2).is("]"):
			n += 3
			continue
		}
		break
	}
	return sure, at(n).is(")") || at(n).is(","), n
}

// isCast reports whether the parenthesis that is the current token begins a cast.
func (p *parser) isCast() bool {
	sure, maybe, end := p.typeAhead(1)
	if !maybe {
		return false
	}
	if sure {
		return true
	}
	if !p.peek(end-1).is(")") || p.inHead > 0 {
		return false
	}
	// (name)x: a cast only if what follows could not go on with an expression.
	switch after := p.peek(end); after.kind {
	case kindInt, kindStr, kindParam, kindVar, kindMap, kindIdent:
		return true
	case kindOp:
		return after.text == "!" || after.text == "~" || after.text == "("
	}
	return false
}

func (p *parser) cast() Expr {
	open := p.tok.span
	p.next()
	c := &Cast{}
	p.pred.nested++
	c.Type = p.typeExpr()
	p.pred.nested--
	p.closing(")", open, "the cast")
	if p.stopped {
		return &Bad{Span: open}
	}
	c.X = p.unary()
	c.Span = p.from(open.Start)
	return c
}

// typeExpr reads a type as it is written in scripts.
func (p *parser) typeExpr() *TypeExpr {
	t := &TypeExpr{Span: p.tok.span}
	for p.tok.word("const") || p.tok.word("volatile") {
		p.next()
	}
	w := p.tok
	if w.kind != kindIdent {
		p.unexpected("a type")
		return t
	}
	switch w.text {
	case "struct", "union", "enum":
		t.Tag = w.text
		p.next()
		t.Name, _ = p.name("the name of the " + w.text)
	case "typeof":
		p.next()
		open := p.tok.span
		p.expect("(", "after typeof")
		p.pred.nested++
		t.Typeof = p.argument()
		p.pred.nested--
		p.closing(")", open, "typeof")
	default:
		var words []string
		for p.tok.kind == kindIdent {
			if w := p.tok.text; w != "const" && w != "volatile" {
				words = append(words, w)
			}
			p.next()
			if !isCInt(words[len(words)-1]) {
				break
			}
		}
		t.Name = joinCInt(words)
	}
	for !p.stopped {
		switch {
		case p.accept("*"):
			t.Mods = append(t.Mods, TypeMod{Pointer: true})
		case p.tok.word("const"):
			p.next()
		case p.tok.is("["):
			open := p.tok.span
			p.next()
			mod := TypeMod{Len: -1}
			if !p.tok.is("]") {
				if mod.Len = int(min(p.tok.val, 1<<31-1)); p.tok.kind != kindInt {
					p.unexpected("the length of the array")
				}
				p.next()
			}
			p.closing("]", open, "the length")
			t.Mods = append(t.Mods, mod)
		default:
			t.Span = p.from(t.Span.Start)
			return t
		}
	}
	return t
}

// isCInt reports whether w may be one of several words of a type: unsigned long, long double.
func isCInt(w string) bool {
	switch w {
	case "unsigned", "signed", "short", "long", "int", "char", "double":
		return true
	}
	return false
}

// joinCInt gives the one spelling of a C integer type: "long unsigned int" is "unsigned long". Other words are joined.
func joinCInt(words []string) string {
	if len(words) == 1 && words[0] != "unsigned" && words[0] != "signed" {
		return words[0]
	}
	longs, base, sign := 0, "int", ""
	for _, w := range words {
		switch w {
		case "long":
			longs++
		case "short", "char":
			base = w
		case "unsigned":
			sign = "unsigned "
		case "signed":
			if sign == "" {
				sign = "signed "
			}
		case "int":
		default:
			return strings.Join(words, " ")
		}
	}
	if longs > 0 {
		base = strings.TrimSuffix(strings.Repeat("long ", min(longs, 2)), " ")
	}
	if sign == "signed " && base != "char" {
		sign = ""
	}
	return sign + base
}
