package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/internal/render"
	"skep/lang/bpftrace/lower"
	"skep/vm/verifier"
	"skep/vm/witness"
)

// verified is the answer for a program and a kernel, with places in the source.
type verified struct {
	*verifier.Result
	at       step // where it is refused
	path     []step
	hottest  []step
	unpruned []step
	edits    []step
	witness  *witness.Witness
	came     step // where a run with the witness ended
	since    string
}

// step is a place in the program and what is to be said of it.
type step struct {
	insn        int
	place, line string
	text        string
	count       int
	was, is     string
	changes     bool // of an edit: the instruction itself
}

// explain gathers all that is said of a result. Inputs are run and edits are verified only here.
func (v *verification) explain(spec *ebpf.CollectionSpec, unit *lower.Unit, r *verifier.Result) *verified {
	out := &verified{Result: r}
	e := r.Rejection
	if e == nil {
		return out
	}
	at := func(insn int, line *verifier.Line, text string) step {
		s := step{insn: insn, text: text}
		s.place, s.line = locate(unit, r.Program, insn, line)
		return s
	}
	out.at = at(e.Insn, e.Line, "")
	for _, c := range e.Causes() {
		out.path = append(out.path, at(c.Insn, c.Line, c.Text))
	}
	for _, h := range e.Hottest {
		s := at(h.Insn, h.Line, "")
		s.count = h.Count
		out.hottest = append(out.hottest, s)
	}
	for _, d := range e.Unpruned {
		s := at(d.Insn, d.Line, d.Place)
		s.count, s.was, s.is = d.Percent, d.Was, d.Is
		out.unpruned = append(out.unpruned, s)
	}
	for _, d := range e.Edits() {
		s := at(d.Insn, d.Line, d.Text)
		s.changes = d.Changes
		out.edits = append(out.edits, s)
	}
	out.since = v.acceptedSince(spec, r.Program, r)
	o := v.options(r.Kernel)
	types, _ := o.Types.(*btf.Spec)
	w, err := witness.Find(spec, r.Program, e, witness.Options{Kernel: r.Kernel, Types: types, CPUs: o.CPUs})
	if err == nil && w != nil { // what the machine cannot run has no input to show
		out.witness, out.came = w, at(w.Insn, e.LineAt(w.Insn), "")
	}
	return out
}

// locate gives the place of an instruction in the source, and that line's text.
func locate(unit *lower.Unit, program string, insn int, line *verifier.Line) (place, text string) {
	if unit == nil {
		if line == nil {
			return "", ""
		}
		return line.String(), strings.TrimSpace(line.Text)
	}
	p := unit.Programs[program]
	if p == nil {
		return "", ""
	}
	at := p.Probe
	if p.Object != nil && insn >= 0 && insn < len(p.Object.Spans) && p.Object.Spans[insn] != (diag.Span{}) {
		at = p.Object.Spans[insn]
	}
	src := unit.Script.Source
	n, col := src.Line(at.Start)
	return fmt.Sprintf("%s:%d:%d", src.File(at.Start), n, col), strings.TrimSpace(src.LineText(at.Start))
}

// print shows a result, as text or as one line of JSON.
func (v *verification) print(r *verified) error {
	text := r.String()
	if v.json {
		text = r.json() + "\n"
	}
	_, err := io.WriteString(v.stdout, text)
	return err
}

// String is the result as people read it.
func (r *verified) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %-24s %s", r.Kernel, r.Program, r.Verdict)
	switch {
	case r.Missing != "":
		fmt.Fprintf(&b, ": %s\n", r.Missing)
		return b.String()
	case r.Rejection == nil:
		fmt.Fprintf(&b, "  %d instructions walked, %d states, %d bytes of stack\n", r.Cost.Insns, r.Cost.PeakStates, r.Cost.Stack)
		return b.String()
	}
	b.WriteByte('\n')
	writeRejection(&b, r)
	return b.String()
}

