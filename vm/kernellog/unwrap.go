package kernellog

import (
	"strconv"
	"strings"
)

// What stands around a log where it was found: a journal's or container's prefix on each line, colours, the quotes and escapes of a string,
// an error of one line.

var (
	colour = pattern{text: `\x1b\[[0-9;?]*[A-Za-z]`}
	// prefixes are taken off one after the other.
	prefixes = pattern{text: `^\s*(?:` + strings.Join([]string{
		`[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \S+ [^:\s]+:`,        // journald, syslog
		`\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[^\s\]]*\]?`, // a date and time
		`\[?\d\d:\d\d:\d\d[^\s\]]*\]?`,                          // a time
		`\[ *\d+\.\d+\]`,                                        // the kernel's
		`(?:stdout|stderr) [FP]`,                                // of a container's runtime
		`[A-Za-z0-9_.-]+ *\|`,                                   // of several containers
		`\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|trace|debug|info|warn|warning|fatal)\]?:?`, // a level
		`>`, // a quotation
	}, "|") + `)(?:\s|$)`}
	oneLine = pattern{text: `load program: [A-Za-z' ]+: (.*?)(?:,? ?\(\d+ line(?:s|\(s\))? omitted\))?$`}
)

// unwrap takes off what is not the kernel's, as far as it is known.
func unwrap(text string) string {
	text = colour.compiled().ReplaceAllString(text, "")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		lines = append(lines, unescaped(line)...)
	}
	for i, line := range lines {
		for !begins(line) {
			at := prefixes.compiled().FindStringIndex(line)
			if at == nil {
				break
			}
			line = line[at[1]:]
		}
		lines[i] = line
	}
	if common := commonPrefix(lines); common > 0 {
		for i, line := range lines {
			lines[i] = line[min(common, len(line)):]
		}
	}
	var all []string
	for _, line := range lines {
		if m := oneLine.find(strings.TrimSpace(line)); m != nil && m[1] != "" {
			all = append(all, apart(m[1])...)
		} else {
			all = append(all, line)
		}
	}
	return strings.Join(all, "\n")
}

// begins reports whether a line is one that all logs have, without anything before it.
func begins(line string) bool {
	line = strings.TrimSpace(line)
	return insnLine.matches(line) || strings.HasPrefix(line, "; ") || strings.HasPrefix(line, "processed ")
}

// kernels reports whether a line has something of the kernel's.
func kernels(line string) bool {
	return begins(line) || recognise([]string{strings.TrimSpace(line)}).rule != ""
}

// unescaped makes lines of one that is a string of JSON, Go or Python. A line of a program's source that has an escape stays.
func unescaped(line string) []string {
	if !strings.Contains(line, `\n`) {
		return []string{line}
	}
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' || i+1 == len(line) {
			b.WriteByte(line[i])
			continue
		}
		switch i++; line[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
		case '\\', '"', '\'', '/':
			b.WriteByte(line[i])
		case 'u', 'x':
			digits := map[byte]int{'u': 4, 'x': 2}[line[i]]
			if n, err := strconv.ParseUint(line[i+1:min(i+1+digits, len(line))], 16, 16); err == nil {
				b.WriteRune(rune(n))
				i += digits
			} else {
				b.WriteString(line[i-1 : i+1])
			}
		default:
			b.WriteString(line[i-1 : i+1])
		}
	}
	text := colour.compiled().ReplaceAllString(b.String(), "")
	lines := strings.Split(text, "\n")
	first, last := lines[0], lines[len(lines)-1]
	known := false
	for _, l := range lines[1:] {
		known = known || kernels(l)
	}
	for i := range first {
		if (first[i] == '"' || first[i] == '\'') && kernels(first[i+1:]) {
			lines[0], known = first[i+1:], true
			break
		}
	}
	if !known {
		return []string{line}
	}
	if end := strings.TrimRight(last, " })],"); strings.HasSuffix(end, `"`) {
		lines[len(lines)-1] = strings.TrimSuffix(end, `"`)
	}
	return lines
}

// commonPrefix is the length of what all lines begin with, up to a space; 0 if some lines are the kernel's as they are.
func commonPrefix(lines []string) int {
	common, n := "", 0
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if begins(line) {
			return 0
		}
		if n++; n == 1 {
			common = line
		}
		for !strings.HasPrefix(line, common) {
			common = common[:len(common)-1]
		}
	}
	end := strings.LastIndexAny(common, " \t") + 1
	for _, line := range lines {
		if n >= 2 && len(line) > end && begins(line[end:]) {
			return end
		}
	}
	return 0
}

// apart makes lines of an error that has them joined: an instruction, and what the kernel says of it.
func apart(text string) []string {
	if !insnLine.matches(text) {
		return []string{text}
	}
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], ": ") && recognise([]string{text[i+2:]}).rule != "" {
			return []string{text[:i], text[i+2:]}
		}
	}
	return []string{text}
}
