package verifier

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"skep/app/tools"
	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// A sample is a program to compare verdicts on.
type sample struct {
	name string
	prog *program
}

// scriptPrograms are the programs that the compiler makes of the scripts in the repository.
func scriptPrograms(t testing.TB, kernel Kernel) []sample {
	t.Helper()
	target := &ir.Target{Kernel: uint32(kernel), Arch: runtime.GOARCH, CPUs: max(1, possibleCPUs())}
	catalog := &probe.Catalog{}
	var all []sample
	add := func(name string, src *diag.Source, named map[string]string) {
		all = append(all, compiled(name, src, target, catalog, named)...)
	}
	for _, name := range tools.Names() {
		tool, err := tools.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		call, err := tool.Command(tools.ThisMachine(), nil)
		if err != nil {
			continue // it needs arguments
		}
		add(name, tool.Run(call), call.Params)
	}
	file, err := os.Open("../../lang/bpftrace/lower/testdata/scripts.txt")
	if err != nil {
		return all // in a guest, which has the tests but not the repository
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if _, rest, ok := strings.Cut(text, "] "); ok && text[0] == '[' {
			text = rest
		}
		add(fmt.Sprintf("scripts.txt:%d", n), &diag.Source{Name: "script", Text: text}, nil)
	}
	examples, _ := filepath.Glob("../../examples/*.bt")
	for _, path := range examples {
		if text, err := os.ReadFile(path); err == nil {
			add(filepath.Base(path), &diag.Source{Name: path, Text: string(text)}, nil)
		}
	}
	return all
}

func compiled(name string, src *diag.Source, target *ir.Target, catalog *probe.Catalog, named map[string]string) (all []sample) {
	script, list := syntax.Parse(src, syntax.Options{})
	if list.HasErrors() {
		return nil
	}
	tree, list := check.Check(script, check.Options{Catalog: catalog, Target: target, Unsafe: true, Named: named, Env: func(string) string { return "" }})
	if list.HasErrors() {
		return nil
	}
	unit, err := lower.Lower(tree, lower.Options{Target: target, Types: catalog.Types})
	if err != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(unit.Spec.Programs)) {
		spec := unit.Spec.Programs[key]
		p, err := flatten(unit.Spec, spec, nil)
		if err != nil {
			continue
		}
		p.lines = nil
		all = append(all, sample{name + "/" + key, p})
	}
	return all
}
