package probe

import (
	"slices"
	"strings"
)

// Glob reports whether name matches pattern, in which * stands for any text, ? for one character and [abc] for one of these. A | stands
// between patterns of which one is enough.
func Glob(pattern, name string) bool {
	for alternative := range strings.SplitSeq(pattern, "|") {
		if globOne(alternative, name) {
			return true
		}
	}
	return false
}

func globOne(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if width, ok := matchOne(pattern[p:], name[n]); ok {
				p, n = p+width, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one character against the start of pattern and returns how much of the pattern that used.
func matchOne(pattern string, c byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		end := strings.IndexByte(pattern, ']')
		if end < 0 {
			return 1, c == '['
		}
		set := pattern[1:end]
		negated := strings.HasPrefix(set, "!") || strings.HasPrefix(set, "^")
		if negated {
			set = set[1:]
		}
		in := false
		for i := 0; i < len(set); i++ {
			if i+2 < len(set) && set[i+1] == '-' {
				in = in || set[i] <= c && c <= set[i+2]
				i += 2
				continue
			}
			in = in || set[i] == c
		}
		return end + 1, in != negated
	}
	return 1, pattern[0] == c
}

// HasWildcard reports whether pattern stands for more than itself.
func HasWildcard(pattern string) bool { return strings.ContainsAny(pattern, "*?[|") }

func sortStrings(s []string) { slices.Sort(s) }
