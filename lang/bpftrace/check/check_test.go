package check

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/diag"
	"skep/internal/golden"
	"skep/ir"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// TestGolden checks each NAME.bt of an archive. Beside it stand NAME.errors, the messages if there are any, and, where the case
// wants it, NAME.types, the checked tree, and NAME.asked, what has() asked. A first line "// args: …" gives the script's parameters, options with two
// dashes among them.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		got := map[string]string{}
		for _, f := range ar.Files {
			base, ext := strings.TrimSuffix(f.Name, path.Ext(f.Name)), path.Ext(f.Name)
			if ext != ".bt" {
				continue
			}
			tree, list := checkText(string(f.Data))
			got[base+".errors"], got[base+".types"] = "", ""
			if len(list.All) > 0 {
				got[base+".errors"] = list.Error()
			}
			if (tree == nil) != list.HasErrors() {
				t.Errorf("%s: there is a tree (%t) and there are errors (%t)", f.Name, tree != nil, list.HasErrors())
			}
			if tree != nil {
				got[base+".types"] = Dump(tree)
				got[base+".asked"] = askedText(tree.Questions)
				verifyTree(t, f.Name, tree)
			}
		}
		return got
	})
}

// askedText is what has() asked, a line each.
func askedText(questions []Question) string {
	var b strings.Builder
	for _, q := range questions {
		if q.Yes {
			fmt.Fprintf(&b, "%s: yes\n", q.Name)
		} else {
			fmt.Fprintf(&b, "%s: no: %s\n", q.Name, q.Why)
		}
	}
	return b.String()
}

// checkText parses and checks a script on the small machine.
func checkText(text string) (*Tree, *diag.List) {
	src := &diag.Source{Name: "script.bt", Text: text}
	script, list := syntax.Parse(src, syntax.Options{})
	if list.HasErrors() {
		return nil, list
	}
	return Check(script, testOptions(text))
}

func testOptions(text string) Options {
	opt := Options{
		Catalog: fakeCatalog{},
		Target:  &ir.Target{Kernel: 6<<16 | 12<<8, Arch: "amd64", CPUs: 4},
		Named:   map[string]string{},
		Env:     func(string) string { return "" },
		KernelAddress: func(name string) (uint64, bool) {
			return 0xffffffff81000000, name == "vfs_read"
		},
		CgroupID: func(path string) (uint64, error) {
			if path == "/sys/fs/cgroup" {
				return 1, nil
			}
			return 0, errors.New("no such directory")
		},
		UserSymbol: func(binary, name string, _ uint64) (uint64, uint64, uint64, bool) {
			if name == "main.moved" {
				return 0x5000, 8, 0x1000, true
			}
			return 0x4000, 4, 0, name == "main.counter"
		},
	}
	for line := range strings.Lines(text) {
		words, ok := strings.CutPrefix(strings.TrimSpace(line), "// ")
		if !ok {
			break
		}
		key, rest, _ := strings.Cut(words, ":")
		switch key {
		case "args":
			for w := range strings.FieldsSeq(rest) {
				if name, ok := strings.CutPrefix(w, "--"); ok {
					name, value, _ := strings.Cut(name, "=")
					opt.Named[name] = value
				} else {
					opt.Args = append(opt.Args, w)
				}
			}
		case "env":
			env := map[string]string{}
			for w := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(w, "=")
				env[name] = value
			}
			opt.Env = func(name string) string { return env[name] }
		case "unsafe":
			opt.Unsafe = true
		case "child":
			opt.HasChild = true
		case "unusable":
			opt.Usable = func(p probe.Point) error {
				if p.Name == strings.TrimSpace(rest) {
					return errors.New("this kernel cannot attach it")
				}
				return nil
			}
		case "kernel 5.10":
			opt.Target.Kernel = 5<<16 | 10<<8
		}
	}
	return opt
}
