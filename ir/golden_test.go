package ir

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the stages print into the golden files")

// TestGolden compiles the text "in" of each file of testdata and compares what the stages print with the file's other
// sections: "ir-opt", "asm", and the same for Linux 5.10 with " 5.10" behind the name. A section "error" is the message of a
// compilation that fails.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in string
	compared := 0
	for i := range a.Files {
		s := &a.Files[i]
		if s.Name == "in" {
			in = string(s.Data)
		}
		if s.Name == "in" || s.Name == "maps" {
			continue
		}
		stage, old := strings.CutSuffix(s.Name, " 5.10")
		target := liveTarget()
		if old {
			target = &Target{Kernel: 5<<16 | 10<<8, Arch: "amd64", CPUs: 2}
		}
		got := stages(t, in, target)[stage]
		compared++
		if diff := cmp.Diff(string(s.Data), got); diff != "" {
			if *update {
				s.Data = []byte(got)
				continue
			}
			t.Errorf("%s (-want +got):\n%s\n%s", s.Name, diff, got)
		}
	}
	if compared == 0 {
		t.Error("nothing to compare with")
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// stages returns what each stage of the compilation prints.
func stages(t *testing.T, in string, target *Target) map[string]string {
	m, err := readModule("in", in)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := readModule("in", m.String()); err != nil || again.String() != m.String() {
		t.Errorf("reading back what was printed: %v\n%s", err, m)
	}
	out := map[string]string{}
	_, err = Compile(m, Options{Target: target, Check: true, ScratchMap: "scratch", ScratchIndex: 1, ZeroMap: "zero", ZeroSize: 4096,
		Dump: func(stage, text string) { out[stage] = text }})
	if err != nil {
		out["error"] = err.Error() + "\n"
	}
	return out
}
