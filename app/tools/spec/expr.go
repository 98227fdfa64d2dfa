package spec

import (
	"strconv"
	"strings"
)

// scope is what the names of an expression mean.
type scope struct {
	point  Point
	params map[string]string // of the function's signature: its argument, with its type
	// entry gives what stands for a value at the function's entry, when the expression is of its return: $entry(x) and $latency.
	// It is nil where there are no such values.
	entry func(expr string, at token) string
}

// expression translates the bytes from to to into an expression of the language.
func (t *text) expression(from, to int, s *scope) string {
	all := t.tokens(from, to)
	if t.list.HasErrors() {
		return "0"
	}
	if len(all) == 0 {
		t.fail(from, to, "an expression is missing")
		return "0"
	}
	return t.translate(all, s)
}

func (t *text) translate(all []token, s *scope) string {
	var b strings.Builder
	glue := true // nothing is to stand before the next token
	put := func(one string, tight bool) {
		if !glue && !tight {
			b.WriteByte(' ')
		}
		b.WriteString(one)
		glue = false
	}
	for i := 0; i < len(all); i++ {
		one := all[i]
		switch one.kind {
		case quoted:
			put(literal(one.text), false)
		case number:
			put(one.text, false)
		case operator:
			tight := false
			switch one.text {
			case ")", "]", ".", "->", ",", "[":
				tight = true
			case "(":
				tight = i > 0 && all[i-1].kind == word
			}
			put(one.text, tight)
			switch one.text {
			case "(", ".", "->", "[", "!", "~":
				glue = true
			}
		case word:
			if i > 0 && (all[i-1].text == "." || all[i-1].text == "->") && all[i-1].kind == operator {
				put(one.text, true) // a member
				continue
			}
			if n := t.call(all[i:], s, func(text string) { put(text, false) }); n > 0 {
				i += n - 1
				continue
			}
			if i > 0 && all[i-1].text == "(" && all[i-1].kind == operator {
				if n, name := typeWords(all[i:]); n > 0 {
					put(name, false)
					i += n - 1
					continue
				}
			}
			put(t.name(one, s), false)
		}
	}
	return b.String()
}

// call translates what looks like a call and means something of its own: STRCMP("text", x) and $entry(x). It returns how many tokens
// that were.
func (t *text) call(all []token, s *scope, put func(string)) int {
	name := all[0].text
	if name != "STRCMP" && name != "$entry" || len(all) < 2 || all[1].text != "(" {
		return 0
	}
	end, depth := 1, 0
	for ; end < len(all); end++ {
		if all[end].kind == operator {
			switch all[end].text {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			}
		}
		if depth == 0 {
			break
		}
	}
	if end >= len(all) {
		return 0
	}
	inner := all[2:end]
	if name == "$entry" {
		if s.entry == nil {
			t.fail(all[0].from, all[0].to, "$entry() is of the return of a function")
		} else if len(inner) == 0 {
			t.fail(all[0].from, all[end].to, "$entry() needs a parameter of the function")
		} else {
			put(s.entry(t.translate(inner, &scope{point: s.point, params: s.params}), all[0]))
		}
		return end + 1
	}
	if len(inner) < 3 || inner[0].kind != quoted || inner[1].text != "," {
		t.fail(all[0].from, all[end].to, `STRCMP compares with a constant: STRCMP("text", arg1)`)
		return end + 1
	}
	put("(str(" + t.translate(inner[2:], s) + ") == " + literal(inner[0].text) + ")")
	return end + 1
}

// aliases are the names that BCC's expressions have for what the language calls otherwise.
func aliases() map[string]string {
	return map[string]string{
		"$uid": "uid", "$gid": "gid", "$pid": "tid", "$tgid": "pid", "$tid": "tid", "$PID": "pid", "$COMM": "comm", "$cpu": "cpu", "$ktime": "nsecs", "$comm": "comm",
		"$random_value": "rand", "$current_task": "curtask", "$task": "curtask", "NULL": "0",
	}
}

// name translates a name that is no member.
func (t *text) name(one token, s *scope) string {
	if param, ok := s.params[one.text]; ok {
		return param
	}
	if alias, ok := aliases()[one.text]; ok {
		return alias
	}
	switch digits, isArg := strings.CutPrefix(one.text, "arg"); {
	case one.text == "retval" || one.text == "$retval":
		if s.point.Kind != 'r' {
			t.fail(one.from, one.to, "%s is of the return of a function", one.text).Hint = "such as r:c:malloc"
		}
		if s.point.Library == "" {
			return "returned()"
		}
		return "((int64)retval)"
	case one.text == "$latency":
		if s.entry == nil {
			t.fail(one.from, one.to, "$latency is of the return of a function").Hint = "such as r::vfs_read():u64:$latency"
			return "0"
		}
		return s.entry("", one)
	case isArg && len(digits) == 1 && digits[0] >= '1' && digits[0] <= '9':
		switch s.point.Kind {
		case 'r':
			t.fail(one.from, one.to, "the return of a function has no arguments").Hint = "$entry() of argdist keeps those of the call"
		case 't':
			t.fail(one.from, one.to, "a tracepoint has its arguments by name").Hint = "such as args->prev_pid"
		}
		return "arg" + strconv.Itoa(int(digits[0]-'1'))
	case strings.HasPrefix(one.text, "$"):
		t.fail(one.from, one.to, "there is no %s", one.text).Hint = "there are $pid, $tgid, $uid, $gid, $cpu, $ktime, $comm, $task, $random_value"
		return "0"
	}
	return one.text
}

