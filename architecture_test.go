package skep

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers is the order of the packages, as ARCHITECTURE.md shows it: a package imports only what stands on an earlier line, or
// in its own folder. "x/..." is a folder with all below it.
var layers = [][]string{
	{"internal/diag", "internal/render"},
	{"symbol", "ir", "lang/bpftrace/syntax", "app/tools/spec", "vm/..."},
	{"probe"},
	{"schema", "recording"},
	{"lang/bpftrace/check"},
	{"lang/bpftrace/lower"},
	{"host"},
	{"trace"},
	{"host/machine"},
	{"host/kernel", "host/user", "host/replay", "app/tools"},
	{"cmd/..."},
}

// testOnly are packages that only tests may import, and that import what they like.
var testOnly = []string{"internal/ktest/...", "internal/golden", "internal/bench", "vm/enginetest"}

func TestLayers(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range layers {
		if want := "    " + strings.Join(line, "  ") + "\n"; !strings.Contains(string(text), want) {
			t.Errorf("ARCHITECTURE.md has not the line %q", want)
		}
	}
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "." || matches(testOnly, dir) || strings.Contains(dir, "/gen") {
			return
		}
		layer := layerOf(dir)
		if layer < 0 {
			t.Errorf("%s: package %s stands in no layer", path, dir)
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			pkg, ok := strings.CutPrefix(name, "skep/")
			if !ok || strings.HasSuffix(path, "_test.go") {
				continue
			}
			if matches(testOnly, pkg) {
				t.Errorf("%s imports %s, which is for tests only", path, pkg)
			} else if l := layerOf(pkg); l > layer || l == layer && folder(pkg) != folder(dir) {
				t.Errorf("%s: %s may not import %s", path, dir, pkg)
			}
		}
	})
}

// TestPackageComments asks that each package says first why it exists.
func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	eachGoFile(t, func(path string) {
		dir := filepath.Dir(path)
		if _, known := said[dir]; !known {
			said[dir] = false
		}
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil && (strings.HasPrefix(file.Doc.Text(), "Package "+file.Name.Name+" ") || strings.HasPrefix(file.Doc.Text(), "Command ")) {
			said[dir] = true
		}
	})
	for dir, ok := range said {
		if !ok && dir != "." {
			t.Errorf("%s has no comment that starts with \"Package …\" or \"Command …\"", dir)
		}
	}
}

// TestNames keeps out package names that say what something is made of.
func TestNames(t *testing.T) {
	eachGoFile(t, func(path string) {
		for dir := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(path)), "/") {
			switch dir {
			case "util", "utils", "common", "helpers", "types", "manager", "misc":
				t.Errorf("%s: %q is no name for a package", path, dir)
			}
		}
	})
}

func eachGoFile(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func layerOf(pkg string) int {
	for i, line := range layers {
		if matches(line, pkg) {
			return i
		}
	}
	return -1
}

func matches(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if p == pkg {
			return true
		}
		if base, ok := strings.CutSuffix(p, "/..."); ok && (pkg == base || strings.HasPrefix(pkg, base+"/")) {
			return true
		}
	}
	return false
}

// folder is the first part of a package's path that makes a room of its own: cmd/skep, lang/bpftrace, host.
func folder(pkg string) string {
	for _, line := range layers {
		for _, p := range line {
			if p == pkg {
				return pkg
			}
			if base, ok := strings.CutSuffix(p, "/..."); ok && strings.HasPrefix(pkg, base+"/") {
				return base
			}
		}
	}
	return pkg
}
