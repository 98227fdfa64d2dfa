//go:build linux && amd64

package jit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestArm64 builds the tests of the engines for arm64 and runs them under qemu-aarch64 (Debian's qemu-user).
func TestArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("emulated, it takes half a minute")
	}
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		qemu, err = exec.LookPath("qemu-aarch64-static")
	}
	if err != nil {
		t.Skip("there is no qemu-aarch64 (Debian: qemu-user) to run machine code of arm64")
	}
	for _, pkg := range []string{"../jit", "../interp"} {
		bin := filepath.Join(t.TempDir(), "arm64.test")
		build := exec.Command("go", "test", "-c", "-o", bin, ".")
		build.Dir = pkg
		build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s for arm64: %v\n%s", pkg, err, out)
		}
		run := exec.Command(qemu, bin, "-test.short")
		run.Dir = pkg
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s on arm64: %v\n%s", pkg, err, out)
		}
	}
}