// typeNames are types of C and of the kernel that the language calls otherwise.
func typeNames() map[string]string {
	return map[string]string{
		"u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "s8": "int8", "s16": "int16", "s32": "int32", "s64": "int64",
		"__u8": "uint8", "__u16": "uint16", "__u32": "uint32", "__u64": "uint64", "__s8": "int8", "__s16": "int16", "__s32": "int32", "__s64": "int64",
		"uint8_t": "uint8", "uint16_t": "uint16", "uint32_t": "uint32", "uint64_t": "uint64",
		"int8_t": "int8", "int16_t": "int16", "int32_t": "int32", "int64_t": "int64",
		"size_t": "uint64", "ssize_t": "int64", "off_t": "int64", "loff_t": "int64", "pid_t": "int32", "uid_t": "uint32", "gid_t": "uint32",
		"bool": "bool", "uintptr_t": "uint64", "intptr_t": "int64", "dev_t": "uint32", "sector_t": "uint64",
		"gfp_t": "uint32", "fmode_t": "uint32", "umode_t": "uint16", "mode_t": "uint32",
	}
}

// typeWords reads a type at the start of tokens, without the stars behind it: how many tokens it takes, and its name in the language.
func typeWords(all []token) (n int, name string) {
	signed, long, base := true, 0, ""
	for ; n < len(all) && all[n].kind == word; n++ {
		switch w := all[n].text; w {
		case "const", "volatile":
		case "unsigned":
			signed, base = false, base+" "
		case "signed", "int":
			base += " "
		case "long":
			long, base = long+1, base+" "
		case "short", "char":
			base += w
		default:
			if strings.TrimSpace(base) != "" || base != "" {
				return n, integer(signed, long, base)
			}
			switch {
			case w == "struct" || w == "union" || w == "enum":
				if n+1 < len(all) && all[n+1].kind == word {
					return n + 2, w + " " + all[n+1].text
				}
				return 0, ""
			case w == "void":
				return n + 1, w
			}
			if known, ok := typeNames()[w]; ok {
				return n + 1, known
			}
			return 0, ""
		}
	}
	if base == "" {
		return 0, ""
	}
	return n, integer(signed, long, base)
}

func integer(signed bool, long int, base string) string {
	bits := "32"
	switch {
	case strings.Contains(base, "char"):
		bits = "8"
	case strings.Contains(base, "short"):
		bits = "16"
	case long > 0:
		bits = "64"
	}
	if signed {
		return "int" + bits
	}
	return "uint" + bits
}

// cType reads a whole type such as "const char *": its name in the language, with its stars.
func cType(all []token) (name string, ok bool) {
	n, name := typeWords(all)
	if n == 0 {
		return "", false
	}
	stars := ""
	for ; n < len(all); n++ {
		switch {
		case all[n].text == "*" && all[n].kind == operator:
			stars += "*"
		case all[n].text != "const":
			return "", false
		}
	}
	if stars != "" {
		return name + " " + stars, true
	}
	return name, name != "void"
}

// signature reads a function's parameters between its parentheses.
func (t *text) signature(from, to int) map[string]string {
	params := map[string]string{}
	all := t.tokens(from, to)
	for i, param := range split(all, ",") {
		if len(param) == 1 && param[0].text == "void" && i == 0 {
			continue
		}
		last := len(param) - 1
		if last < 1 || param[last].kind != word {
			if len(all) > 0 {
				t.fail(all[0].from, all[len(all)-1].to, "parameters are written type and name, with commas between")
			}
			return params
		}
		name, ok := cType(param[:last])
		if !ok {
			t.fail(param[0].from, param[last].to, "this is no type that can be read")
			continue
		}
		params[param[last].text] = "((" + name + ")arg" + strconv.Itoa(i) + ")"
	}
	return params
}

// split cuts tokens at an operator that stands in no brackets.
func split(all []token, at string) (parts [][]token) {
	if len(all) == 0 {
		return nil
	}
	depth, start := 0, 0
	for i, one := range all {
		if one.kind != operator {
			continue
		}
		switch {
		case one.text == "(" || one.text == "[":
			depth++
		case one.text == ")" || one.text == "]":
			depth--
		case one.text == at && depth == 0:
			parts = append(parts, all[start:i])
			start = i + 1
		}
	}
	return append(parts, all[start:])
}
