package main

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skep/internal/ktest"
)

// TestBareRoot runs skep where there is nothing but itself: no /proc, no /sys.
func TestBareRoot(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	if ktest.Has(ktest.Option("lockdown=confidentiality")) {
		t.Skip("tracefs is empty under lockdown=confidentiality")
	}
	dir := bareRoot(t)
	for _, test := range []struct {
		name   string
		args   []string
		stdout string
		stderr string // a part of it; "" if all is well
	}{
		{"tracepoint", []string{"-e", `tracepoint:sched:sched_switch { @[probe] = 1; exit(); }`}, "@[tracepoint:sched:sched_switch]: 1\n", ""},
		{"glob", []string{"-l", `tracepoint:sched:sched_swit*`}, "tracepoint:sched:sched_switch\n", ""},
		{"child", []string{"-c", "/skep", "-e", `BEGIN { }`}, "", "starting /skep: -c needs /proc, which is not mounted"},
		{"types", []string{"-e", `fentry:vfs_read { }`}, "", "/sys/kernel/btf/vmlinux, which describes the kernel's types, cannot be read: /sys is not mounted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			cmd := exec.CommandContext(t.Context(), "/skep", append([]string{"-q"}, test.args...)...)
			cmd.Env = []string{"SKEP_TEST_MAIN=1", "NO_COLOR=1"}
			cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &stdout, &stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if strings.Trim(stdout.String(), "\n") != strings.Trim(test.stdout, "\n") {
				t.Errorf("stdout %q, want %q", stdout.String(), test.stdout)
			}
			if (err != nil) != (test.stderr != "") || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("%v: %s", err, stderr.String())
			}
		})
	}
}

// bareRoot makes a directory with the test binary as its only file.
func bareRoot(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := elf.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Skip("the test binary needs shared libraries: build it with CGO_ENABLED=0")
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "skep"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
