package ktest

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// NeedTool skips the test where a program, such as a compiler, is not installed: in guests, and on machines of people. In CI what the
// setup command installs must be there.
func NeedTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if slices.Contains([]string{"gcc", "g++", "clang"}, name) && os.Getenv("CI") == "true" && !Emulated() {
		t.Fatalf("ktest: %s must be installed in CI", name)
	}
	t.Skipf("ktest: needs %s", name)
}
