package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"skep/vm/engine"
	"skep/vm/memory"
)

// Run is one engine's way to do a loop so many times. It returns how long that took.
type Run func(n int) (time.Duration, error)

// Prepare makes a Run of a loop.
func (e Engine) Prepare(t testing.TB, loop Loop, checked bool) Run {
	m := e.Image(t, loop.Program, checked, loop.Helpers...)
	th := NewThread(t, checked)
	mem := NewBlock(t, LoopMemory)
	if checked {
		th.Space.Add(memory.Region{Base: mem.Base(), Size: LoopMemory, Name: "memory"})
	}
	return func(n int) (time.Duration, error) {
		start := time.Now()
		_, err := m.Run(th, 0, engine.Args{R1: uint64(n), R2: mem.Base()})
		return time.Since(start), err
	}
}

const mainC = `#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
__attribute__((noinline)) static uint64_t helper(uint64_t a) { return a + 1; }
__attribute__((noinline)) static uint64_t loop(uint64_t n, uint64_t *mem) {
	(void)helper; (void)mem;
	%s
}
int main(int argc, char **argv) {
	struct timespec a, b;
	uint64_t *mem = aligned_alloc(4096, %d), n;
	while (scanf("%%lu", &n) == 1) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		volatile uint64_t r = loop(n, mem);
		clock_gettime(CLOCK_MONOTONIC, &b);
		(void)r;
		printf("%%ld\n", (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
		fflush(stdout);
	}
}
`

// PrepareC makes a Run of the same loop in C, by the machine's compiler at -O2.
func PrepareC(t testing.TB, loop Loop) Run {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc to compare with")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "loop.c"), filepath.Join(dir, "loop")
	if err := os.WriteFile(src, fmt.Appendf(nil, mainC, loop.C, LoopMemory), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-O2", "-o", bin, src).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return func(n int) (time.Duration, error) {
		cmd := exec.Command(bin)
		cmd.Stdin = strings.NewReader(strconv.Itoa(n))
		out, err := cmd.Output()
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		return time.Duration(ns), err
	}
}

// Bench reports a Run as a benchmark.
func (r Run) Bench(b *testing.B, loop Loop) {
	b.ReportAllocs()
	b.ResetTimer()
	d, err := r(b.N)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(d.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(d.Nanoseconds())/float64(b.N*loop.Insns), "ns/insn")
}
