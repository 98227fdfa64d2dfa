package syntax

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse looks for texts that make the parser panic or hang, and for trees that are not printed as they are.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no test data: %v", err)
	}
	for _, name := range files {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if strings.HasSuffix(file.Name, ".bt") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		started := time.Now()
		_, list := parse(text, Options{})
		for _, d := range list.All {
			if strings.Contains(d.Message, "internal error") {
				t.Fatal(list.Error())
			}
			if d.Span.Start < 0 || d.Span.End < d.Span.Start || int(d.Span.End) > len(text) {
				t.Fatalf("span %v of %q is not in the text of %d bytes", d.Span, d.Message, len(text))
			}
		}
		if d := time.Since(started); d > 5*time.Second {
			t.Fatalf("%d bytes took %v", len(text), d)
		}
		checkPrint(t, text)
	})
}

// TestHostile parses texts made to exhaust the stack, the memory or the patience of the parser.
func TestHostile(t *testing.T) {
	const n = 100_000
	rep := strings.Repeat
	for name, text := range map[string]string{
		"parens":     "BEGIN { $x = " + rep("(", n) + "1" + rep(")", n) + "; }",
		"brackets":   "BEGIN { $x = a" + rep("[a", n) + rep("]", n) + "; }",
		"calls":      "BEGIN { " + rep("f(", n),
		"blocks":     "BEGIN " + rep("{", n),
		"ifs":        "BEGIN { " + rep("if (1) { } else ", n),
		"unary":      "BEGIN { $x = " + rep("-", n) + "1; }",
		"stars":      "BEGIN { $x = " + rep("*(", n),
		"cast":       "BEGIN { $x = " + rep("(int8)", n) + "1; }",
		"typeof":     "BEGIN { $x = " + rep("(typeof(", n),
		"lookahead":  "BEGIN { $x = " + rep("(a*(", n),
		"ternary":    "BEGIN { $x = " + rep("1 ? ", n),
		"else":       "BEGIN { $x = " + rep("1 ? 2 : ", n),
		"struct":     rep("struct {", n),
		"enum":       "enum {" + rep("A,", n),
		"if":         rep("#if 1\n", n),
		"ifdef":      rep("#ifdef X\n", n),
		"errors":     "BEGIN { " + rep("$x = ; ", n) + "}",
		"escapes":    `BEGIN { "` + rep(`\q`, n) + `" }`,
		"braces":     rep("}", n),
		"probes":     rep("kprobe:f,", n),
		"commas":     "kprobe:f" + rep(",", n),
		"macro bomb": macroBomb(),
		"macro loop": "#define A B B\n#define B A A\nBEGIN { A }",
		"nul":        rep("\x00", n),
		"slashes":    "BEGIN /" + rep("1/", n),
		"predicates": rep("BEGIN /1/ ", n),
		"digits":     "BEGIN { $x = " + rep("9", n) + "; $y = 1e" + rep("9", n) + "; $z = $" + rep("9", n) + " }",
		"comment":    rep("/*", n),
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			_, list := parse(text, Options{})
			if d := time.Since(started); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
			if !list.HasErrors() {
				t.Error("no error")
			}
			for _, d := range list.All {
				if strings.Contains(d.Message, "internal error") {
					t.Error(d.Message)
				}
			}
			if len(list.All) > 2*maxErrors {
				t.Errorf("%d errors", len(list.All))
			}
		})
	}
}

// macroBomb doubles its text with each macro.
func macroBomb() string {
	var b strings.Builder
	b.WriteString("#define A0 1 + 1\n")
	for i := 1; i < 40; i++ {
		c := string(rune('A' + i%26))
		p := string(rune('A' + (i-1)%26))
		if i >= 26 {
			c += "1"
		}
		if i > 26 {
			p += "1"
		}
		b.WriteString("#define " + c + "0 " + p + "0 + " + p + "0\n")
	}
	b.WriteString("BEGIN { $x = N10; }")
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"one-liner": `tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args->filename)); }`,
		"file":      os.Getenv("SCRIPT"),
	} {
		if data, err := os.ReadFile(text); err == nil {
			text = string(data)
		}
		if text == "" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parse(text, Options{})
			}
		})
	}
}
