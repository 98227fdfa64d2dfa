package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"skep/host"
	"skep/host/kernel"
	"skep/internal/render"
	"skep/lang/bpftrace/lower"
	"skep/vm/kernellog"
	"skep/vm/verifier"
)

// explainLog explains the log of a kernel's verifier in a file, or on standard input.
func (v *verification) explainLog(file string) error {
	text, err := os.ReadFile(file)
	if file == "-" {
		text, err = io.ReadAll(v.stdin)
	}
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	e, err := kernellog.Explain(string(text))
	if err != nil {
		return fmt.Errorf("explaining %s: %w", file, err)
	}
	answer := e.String()
	if v.json {
		answer = logJSON(e) + "\n"
	}
	_, err = io.WriteString(v.stdout, answer)
	return err
}

// explainRejection shows what our verifier says of a program that the kernel has refused, and where it does not refuse it what the
// kernel's log tells.
func (t *tracing) explainRejection(unit *lower.Unit, rejected *host.Rejected) {
	v := &verification{environment: t.environment}
	if target, err := kernel.New().Target(); err == nil {
		k := verifier.Kernel(target.Kernel &^ 0xff)
		r, err := verifier.Verify(unit.Spec, rejected.Program, k, v.options(k))
		if err == nil && r.Verdict == verifier.Rejected {
			var b strings.Builder
			writeRejection(&b, v.explain(unit.Spec, unit, r))
			fmt.Fprint(t.stderr, b.String())
			return
		}
	}
	if e, err := kernellog.Explain(rejected.Log); err == nil {
		fmt.Fprint(t.stderr, e.String())
	}
}

// logJSON is the same as one line of JSON.
func logJSON(e *kernellog.Explanation) string {
	var o render.Object
	at := func(p kernellog.Place, o *render.Object) {
		if p.Insn >= 0 {
			o.Number("insn", p.Insn)
		}
		o.Text("place", p.File)
		o.Text("line", p.Source)
		o.Text("code", p.Code)
	}
	o.Text("verdict", "rejected")
	at(e.At, &o)
	o.Text("kernel_message", e.Kernel)
	o.Text("rule", e.Rule)
	o.Text("message", e.Text)
	o.Text("required", e.Required())
	o.Text("known", e.Known)
	o.Objects("path", len(e.Path), func(i int, o *render.Object) {
		at(e.Path[i].Place, o)
		o.Text("text", e.Path[i].Text)
	})
	o.Text("advice", e.Advice)
	o.Text("walked", e.Walked)
	return o.String()
}
