package lower

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/ktest"
	"skep/ir"
	"skep/schema"
)

var update = flag.Bool("update", false, "write what the tests get to their files")

// TestUnit compiles the scripts of testdata/unit for Linux 6.18, and where there is a part "old" for 5.10, and compares what is to be
// attached, the maps, and the layout of the records.
func TestUnit(t *testing.T) {
	ktest.Need(t, ktest.Root)
	files, err := filepath.Glob("testdata/unit/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			script := string(archive.Files[0].Data)
			for i := range archive.Files[1:] {
				f := &archive.Files[i+1]
				kernel := uint32(6<<16 | 18<<8)
				if f.Name == "old" {
					kernel = 5<<16 | 10<<8
				}
				u, err := compileScript(script, &ir.Target{Kernel: kernel, Arch: "amd64", CPUs: 2}, Options{})
				got := ""
				if err != nil {
					got = err.Error() + "\n"
				} else {
					got = describeUnit(u)
				}
				if *update {
					f.Data = []byte(got)
				} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", f.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func describeUnit(u *Unit) string {
	var b strings.Builder
	for _, a := range u.Attach {
		spec := u.Spec.Programs[a.Program]
		fmt.Fprintf(&b, "attach %s %v/%v how %d", a.Program, spec.Type, spec.AttachType, a.How)
		if a.Target != "" {
			fmt.Fprintf(&b, " to %s", a.Target)
		}
		fmt.Fprintf(&b, ", %d points", len(a.Points))
		if a.Cookies != nil {
			fmt.Fprintf(&b, ", cookies %v", a.Cookies)
		}
		b.WriteByte('\n')
	}
	var names []string
	for name := range u.Spec.Maps {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		m := u.Spec.Maps[name]
		if name == MapStrings {
			fmt.Fprintf(&b, "map %s %v\n", name, m.Type) // its size is that of what happens to be in it
			continue
		}
		fmt.Fprintf(&b, "map %s %v %d:%d × %d flags %#x\n", name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
	}
	for i, e := range u.Script.Events {
		fmt.Fprintf(&b, "event %d kind %d %q size %d%s\n", i, e.Kind, e.Format, e.Size, describeArgs(e.Args))
	}
	for _, e := range u.Script.Errors {
		fmt.Fprintf(&b, "error %s%s\n", e.Helper, e.Message)
	}
	return b.String()
}

func describeArgs(args []schema.Arg) string {
	s := ""
	for _, a := range args {
		switch {
		case a.Literal:
			s += fmt.Sprintf(", literal %q %d", a.Text, a.Number)
		case a.Var:
			s += fmt.Sprintf(", %d: variable", a.Offset)
		default:
			s += fmt.Sprintf(", %d: %d bytes", a.Offset, size(a.Type))
		}
	}
	return s
}
