package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// Distributions translates the specifiers of BCC's argdist:
//
//	point(signature)[:type[,type…]:expression[,expression…][:filter]][#label]
//
// Those of Counts become maps of count(), those of Histograms maps of hist(), filled by probes whose predicate is the script's macro asked();
// limited(x) is the string at x. The macro specifiers() shows them all, each below its label, at most most() values, and calls
// begin_anew(@map) for each.
type Distributions struct {
	probes, shows strings.Builder
	n             int
}

// Text is more text of the script.
func (d *Distributions) Text() string {
	return d.probes.String() + "macro specifiers()\n{\n" + d.shows.String() + "}\n"
}

// distribution is one specifier.
type distribution struct {
	*text
	of      scope
	n       int
	types   []string
	exprs   []string // of the language
	names   []string // the same as the user wrote them
	filter  string
	label   string
	entries []string // expressions that are kept from the call for the return
	latency bool
}

// Count adds a specifier of a frequency count. The error is a *diag.List.
func (d *Distributions) Count(specifier string) error {
	one, err := d.read(specifier)
	if err != nil {
		return err
	}
	m := fmt.Sprintf("@count%d", one.n)
	key, columns := `"total calls"`, "COUNT#2:%-10d EVENT#1:%s"
	if len(one.exprs) > 0 {
		var pieces []string
		for i, name := range one.names {
			conversion := "%d"
			switch t := one.types[i]; {
			case t == "int8 *":
				conversion = "%s"
			case strings.HasSuffix(t, "*"):
				conversion = "0x%x"
			case strings.HasPrefix(t, "uint"):
				conversion = "%u"
			}
			pieces = append(pieces, "'"+plain(name)+" = '"+conversion)
		}
		key = strings.Join(one.exprs, ", ")
		columns = fmt.Sprintf("COUNT#%d:%%-10d EVENT#1:%%s{%s}", len(one.exprs)+1, strings.Join(pieces, "', '"))
	}
	d.add(one, m+"["+key+"] = count();", fmt.Sprintf(`print_table(%s, %s, most(), "-count");`, m, literal(columns)), m)
	return nil
}

// Histogram adds a specifier of a histogram. The error is a *diag.List.
func (d *Distributions) Histogram(specifier string) error {
	one, err := d.read(specifier)
	if err != nil {
		return err
	}
	switch {
	case len(one.exprs) == 0:
		one.fail(0, len(specifier), "a histogram needs a value").Hint = "such as p:c:malloc(size_t size):size_t:size"
	case len(one.exprs) > 1:
		one.fail(0, len(specifier), "a histogram is of one value, not of %d", len(one.exprs))
	case strings.HasSuffix(one.types[0], "*"):
		one.fail(0, len(specifier), "a histogram is of numbers")
	}
	if err := one.err(); err != nil {
		return err
	}
	m := fmt.Sprintf("@histogram%d", one.n)
	unit := one.names[0]
	if unit == "$latency" {
		unit = "nsecs"
	}
	d.add(one, m+" = hist("+one.exprs[0]+");", fmt.Sprintf("print_log2(%s, %s);", m, literal(unit)), m)
	return nil
}

// plain is a piece of a specifier as it may stand in a title of a table.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return '?'
		case r == '\'':
			return '"'
		}
		return r
	}, strings.ReplaceAll(s, "%", "%%"))
}

// add writes the probes of a specifier, and how it is shown.
func (d *Distributions) add(one *distribution, action, show, m string) {
	d.probes.WriteString(comment(one.string))
	condition, done := "", ""
	if one.latency || len(one.entries) > 0 {
		var keep strings.Builder
		put := func(name, value string) {
			if condition == "" {
				condition = " && has_key(" + name + ", tid)"
			} else {
				keep.WriteString("\n\t")
			}
			keep.WriteString(name + "[tid] = " + value + ";")
			done += "\n\tdelete(" + name + ", tid);"
		}
		for i, e := range one.entries {
			put(one.kept(i), e)
		}
		if one.latency {
			put(one.start(), "nsecs")
		}
		call := one.of.point
		call.Kind = 'p'
		d.probes.WriteString(block(call.Entry(), "", keep.String()))
	}
	if one.filter != "" {
		action = "if (" + one.filter + ") {\n\t\t" + action + "\n\t}"
	}
	d.probes.WriteString(block(one.of.point.Entry(), condition, action+done))
	fmt.Fprintf(&d.shows, "\tbanner(\"%%s\\n\", %s);\n\t%s\n\tbegin_anew(%s);\n", literal(one.label), show, m)
}

