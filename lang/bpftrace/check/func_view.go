package check

import (
	"fmt"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// viewFunctions print whole maps in other forms than print().
func viewFunctions() []function {
	const act = effect | void | own
	return []function{
		{name: "print_log2", usage: `print_log2(@hist, "usecs" [, "disk"])`, min: 2, max: 3, form: act, check: histogram(schema.FormLog2, schema.Hist)},
		{name: "print_linear", usage: `print_linear(@lhist, "value" [, "section"])`, min: 2, max: 3, form: act, check: histogram(schema.FormLinear, schema.LHist)},
		{name: "print_table", usage: `print_table(@map [, @more …], "PID:%-7d COUNT:%8d" [, top [, "sort"]])`, min: 2, max: 16, form: act, check: checkTable},
		{name: "print_folded", usage: `print_folded(@map [, delimiter [, mark kernel's frames [, "comm,pid" [, "count"]]]])`, min: 1, max: 5, form: act, check: stacksOf(schema.FormFolded)},
		{name: "print_stacks", usage: `print_stacks(@map [, delimiter [, "comm,pid" [, "count" [, plain [, addresses]]]]])`, min: 1, max: 6, form: act, check: stacksOf(schema.FormStacks)},
	}
}

// view makes the call that prints maps in a form.
func (k *call) view(v *schema.View, maps ...Expr) Expr {
	return k.event(&schema.Event{Kind: schema.PrintMap, View: v}, maps...)
}

// viewedMap is mapArg; if nothing is to be done with the map, because its values are not known yet or never set, done is the result.
func (c *checker) viewedMap(k *call, i int) (m *mapState, arg, done Expr) {
	m, arg = c.mapArg(k, i)
	switch {
	case m == nil:
		return nil, nil, bad(k.at)
	case m.value.typ() == nil, m.keyed && m.key.typ() == nil:
		c.pending = true
		return nil, nil, bad(k.at)
	}
	return m, arg, nil
}

// histogram is the check of print_log2 and print_linear.
func histogram(form schema.Form, kind schema.Kind) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		m, arg, done := c.viewedMap(k, 0)
		v := &schema.View{Form: form}
		ok := true
		if v.Unit, ok = c.constStr(k, 1); !ok {
			return bad(k.at)
		}
		if len(k.args) == 3 {
			if v.Section, ok = c.constStr(k, 2); !ok {
				return bad(k.at)
			}
		}
		switch {
		case done != nil:
			return done
		case c.isIdle(m):
			return nothing(k.at)
		case m.value.typ().Kind != kind:
			c.list.Errorf(k.args[0].Pos(), "%s() shows maps of %s(), and %s has values of type %s", k.f.name,
				map[schema.Kind]string{schema.Hist: "hist", schema.LHist: "lhist"}[kind], m.Name, TypeName(m.value.typ())).Related = m.related()
			return bad(k.at)
		case strings.Contains(v.Section, ",") && strings.Count(v.Section, ",")+1 != len(keyParts(m.key.typ())):
			c.list.Errorf(k.args[2].Pos(), "there are %d names, but the key of %s has %s", strings.Count(v.Section, ",")+1, m.Name, plural(len(keyParts(m.key.typ())), "part"))
			return bad(k.at)
		case kind == schema.Hist && m.value.typ().Bits != 0:
			c.list.Errorf(k.args[0].Pos(), "%s() shows whole powers of two: %s must be of hist() without bits", k.f.name, m.Name)
			return bad(k.at)
		}
		return k.view(v, arg)
	}
}

