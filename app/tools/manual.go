package tools

import (
	"fmt"
	"slices"
	"strings"
)

// commonFlags lists the flags that the header does not have to declare.
func (t *Tool) commonFlags() []*Flag {
	var all []*Flag
	add := func(letter, long, meta, help string) {
		f := &Flag{Help: help}
		if t.long(long) {
			return
		}
		letter = t.free(letter)
		if letter != "" {
			f.Short = []string{letter}
		}
		if f.Long = []string{long}; meta != "" {
			f.Value = valueOf(meta)
		}
		all = append(all, f)
	}
	if t.filters() {
		add("", "cgroup", "PATH", "only processes in this control group or below it")
		add("", "container", "ID", "only processes of this container: its id, or how that begins")
		add("", "cgroupmap", "PATH", "only control groups whose numbers are keys of the map that is pinned there")
		add("", "mntnsmap", "PATH", "only mount namespaces whose numbers are keys of the map that is pinned there")
		add("", "mntns", "INODE", "only processes in this mount namespace (or a PID: that process's)")
	}
	add("", "json", "", "print one JSON object a line")
	add("o", "output", "FILE", "write the output to FILE")
	add("", "show", "", "print the script, and end")
	add("", "explain", "", "tell which hooks of the kernel are used, and why")
	add("v", "verbose", "", "say more when something is wrong")
	add("V", "version", "", "print the version of skep")
	add("h", "help", "", "print this manual")
	return all
}

// Manual is the header as a page of text.
func (t *Tool) Manual() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nusage: %s\n\n%s\n", t.Name, t.About, t.Usage, strings.Join(t.Description, "\n"))
	common := t.commonFlags()
	width := 0
	for _, f := range slices.Concat(common, t.Flags) {
		if n := len(f.spec()); n <= maxSpec {
			width = max(width, n)
		}
	}
	if len(t.Flags) > 0 {
		b.WriteString("\nflags:\n")
		writeFlags(&b, t.Flags, width)
	}
	b.WriteString("\nflags of every tool:\n")
	writeFlags(&b, common, width)
	if len(t.Exclusive) > 0 {
		b.WriteByte('\n')
	}
	for _, group := range t.Exclusive {
		var names []string
		for _, param := range group {
			if t.flag(param) == nil {
				names = append(names, "--"+param)
				continue
			}
			names = append(names, t.flag(param).all()[0])
		}
		fmt.Fprintf(&b, "Only one of %s can be given.\n", strings.Join(names, ", "))
	}
	described := map[string]bool{}
	for _, f := range t.Flags {
		if f.Kind != Choice || strings.Contains(f.Meta, "|") || described[f.Meta] {
			continue
		}
		described[f.Meta] = true
		for i, line := range wrap(strings.TrimRight(f.Meta, ".,")+" is one of "+strings.Join(f.Words, ", "), pageWidth-4) {
			if i == 0 {
				b.WriteByte('\n')
			}
			b.WriteString(line + "\n")
		}
	}
	if strings.Contains(t.Text, "= hist(") || slices.ContainsFunc(t.Flags, func(f *Flag) bool { return f.Kind == Distribution }) {
		b.WriteString(histogramFields)
	}
	for _, s := range t.Sections {
		fmt.Fprintf(&b, "\n%s:\n", s.Title)
		for _, line := range s.Lines {
			b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
	}
	if t.Instead != "" {
		fmt.Fprintf(&b, "\nif the kernel lacks the hooks:\n")
		for _, line := range wrap(t.Instead, pageWidth-2) {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

// histogramFields describes what --json makes of histograms, which are printed by functions of the language and not by a row of the script.
const histogramFields = `
With --json, a histogram is an object with
  time     when it was printed (not below a stack)
  unit     of the values, such as usecs
  count    of all values
  buckets  a list of {min, max, count}: values from min to max, both included
and what stands above it, such as disk = vda, as a field of that name.
`

// maxSpec is how long a flag may be for its description to stand on the same line; pageWidth is that of a terminal.
const (
	maxSpec   = 30
	pageWidth = 100
)

// spec is a flag as the manual shows it: "-p, --pid PID".
func (f *Flag) spec() string {
	s := strings.Join(f.all(), ", ")
	if len(f.Short) == 0 {
		s = "    " + s
	}
	if f.Meta != "" {
		s += " " + f.Meta
	}
	return s
}

func writeFlags(b *strings.Builder, flags []*Flag, width int) {
	for _, f := range flags {
		spec, help := f.spec(), f.Help
		if f.Default != "" {
			help += " (" + f.Default + " if not given)"
		}
		if len(spec) > maxSpec {
			fmt.Fprintf(b, "  %s\n", spec)
			spec = ""
		}
		for _, line := range wrap(help, pageWidth-width-4) {
			fmt.Fprintf(b, "  %-*s  %s\n", width, spec, line)
			spec = ""
		}
	}
}

// wrap breaks text at blanks.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