// writeRejection is the explanation without its head line.
func writeRejection(b *strings.Builder, r *verified) {
	e := r.Rejection
	fmt.Fprintf(b, "  %s\n", e.Text)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "    %-6s %s\n", name, fmt.Sprintf(format, args...))
	}
	rows := func(name string, steps []step, text func(step) string) {
		for _, s := range steps {
			row(name, "%s", text(s))
			name = ""
		}
	}
	row("at", "%s", where(r.at))
	if e.Required != "" {
		row("rule", "%s", e.Required)
	}
	if e.Known != "" {
		row("known", "%s", e.Known)
	}
	rows("from", r.path, func(s step) string { return s.text + ", " + where(s) })
	if w := r.witness; w != nil {
		given := "zeros"
		if len(w.Inputs) > 0 {
			given = strings.Join(w.Inputs, ", ")
		}
		row("input", "%s", given)
		row("ran", "%s", witnessText(w))
	}
	rows("edit", r.edits, func(s step) string {
		if s.changes {
			return s.text + "  at " + where(s)
		}
		return s.text + "  before " + where(s)
	})
	if len(r.edits) > 0 {
		row("", "verified again with that: accepted")
	}
	if r.since != "" {
		row("since", "Linux %s accepts it", r.since)
	}
	rows("walked", r.hottest, func(s step) string { return fmt.Sprintf("%d instructions: %s", s.count, where(s)) })
	rows("states", r.unpruned, func(s step) string {
		return fmt.Sprintf("%s kept %d %% from being covered: it was %s, and then %s, %s", s.text, s.count, s.was, s.is, where(s))
	})
}

// witnessText tells what came of the run.
func witnessText(w *witness.Witness) string {
	value := ""
	if w.Value != "" {
		value = ", where " + w.Value
	}
	if w.Fault == "" {
		return fmt.Sprintf("it came to instruction %d%s", w.Insn, value)
	}
	return fmt.Sprintf("it ended there: %s%s", w.Fault, value)
}

func where(s step) string {
	text := fmt.Sprintf("instruction %d", s.insn)
	if s.place != "" {
		text += " (" + s.place + ")"
	}
	if s.line != "" {
		text += "  " + s.line
	}
	return text
}

// json is the result as one line of JSON.
func (r *verified) json() string {
	var o render.Object
	o.Text("program", r.Program)
	o.Text("kernel", r.Kernel.String())
	o.Text("verdict", r.Verdict.String())
	if r.Verdict != verifier.NotModelled {
		o.Object("cost", func(o *render.Object) {
			o.Number("insns", r.Cost.Insns)
			o.Number("states", r.Cost.States)
			o.Number("peak_states", r.Cost.PeakStates)
			o.Number("stack", r.Cost.Stack)
		})
	}
	o.Text("missing", r.Missing)
	if r.Rejection != nil {
		r.rejectionJSON(&o)
	}
	return o.String()
}

func (r *verified) rejectionJSON(o *render.Object) {
	e := r.Rejection
	at := func(s step, o *render.Object) {
		o.Number("insn", s.insn)
		o.Text("place", s.place)
		o.Text("line", s.line)
		o.Text("text", s.text)
	}
	list := func(name string, steps []step, more func(step, *render.Object)) {
		o.Objects(name, len(steps), func(i int, o *render.Object) {
			at(steps[i], o)
			if more != nil {
				more(steps[i], o)
			}
		})
	}
	at(r.at, o)
	o.Text("rule", e.Rule)
	o.Text("message", e.Text)
	o.Text("required", e.Required)
	o.Text("known", e.Known)
	o.Text("accepted_since", r.since)
	list("path", r.path, nil)
	if w := r.witness; w != nil {
		o.Object("input", func(o *render.Object) {
			o.Texts("given", w.Inputs)
			at(r.came, o)
			o.Text("fault", w.Fault)
			o.Text("value", w.Value)
		})
	}
	list("edits", r.edits, func(s step, o *render.Object) {
		o.Text("where", map[bool]string{false: "before", true: "at"}[s.changes])
	})
	list("hottest", r.hottest, func(s step, o *render.Object) { o.Number("count", s.count) })
	list("unpruned", r.unpruned, func(s step, o *render.Object) {
		o.Text("was", s.was)
		o.Text("is", s.is)
		o.Number("percent", s.count)
	})
}