// checkTable is print_table: the maps, the columns, how many rows, and the column that they are sorted by.
func checkTable(c *checker, k *call) Expr {
	var maps []Expr
	var types []*schema.Type
	var first *mapState
	i, values := 0, 0
	for ; i < len(k.args); i++ {
		if _, isMap := c.resolveParam(k.args[i]).(*syntax.MapRef); !isMap && i > 0 {
			break
		}
		m, arg, done := c.viewedMap(k, i)
		if done != nil {
			return done
		}
		if c.isIdle(m) {
			return nothing(k.at)
		}
		if first == nil {
			first = m
			types = keyParts(m.key.typ())
			values = len(types)
		} else if !sameKeys(first.key.typ(), m.key.typ()) {
			c.list.Errorf(k.args[i].Pos(), "%s has other keys than %s, so they cannot be shown in one table", m.Name, first.Name).Related = append(first.related(), m.related()...)
			return bad(k.at)
		}
		parts := valueParts(m.value.typ())
		if parts == nil {
			c.list.Errorf(k.args[i].Pos(), "a table cannot show %s: its values are of type %s", m.Name, TypeName(m.value.typ()))
			return bad(k.at)
		}
		types = append(types, parts...)
		maps = append(maps, arg)
	}
	if i == len(k.args) {
		c.list.Errorf(k.at, "print_table() needs a format").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	columns, ok := c.columns(k, i)
	if !ok {
		return bad(k.at)
	}
	parts := 0
	seen := map[int]bool{}
	for j := range columns {
		col := &columns[j]
		if col.numbered != columns[0].numbered {
			c.list.Errorf(formatSpan(k.args[i], col.at), "either all columns say which part they show, or none does").Hint = "TITLE#2:%conversion shows the second part"
			return bad(k.at)
		}
		if !col.numbered {
			col.part = parts
		}
		for n := range col.takes {
			if part := col.part + n; col.numbered && (seen[part] || part >= len(types)) {
				c.list.Errorf(formatSpan(k.args[i], col.at), "part %d is %s", part+1, map[bool]string{true: "in two columns", false: "not there"}[seen[part]])
				return bad(k.at)
			}
			seen[col.part+n] = true
		}
		parts += col.takes
	}
	if parts != len(types) {
		c.list.Errorf(k.args[i].Pos(), "the format has %s, but %s has %s: %s", plural(len(columns), "column"), first.Name, plural(len(types), "part"), partsText(types)).
			Hint = "there is a column for each part of the key, then for each value; {%s:%d} makes one column of two parts"
		return bad(k.at)
	}
	v := &schema.View{Form: schema.FormTable, Sort: values}
	for j := range columns {
		col := &columns[j]
		if shown, _ := c.shows(col.condition); !shown {
			continue
		}
		if !c.tableColumn(k, i, col, types) || !c.matching(&call{k.at, k.f, k.args[i:]}, col) {
			return bad(k.at)
		}
		v.Columns = append(v.Columns, col.Column)
	}
	return c.tableOrder(k, i+1, v, columns, maps)
}

// tableColumn gives a column its parts of key and values.
func (c *checker) tableColumn(k *call, format int, col *column, types []*schema.Type) bool {
	if col.Parts == nil {
		col.Verb.Arg = col.part
		return c.columnTakes(k, format, col, types[col.part], nil)
	}
	if col.Verb.Conv != "s" || col.Scale != 0 {
		c.list.Errorf(formatSpan(k.args[format], col.at), "what braces make of several parts is shown by %%s")
		return false
	}
	n := col.part
	for i := range col.Parts {
		piece := column{Column: schema.Column{Name: col.Name, Verb: col.Parts[i]}, at: col.at}
		if piece.Verb.Conv == "" {
			continue
		}
		if !c.columnTakes(k, format, &piece, types[n], nil) {
			return false
		}
		col.Parts[i].Arg = n
		n++
	}
	return true
}

// tableOrder reads what follows a table's format, from argument i on.
func (c *checker) tableOrder(k *call, i int, v *schema.View, columns []column, maps []Expr) Expr {
	if i < len(k.args) {
		top, ok := c.constArg(k, i)
		if !ok {
			return bad(k.at)
		}
		if top < 0 {
			c.list.Errorf(k.args[i].Pos(), "the number of rows must be positive, not %d", top).Hint = "0 stands for all"
			return bad(k.at)
		}
		v.Top = int(min(top, 1<<31-1))
	}
	if i+1 < len(k.args) {
		by, ok := c.constStr(k, i+1)
		if !ok {
			return bad(k.at)
		}
		var names []string
		by, v.Upward = strings.CutPrefix(by, "-")
		found := by == ""
		for j := range columns {
			if columns[j].Name == by {
				v.Sort, found = columns[j].part, true
			}
			names = append(names, columns[j].Name)
		}
		if !found {
			d := c.list.Errorf(k.args[i+1].Pos(), "the table has no column %q to sort by", by)
			d.Hint = "its columns are " + join(names)
			if near := diag.Nearest(by, names); near != "" {
				d.Hint = "did you mean " + near + "?"
			}
			return bad(k.at)
		}
	}
	if i+2 < len(k.args) {
		c.list.Errorf(k.args[i+2].Pos(), "print_table() takes no more than a sort column after the format").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	return k.view(v, maps...)
}

func sameKeys(a, b *schema.Type) bool {
	return a == nil && b == nil || a != nil && b != nil && same(a, b)
}

// keyParts are the types of the parts of a key.
func keyParts(t *schema.Type) []*schema.Type {
	switch {
	case t == nil:
		return nil
	case t.Kind != schema.Tuple:
		return []*schema.Type{t}
	}
	var parts []*schema.Type
	for _, f := range t.Fields {
		parts = append(parts, f.Type)
	}
	return parts
}

// valueParts are the types of what a value shows in a table: stats() has its count, average and total. nil if it cannot be shown there.
func valueParts(t *schema.Type) []*schema.Type {
	switch t.Kind {
	case schema.Hist, schema.LHist, schema.TSeries, schema.None:
		return nil
	case schema.Stats:
		n := intType(8, t.Signed)
		return []*schema.Type{typeU64, n, n}
	case schema.Tuple:
		return keyParts(t)
	}
	if r := aggregateResult(t); r != nil {
		t = r
	}
	return []*schema.Type{t}
}

func partsText(types []*schema.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = TypeName(t)
	}
	return strings.Join(names, ", ")
}

// stacksOf is the check of print_folded and print_stacks.
func stacksOf(form schema.Form) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		m, arg, done := c.viewedMap(k, 0)
		v := &schema.View{Form: form}
		flags := []*bool{&v.Delimiter}
		mark := false
		if form == schema.FormFolded {
			flags = append(flags, &mark)
		}
		for i := 1; i < len(k.args); i++ {
			ok := true
			switch text := ""; {
			case i <= len(flags):
				*flags[i-1], ok = c.constCond(k, i)
			case i == len(flags)+1:
				if text, ok = c.constStr(k, i); text != "" {
					v.Names = strings.Split(text, ",")
				}
			case i == len(flags)+2:
				v.Value, ok = c.constStr(k, i)
			case i == len(flags)+3:
				v.Plain, ok = c.constCond(k, i)
			default:
				v.Addresses, ok = c.constCond(k, i)
			}
			if !ok {
				return bad(k.at)
			}
		}
		if mark {
			v.Mark = "_[k]"
		}
		if done != nil {
			return done
		}
		if c.isIdle(m) {
			return nothing(k.at)
		}
		stacks, others := 0, 0
		for _, t := range keyParts(m.key.typ()) {
			if t.Kind == schema.KStack || t.Kind == schema.UStack {
				stacks++
			} else {
				others++
			}
		}
		if stacks == 0 {
			c.list.Errorf(k.args[0].Pos(), "%s has no stack in its key", m.Name).Hint = fmt.Sprintf("such as %s[kstack, ustack] = count()", m.Name)
			return bad(k.at)
		}
		if v.Names != nil && len(v.Names) != others {
			c.list.Errorf(k.at, "there are %s, but the key of %s has %s besides the stacks", plural(len(v.Names), "name"), m.Name, plural(others, "part"))
			return bad(k.at)
		}
		whole := m.value.typ().Kind == schema.Hist && m.value.typ().Bits == 0 && form == schema.FormStacks
		if t := aggregateResult(m.value.typ()); t == nil && m.value.typ().Kind != schema.Int && !whole {
			c.list.Errorf(k.args[0].Pos(), "%s has values of type %s, which are no numbers of stacks", m.Name, TypeName(m.value.typ()))
			return bad(k.at)
		}
		return k.view(v, arg)
	}
}
