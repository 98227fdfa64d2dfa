package spec

import (
	"regexp/syntax"
	"strings"
)

// globOf makes a pattern of a regular expression, or says why that cannot be.
func globOf(expr string) (glob, why string) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", "this is no regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	all, ok := globs{{}}.add(re.Simplify())
	if !ok {
		return "", "this regular expression cannot be made a pattern"
	}
	var patterns []string
	for _, g := range all {
		if !g.ended {
			g.text += "*"
		}
		patterns = append(patterns, strings.ReplaceAll(g.text, "**", "*"))
	}
	return strings.Join(patterns, "|"), ""
}

// globs are the alternatives of a pattern, as far as it has been read.
type globs []alternative

type alternative struct {
	text  string
	ended bool // $ was there
}

// mostAlternatives keeps patterns short: each is tried with each name.
const mostAlternatives = 64

// add appends what an expression stands for, and reports whether a pattern can say it.
func (gs globs) add(re *syntax.Regexp) (globs, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return gs, true
	case syntax.OpBeginText, syntax.OpBeginLine:
		for _, g := range gs {
			if g.text != "" {
				return nil, false
			}
		}
		return gs, true
	case syntax.OpEndText, syntax.OpEndLine:
		ended := make(globs, len(gs))
		for i, g := range gs {
			ended[i] = alternative{g.text, true}
		}
		return ended, true
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r >= 0x7f || strings.ContainsRune("*?[]|", r) || re.Flags&syntax.FoldCase != 0 {
				return nil, false
			}
		}
		return gs.append(string(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return gs.append("?")
	case syntax.OpCharClass:
		if set, ok := classOf(re.Rune); ok {
			return gs.append(set)
		}
		return nil, false
	case syntax.OpStar, syntax.OpPlus:
		if op := re.Sub[0].Op; op != syntax.OpAnyChar && op != syntax.OpAnyCharNotNL {
			return nil, false
		}
		if re.Op == syntax.OpPlus {
			return gs.append("?*")
		}
		return gs.append("*")
	case syntax.OpCapture:
		return gs.add(re.Sub[0])
	case syntax.OpConcat:
		ok := true
		for _, sub := range re.Sub {
			if gs, ok = gs.add(sub); !ok {
				return nil, false
			}
		}
		return gs, true
	case syntax.OpAlternate, syntax.OpQuest:
		var all globs
		if re.Op == syntax.OpQuest {
			all = gs
		}
		for _, sub := range re.Sub {
			more, ok := gs.add(sub)
			if all = append(all[:len(all):len(all)], more...); !ok || len(all) > mostAlternatives {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

// append puts text behind each alternative, none of which may have ended.
func (gs globs) append(text string) (globs, bool) {
	longer := make(globs, len(gs))
	for i, g := range gs {
		if g.ended {
			return nil, false
		}
		longer[i].text = g.text + text
	}
	return longer, true
}

// classOf writes a set of characters.
func classOf(ranges []rune) (string, bool) {
	set := []byte{'['}
	for i := 0; i+1 < len(ranges); i += 2 {
		from, to := ranges[i], ranges[i+1]
		if to >= 0x7f || strings.ContainsRune("!^-]|", from) || strings.ContainsRune("!^-]|", to) || from < '|' && '|' < to {
			return "", false
		}
		if set = append(set, byte(from)); to > from {
			set = append(set, '-', byte(to))
		}
	}
	return string(append(set, ']')), true
}
