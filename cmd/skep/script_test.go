package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"skep/internal/ktest"
)

// TestScripts runs testdata/cli: the command line without a kernel's help, so as any user. In a script, skep and bpftrace are links to
// this test binary.
func TestScripts(t *testing.T) {
	ktest.Need(t) // nothing, but no kernel that was made to forbid things
	if ktest.Emulated() {
		t.Skip("guests are slow: the command line is the same on all kernels")
	}
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/cli",
		Deadline: time.Now().Add(time.Minute),
		Setup: func(env *testscript.Env) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			bin := filepath.Join(env.WorkDir, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			for _, name := range []string{"skep", "bpftrace"} {
				if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
					return err
				}
			}
			env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
			env.Setenv("SKEP_TEST_MAIN", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"unhex": writeBytes},
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Getuid() == 0, nil
		},
	})
}

// writeBytes is "unhex FROM TO": it makes a file of bytes that are written in hexadecimal.
func writeBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unhex FROM TO")
	}
	b, err := unhex(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o644))
}