func (one *distribution) start() string     { return fmt.Sprintf("@start%d", one.n) }
func (one *distribution) kept(i int) string { return fmt.Sprintf("@entry%d_%d", one.n, i) }

// read takes a specifier apart.
func (d *Distributions) read(specifier string) (*distribution, error) {
	d.n++
	one := &distribution{text: newText(specifier), n: d.n, label: specifier}
	end := one.outside(0, "#")
	if end < len(specifier) {
		one.label = strings.TrimSpace(specifier[end+1:])
	}
	from := min(one.pointEnd(), end)
	one.of.point = one.point(0, from)
	if from < end && specifier[from] == '(' {
		to := one.closing(from)
		one.of.params = one.signature(from+1, to)
		from = min(to+1, end)
	}
	if one.of.point.Kind == 'r' {
		one.of.entry = one.atEntry
		if one.of.params == nil {
			one.of.params = map[string]string{}
		}
	}
	if err := one.err(); err != nil {
		return nil, err
	}
	if from < end {
		one.rest(from, end)
	}
	return one, one.err()
}

// atEntry makes a value of the call one that is kept until the return.
func (one *distribution) atEntry(expr string, _ token) string {
	if expr == "" {
		one.latency = true
		return "(nsecs - " + one.start() + "[tid])"
	}
	one.entries = append(one.entries, expr)
	return one.kept(len(one.entries)-1) + "[tid]"
}

// outside is the place of a sign that stands in no string, or the end.
func (t *text) outside(from int, sign string) int {
	for i := from; i < len(t.string); i++ {
		if t.string[i] == '"' {
			_, n, ok := t.quoted(i, len(t.string))
			if !ok {
				break
			}
			i += n - 1
		} else if strings.HasPrefix(t.string[i:], sign) {
			return i
		}
	}
	return len(t.string)
}

// rest reads :types:expressions:filter.
func (one *distribution) rest(from, end int) {
	if one.string[from] != ':' {
		one.fail(from, end, "unexpected %q", one.string[from:end]).Hint = "types and expressions stand behind colons: p:c:write(int fd):int:fd"
		return
	}
	all := one.tokens(from+1, end)
	if one.list.HasErrors() {
		return
	}
	parts := split(all, ":")
	if len(parts) < 2 || len(parts) > 3 {
		one.fail(from, end, "behind the function stand types, expressions and perhaps a filter, with colons between").Hint = "such as p:c:write(int fd):int:fd or p:c:write(int fd):int:fd:fd>2"
		return
	}
	types, exprs := split(parts[0], ","), split(parts[1], ",")
	if len(types) != len(exprs) {
		one.fail(from, end, "there are %s, but %s", plural(len(types), "type"), plural(len(exprs), "expression"))
		return
	}
	for i := range types {
		name, ok := cType(types[i])
		if !ok || len(exprs[i]) == 0 {
			one.fail(from, end, "type or expression %s cannot be read", strconv.Itoa(i+1)).Hint = "types are such as int, u64, size_t, char*, struct sock *"
			return
		}
		value := one.translate(exprs[i], &one.of)
		one.types = append(one.types, name)
		one.exprs = append(one.exprs, typed(name, value))
		one.names = append(one.names, one.string[exprs[i][0].from:exprs[i][len(exprs[i])-1].to])
	}
	if len(parts) == 3 {
		if len(parts[2]) == 0 {
			one.fail(from, end, "the filter is missing")
			return
		}
		one.filter = one.translate(parts[2], &one.of)
	}
}

// typed is a value of a type of C.
func typed(name, value string) string {
	switch {
	case name == "int8 *":
		if value == "comm" {
			return value
		}
		return "limited(" + value + ")"
	case strings.HasSuffix(name, "*"):
		return "(uint64)(" + value + ")"
	}
	return "(" + name + ")(" + value + ")"
}
