package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"skep/internal/ktest"
)

var needsLine = regexp.MustCompile(`(?m)^// needs: (.*)$`)

// TestLoad gives long scripts to the running kernel's verifier. Lines "// needs: FEATURE" in them name ktest's features.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/load/*.bt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".bt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			needs := []ktest.Feature{ktest.Root, ktest.RingBuf, ktest.Tracefs}
			for _, m := range needsLine.FindAllSubmatch(text, -1) {
				needs = append(needs, ktest.Feature(m[1]))
			}
			ktest.Need(t, needs...)
			ktest.Edges(t)
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			if code := runSkep(t, t.TempDir(), []string{"skep", "-q", "--no-warnings", "--dry-run", path, "1"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
				t.Errorf("exit code %d\n%s", code, stderr.String())
			}
		})
	}
}
