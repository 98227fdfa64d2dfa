package matrix

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skep/internal/ktest/archive"
)

// TestPackages finds a package by what its tests import.
func TestPackages(t *testing.T) {
	packages, _, err := Packages(t.Context(), []string{"skep/internal/ktest/..."})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range packages {
		paths = append(paths, p.Path)
	}
	if !slices.Equal(paths, []string{apiPackage}) {
		t.Errorf("packages with tests for kernels: %q", paths)
	}
	if p := packages[0]; p.Relative != "internal/ktest" {
		t.Errorf("%s is in %q", p.Path, p.Relative)
	}
}

// TestPackagesThatDoNotParse are in the list, so that their failure to build is told.
func TestPackagesThatDoNotParse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module skep\n",
		"good/good_test.go": "package good\n\nimport _ \"skep/internal/ktest\"\n",
		"bad/bad_test.go":   "package bad\n\nimport (\"skep/internal/ktest\"\nfunc TestA(t *testing.T) {}\n",
		"other/other.go":    "package other\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	packages, _, err := Packages(t.Context(), []string{"./..."})
	if err != nil {
		t.Fatal(err)
	}
	BuildTests(t.Context(), packages[:1], t.TempDir())
	if len(packages) != 2 || packages[0].Path != "skep/bad" || packages[1].Path != "skep/good" {
		t.Errorf("packages %+v", packages)
	}
	if p := packages[0]; p.Binary != "" || !strings.Contains(p.Problem, "bad_test.go:4") {
		t.Errorf("package %+v does not say where it is bad", p)
	}
	if _, _, err := Packages(t.Context(), []string{"./missing"}); err == nil || !strings.Contains(err.Error(), "./missing") {
		t.Errorf("a package that does not exist: %v", err)
	}
}

func TestDefaultKernels(t *testing.T) {
	for _, want := range append(archive.Names(), Live) {
		if !slices.Contains(DefaultKernels(), want) {
			t.Errorf("kernel %s is not run by default", want)
		}
	}
}

func TestInTurn(t *testing.T) {
	want := []string{"5.10", "newest", "6.1", "6.12", "6.12+lockdown=confidentiality"}
	if got := inTurn(DefaultKernels()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseAddition(t *testing.T) {
	for text, want := range map[string]Addition{
		"/usr/bin/time":     {"/usr/bin/time", "/usr/bin/time"},
		"./skep:/opt/skep2": {"./skep", "/opt/skep2"},
	} {
		if got := ParseAddition(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
