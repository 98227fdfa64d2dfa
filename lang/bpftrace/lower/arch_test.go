package lower

import (
	"os"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/ktest"
	"skep/ir"
)

// TestArm64 compares where programs for arm64 read registers: each part of the archive is a script, followed by the ir of its programs.
func TestArm64(t *testing.T) {
	ktest.Need(t, ktest.Root)
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers of system calls are those of the machine")
	}
	const name = "testdata/arm64.txtar"
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		script, want := archive.Files[i], &archive.Files[i+1]
		got := ""
		dump := func(stage, text string) {
			if stage == "ir-opt" {
				got += text
			}
		}
		_, err := compileScript(string(script.Data), &ir.Target{Kernel: 6<<16 | 18<<8, Arch: "arm64", CPUs: 2}, Options{Dump: dump})
		if err != nil {
			t.Errorf("%s: %v", script.Name, err)
		}
		if *update {
			want.Data = []byte(got)
		} else if diff := cmp.Diff(string(want.Data), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", script.Name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
