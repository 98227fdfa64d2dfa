package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// measureUser compares what the user-space host costs the traced process with what strace costs it: the time that a system call takes
// longer in a tight loop, and that a build of small Go packages takes longer.
func measureUser(ours tool, _ *tool) (mine, other []value, err error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return nil, nil, errors.New("strace (a Debian package) is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	const calls = 30000
	loop := []string{self, "load", "openat", strconv.Itoa(calls), "0", "0"}
	build := []string{"go", "build", "-a", "unicode/utf8", "unicode/utf16"}
	skep := func(command []string) []string {
		return append([]string{ours.path}, "-q", "--host=user", "-o", "/dev/null", "-c", strings.Join(command, " "),
			"-e", `tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args->filename)); }`)
	}
	strace := func(command []string) []string {
		return append([]string{"strace", "-f", "-e", "trace=openat", "-o", "/dev/null"}, command...)
	}
	var a, b [][]value
	for range 7 {
		var times [3]float64
		var walls [3]time.Duration
		for i, argv := range [][]string{loop, skep(loop), strace(loop)} {
			if times[i], err = loopTime(argv); err != nil {
				return nil, nil, err
			}
		}
		for i, argv := range [][]string{build, skep(build), strace(build)} {
			begun := time.Now()
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return nil, nil, fmt.Errorf("%q: %w: %s", argv, err, out)
			}
			walls[i] = time.Since(begun)
		}
		cost := func(i int) []value {
			return []value{
				{name: "user host: openat takes longer by", n: (times[i] - times[0]) / calls * 1e6, unit: "µs", bar: 0.5},
				{name: "user host: go build takes longer by", n: float64((walls[i] - walls[0]).Milliseconds()), unit: "ms", bar: 0.5},
			}
		}
		a, b = append(a, cost(1)), append(b, cost(2))
	}
	return medians(a), medians(b), nil
}

// loopTime is what a load said that it took.
func loopTime(argv []string) (float64, error) {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return 0, fmt.Errorf("%q: %w", argv, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strconv.ParseFloat(line, 64)
}
