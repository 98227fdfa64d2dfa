package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// measureMachine has the tests of package vm measure what the machine costs: loops in machine code and in the interpreter beside those that
// gcc -O2 makes, look-ups in hash maps beside those in Go's, how long the garbage collector waits for a program and for a loop of Go's,
// helpers, and runs that do nothing.
func measureMachine(tool, *tool) (mine, other []value, err error) {
	cmd := exec.Command("go", "test", "-count", "1", "-p", "1", "-run", "Table", "-v", "./vm/jit", "./vm/maps", "./vm")
	cmd.Env = append(os.Environ(), "SKEP_BENCH=1", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("measuring: %w: %s", err, out)
	}
	var alone []value
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 5 || fields[0] != "BENCH" {
			continue
		}
		v := value{name: "machine: " + fields[1], unit: fields[3]}
		if v.n, err = strconv.ParseFloat(fields[2], 64); err != nil {
			return nil, nil, fmt.Errorf("reading %q: %w", line, err)
		}
		v.bar, v.limit = machineBars(fields[1])
		if fields[4] == "" {
			alone = append(alone, v)
			continue
		}
		peer, err := strconv.ParseFloat(fields[4], 64)
		if err != nil {
			return nil, nil, fmt.Errorf("reading %q: %w", line, err)
		}
		mine, other = append(mine, v), append(other, value{n: peer})
	}
	return append(mine, alone...), other, nil
}

// machineBars are what a measurement may be beside its peer's, and at most; 0 for none.
func machineBars(name string) (bar, limit float64) {
	switch name {
	case "jit, alu loop", "jit, mod loop", "jit, mem loop":
		return 1.1, 0
	// What the interpreter of the prototype took, which was twice as fast as ubpf's; of memory, with checks.
	case "interp, alu loop":
		return 0, 13
	case "interp, mod loop":
		return 0, 12.7
	case "interp, mem loop":
		return 0, 11.5
	case "JIT: helper call":
		return 0, 5
	case "JIT: entering and leaving":
		return 0, 30
	case "longest garbage collection beside a program":
		return 0, 20
	}
	if strings.HasPrefix(name, "look-up") {
		return 1.5, 0
	}
	return 0, 0
}
