//go:build linux && (amd64 || arm64)

package jit_test

import (
	"os"
	"strings"
	"testing"

	"skep/vm/engine"
	. "skep/vm/enginetest"
)

// TestMapping looks that no memory of the process can be both written and executed, while there is machine code.
func TestMapping(t *testing.T) {
	m := compiler.Image(t, Program(0, Mov(0, K(1)), Exit()), true)
	if _, err := m.Run(NewThread(t, true), 0, engine.Args{}); err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(fields[1], "w") && strings.Contains(fields[1], "x") {
			t.Errorf("memory is writable and executable: %s", line)
		}
	}
}
