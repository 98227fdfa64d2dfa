package syntax

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/diag"
	"skep/internal/golden"
)

// TestGolden parses each NAME.bt of an archive. Beside it stand NAME.errors, the messages if there are any, and, where
// the case wants them, NAME.dump, the tree, and NAME.fmt, the script as printed.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		got := map[string]string{}
		for _, f := range ar.Files {
			base, kind := strings.TrimSuffix(f.Name, path.Ext(f.Name)), path.Ext(f.Name)
			switch kind {
			case ".bt":
				_, list := parse(string(f.Data), Options{})
				if got[base+".errors"] = ""; len(list.All) > 0 {
					got[base+".errors"] = list.Error()
				}
				if !list.HasErrors() {
					checkPrint(t, string(f.Data))
				}
			case ".dump":
				script, _ := parse(golden.File(t, ar, base+".bt"), Options{})
				got[f.Name] = Dump(script)
			case ".fmt":
				script, _ := parse(golden.File(t, ar, base+".bt"), Options{Format: true})
				got[f.Name] = Print(script)
			}
		}
		return got
	})
}

// TestNesting has scripts that nest far too deep, each reported once.
func TestNesting(t *testing.T) {
	for name, c := range map[string]struct{ open, middle, shut string }{
		"parentheses": {"(", "1", ")"},
		"blocks":      {"if (1) { ", "print(1);", " }"},
		"bare blocks": {"{ ", "print(1);", " }"},
		"signs":       {"-", "1", ""},
		"tuples":      {"(1, ", "1", ")"},
		"maps":        {"@[", "1", "]"},
		"calls":       {"f(", "1", ")"},
		"ternaries":   {"1 ? ", "1", " : 1"},
		"casts":       {"(int64)", "1", ""},
	} {
		text := "BEGIN { " + strings.Repeat(c.open, 3000) + c.middle + strings.Repeat(c.shut, 3000) + "; }"
		_, list := parse(text, Options{})
		if len(list.All) != 1 || !strings.HasPrefix(list.All[0].Message, "nested more than") {
			t.Errorf("%s: %d errors, the first: %.300s", name, len(list.All), list.Error())
		}
	}
}

// TestMacroSize has macros that use each other in vain, and such as only get long.
func TestMacroSize(t *testing.T) {
	doubles := "#define A0 1 + 1\n"
	for i := range 30 {
		doubles += fmt.Sprintf("#define A%d A%d + A%d\n", i+1, i, i)
	}
	for text, want := range map[string]string{
		doubles + "BEGIN { $x = A30; }":                       "the script is too large: its macros expand to more than 65536 symbols",
		"#define A B + 1\n#define B A + 1\nBEGIN { $x = A; }": "macro A is nested too deeply: does it use itself?",
	} {
		_, list := parse(text, Options{})
		if len(list.All) == 0 || list.All[0].Message != want {
			t.Errorf("%.40q: %.300s", text, list.Error())
		}
	}
}

func parse(text string, opt Options) (*Script, *diag.List) {
	return Parse(&diag.Source{Name: "script.bt", Text: text}, opt)
}

// checkPrint prints the script, and checks that the text has the same tree and is printed as it is.
func checkPrint(t *testing.T, text string) {
	t.Helper()
	for _, opt := range []Options{{}, {Format: true}} {
		first, list := parse(text, opt)
		if list.HasErrors() {
			return
		}
		printed := Print(first)
		second, list := parse(printed, Options{Format: true})
		if list.HasErrors() {
			t.Fatalf("printed script has errors:\n%s\n%s", printed, list.Error())
		}
		if opt.Format {
			if diff := cmp.Diff(Dump(first), Dump(second)); diff != "" {
				t.Fatalf("printed script has another tree (-want +got):\n%s\nof the text:\n%s", diff, printed)
			}
			if diff := cmp.Diff(printed, Print(second)); diff != "" {
				t.Fatalf("printing again changes the text (-first +second):\n%s", diff)
			}
			if a, b := len(first.Comments), len(second.Comments); a != b {
				t.Fatalf("%d comments became %d:\n%s", a, b, printed)
			}
		}
	}
}
