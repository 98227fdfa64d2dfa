package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"skep/internal/ktest/matrix"
)

// runTests runs the matrix. Without the archive or the emulator it says so and passes, but not in CI.
func runTests(ctx context.Context, args []string) error {
	flags, kernels, additions := newFlags("run")
	m := matrix.Matrix{Progress: os.Stderr}
	flags.StringVar(&m.Run, "run", "", "only tests that match, as of go test -run")
	flags.BoolVar(&m.Short, "short", false, "tell the tests to be short")
	flags.DurationVar(&m.Timeout, "timeout", 15*time.Minute, "for one package on one kernel")
	flags.IntVar(&m.Parallel, "parallel", runtime.NumCPU(), "kernels at a time")
	events := flags.String("json", "", "file for go test -json events, with the kernel's name added")
	if err := flags.Parse(args); err != nil {
		return err
	}
	m.Kernels = kernelList(*kernels, matrix.DefaultKernels())
	m.Additions = *additions
	if m.Patterns = flags.Args(); len(m.Patterns) == 0 {
		m.Patterns = []string{"./..."}
	}
	if *events != "" {
		f, err := os.Create(*events)
		if err != nil {
			return err
		}
		defer f.Close()
		m.Events = io.Writer(f)
	}
	started := time.Now()
	outcome, err := m.Do(ctx)
	if outcome == nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "all kernels took %.0f s\n\n", time.Since(started).Seconds())
	outcome.Print(os.Stdout)
	switch {
	case err != nil:
		return err
	case outcome.Failed(inCI()):
		return errFailed
	case outcome.Empty():
		return fmt.Errorf("no test of %s matches -run %q", strings.Join(m.Patterns, " "), m.Run)
	}
	return nil
}

// listOthers prints the packages that are not for kernels.
func listOthers(ctx context.Context, patterns []string) error {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	_, others, err := matrix.Packages(ctx, patterns)
	if err == nil {
		fmt.Println(strings.Join(others, "\n"))
	}
	return err
}
