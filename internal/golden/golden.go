// Package golden runs the cases of txtar files in tests: it compares what a stage makes of the files of an archive with
// the other files of the archive, and rewrites those when asked to by -update.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Stage makes outputs of the inputs of an archive. The result maps the names of files to their contents; a file that
// is not in the result is an input, and an output that is not in the archive must be empty.
type Stage func(t *testing.T, ar *txtar.Archive) map[string]string

// Updating reports whether the test was run with -update.
func Updating() bool { return flag.Lookup("update").Value.String() == "true" }

var _ = flag.Bool("update", false, "rewrite the golden files with what the tests get")

// Run runs stage on each file that pattern matches, as a subtest named after the file. It is an error if there is none.
func Run(t *testing.T, pattern string, stage Stage) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runFile(t, name, stage) })
	}
}

func runFile(t *testing.T, name string, stage Stage) {
	t.Helper()
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := stage(t, ar)
	if t.Failed() {
		return
	}
	if Updating() {
		if err := update(name, ar, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	seen := map[string]bool{}
	for _, f := range ar.Files {
		text, ok := got[f.Name]
		if !ok {
			continue
		}
		seen[f.Name] = true
		if diff := cmp.Diff(string(f.Data), withNewline(text)); diff != "" {
			t.Errorf("%s: %s differs (-want +got), run with -update to accept:\n%s", name, f.Name, diff)
		}
	}
	for _, n := range slices.Sorted(keys(got)) {
		if !seen[n] && got[n] != "" {
			t.Errorf("%s: output %s is not in the archive, run with -update to accept:\n%s", name, n, got[n])
		}
	}
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// withNewline ends text as files of an archive end.
func withNewline(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

func update(name string, ar *txtar.Archive, got map[string]string) error {
	left := map[string]string{}
	for n, text := range got {
		left[n] = withNewline(text)
	}
	var files []txtar.File
	for _, f := range ar.Files {
		if text, ok := left[f.Name]; ok {
			delete(left, f.Name)
			if text == "" {
				continue
			}
			f.Data = []byte(text)
		}
		files = append(files, f)
	}
	for _, n := range slices.Sorted(keys(left)) {
		if left[n] != "" {
			files = append(files, txtar.File{Name: n, Data: []byte(left[n])})
		}
	}
	ar.Files = files
	text := txtar.Format(ar)
	old, err := os.ReadFile(name)
	if err != nil || bytes.Equal(old, text) {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// File returns the contents of the named file of ar, and fails the test if there is none.
func File(t *testing.T, ar *txtar.Archive, name string) string {
	t.Helper()
	for _, f := range ar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	t.Fatalf("the archive has no file %s", name)
	return ""
}
