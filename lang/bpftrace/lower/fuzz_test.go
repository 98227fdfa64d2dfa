package lower

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/ktest"
)

// FuzzLoad gives scripts to the kernel's verifier: what check accepts must load.
func FuzzLoad(f *testing.F) {
	if flag.Lookup("test.fuzz").Value.String() != "" { // else other tests load them
		for _, s := range scriptLines(f) {
			f.Add(s.text)
		}
		for _, text := range caseScripts(f) {
			f.Add(text)
		}
	}
	target := liveTarget(f)
	f.Fuzz(func(t *testing.T, text string) {
		ktest.Need(t, ktest.Root, ktest.RingBuf)
		if err := rlimit.RemoveMemlock(); err != nil {
			t.Fatal(err)
		}
		if len(text) > 10_000 || strings.Contains(text, "max_") {
			t.Skip("a matter of size")
		}
		u, err := compileScript(text, target, Options{})
		if err != nil {
			t.Skip(err)
		}
		if len(u.Spec.Programs) > 20 {
			t.Skip("too many programs")
		}
		c, err := ebpf.NewCollection(u.Spec)
		var v *ebpf.VerifierError
		switch {
		case err == nil:
			c.Close()
		case !errors.As(err, &v): // no such hook, no memory
		case slices.ContainsFunc([]string{"infinite loop", "too large", "too complex", "back-edge"}, func(words string) bool { return strings.Contains(err.Error(), words) }):
		default:
			t.Fatalf("%s\n%v\n%s", text, err, strings.Join(v.Log[max(0, len(v.Log)-20):], "\n"))
		}
	})
}

// caseScripts are the scripts of the command's cases.
func caseScripts(f *testing.F) []string {
	const folder = "../../../cmd/skep/testdata/"
	var all []string
	scripts, _ := filepath.Glob(folder + "load/*.bt")
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, string(text))
	}
	cases, _ := filepath.Glob(folder + "kernel/*.txtar")
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			switch {
			case strings.HasSuffix(section.Name, ".bt"):
				all = append(all, string(section.Data))
			case section.Name == "run":
				for line := range strings.Lines(string(section.Data)) {
					if _, rest, ok := strings.Cut(line, " -e '"); ok {
						script, _, _ := strings.Cut(rest, "'")
						all = append(all, script)
					}
				}
			}
		}
	}
	if len(all) == 0 {
		f.Fatal("no scripts in " + folder)
	}
	return all
}
