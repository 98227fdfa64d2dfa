package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// leakProgram allocates in all ways of libc, and keeps what its functions are named after. It waits for a line before, and for the end of
// its input behind, unless it has an argument.
const leakProgram = `
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
void five_of_16(void) { for (int i = 0; i < 5; i++) malloc(16); }
void three_of_100(void) { for (int i = 0; i < 3; i++) calloc(4, 25); }
void one_million(void) { malloc(1000000); }
void moved_twice(void) { void *p = realloc(realloc(malloc(10), 4000), 2000000); if (realloc(p, -4096UL)) abort(); }
void aligned(void) { void *p; if (posix_memalign(&p, 64, 777)) abort(); aligned_alloc(64, 640); memalign(32, 31); valloc(50); }
void mapped(void) { mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
void nothing(void) {
	for (int i = 0; i < 20; i++) {
		free(malloc(i));
		free(calloc(1, 200000));
		free(realloc(NULL, 33));
		munmap(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	}
}
int main(int argc, char **argv) {
	char c;
	if (argc == 1 && (write(1, "ready\n", 6) != 6 || read(0, &c, 1) != 1)) return 1;
	five_of_16(); three_of_100(); one_million(); moved_twice(); aligned(); mapped(); nothing();
	if (argc == 1 && (write(1, "done\n", 5) != 5 || read(0, &c, 1) != 0)) return 1;
	return 0;
}
`

// TestMemleakKernel: the kernel allocates 16 KB for each pipe of 256 pages, and frees one of three.
func TestMemleakKernel(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Tracepoint, ktest.BTF)
	ktest.Oldest(t)
	w := talkTo(t, "unshare", "-m", ktest.WorkPath(t), "-wait", "-hold", "pipes", "3") // what tells it from others
	w.line()
	s := startSkep(t, "memleak", "-o", "0", "-z", "16384", "-Z", "16384", "--json", "--mntns", w.pid())
	w.say("\n")
	w.hear("done")
	output, exit := s.end(syscall.SIGINT)
	found := 0
	for _, line := range output {
		var left struct {
			Stack              []string
			Bytes, Allocations int
		}
		if err := json.Unmarshal([]byte(line), &left); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if slices.ContainsFunc(left.Stack, func(name string) bool { return strings.HasPrefix(name, "pipe_") }) && left.Bytes == 2*16384 && left.Allocations == 2 {
			found++
		}
	}
	// Where the memory comes from pages at once, these are seen, too. What the program's own maps allocate is passed over.
	stderr := missedLine.ReplaceAllString(s.stderr.String(), "")
	if found == 0 || exit != 0 || stderr != "" {
		t.Errorf("exit code %d\n%s\n%s", exit, strings.Join(output, "\n"), stderr)
	}
}

// TestMemleakBash watches a program that is there in guests, too.
func TestMemleakBash(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Uretprobe, ktest.Bash)
	ktest.Oldest(t)
	s := startSkep(t, "memleak", "-o", "0", "-T", "1", "--json", "-c", "/bin/bash -c :")
	output, exit := s.rest()
	want := regexp.MustCompile(`^{"stack":\[".*"\],"bytes":[1-9]\d*,"allocations":[1-9]\d*}$`)
	if len(output) != 1 || !want.MatchString(output[0]) || exit != 0 || s.stderr.Len() > 0 {
		t.Errorf("exit code %d\n%s\n%s", exit, strings.Join(output, "\n"), s.stderr.String())
	}
}

// TestMemleakNowhere names a library that is not there.
func TestMemleakNowhere(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe)
	ktest.Oldest(t)
	var stdout, stderr bytes.Buffer
	exit := runSkep(t, "", []string{"skep", "memleak", "-c", "/bin/true", "-O", "/no/such/library"}, &stdout, &stderr)
	if stdout.Len() > 0 || exit != 1 || !strings.Contains(stderr.String(), "uprobe:/no/such/library:malloc: there is no file /no/such/library") {
		t.Errorf("exit code %d\n%s%s", exit, stdout.String(), stderr.String())
	}
}

func TestMemleak(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Uretprobe)
	ktest.Oldest(t)
	program := buildC(t, leakProgram)
	const sorted = `	31 bytes in 1 allocations from aligned
	50 bytes in 1 allocations from aligned
	80 bytes in 5 allocations from five_of_16
	300 bytes in 3 allocations from three_of_100
	640 bytes in 1 allocations from aligned
	777 bytes in 1 allocations from aligned
	8192 bytes in 1 allocations from mapped
	1000000 bytes in 1 allocations from one_million
	2000000 bytes in 1 allocations from moved_twice
`
	for _, test := range []struct{ args, want string }{
		{"memleak -p $PID -o 0", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 10 stacks with outstanding allocations:\n" + sorted},
		{"memleak -p $PID --combined-only", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 10 stacks with outstanding allocations:\n" + sorted},
		{"memleak -p $PID -o 0 -T 1 -z 100 -Z 8191 -O libc", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 1 stacks with outstanding allocations:\n" +
			"	777 bytes in 1 allocations from aligned\n"},
		{"memleak -p $PID -o 0 -T 1 --sort count", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 1 stacks with outstanding allocations:\n" +
			"	80 bytes in 5 allocations from five_of_16\n"},
		{"memleak -p $PID -o 3600000", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 10 stacks with outstanding allocations:\n"},
		{"memleak -p $PID -a -o 0 -z 777 -Z 777", "Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 10 stacks with outstanding allocations:\n" +
			"	addr = ADDR size = 777\n	777 bytes in 1 allocations from aligned\n"},
		{"memleak -p $PID -o 0 -Z 17 -s 2 --json", `{"stack":["__libc_start_call_main","main","five_of_16"],"bytes":48,"allocations":3}` + "\n"},
		{"memleak -p $PID -t -z 640 -Z 777", "Attaching to pid $PID, Ctrl+C to quit.\nTIME(s)      COMM             PID     CPU CALL  ADDR             SIZE\n" +
			"program         $PID    alloc ADDR     777\nprogram         $PID    alloc ADDR     640\n"},
		{"memleak -o 0 -T 2 -c " + program + " now", "Attaching to the command, pid $PID, Ctrl+C to quit.\n[TIME] Top 2 stacks with outstanding allocations:\n" +
			"	1000000 bytes in 1 allocations from one_million\n	2000000 bytes in 1 allocations from moved_twice\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := runMemleak(t, program, test.args)
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("without frame pointers", func(t *testing.T) {
		ktest.Need(t, ktest.BTF)
		program := buildC(t, leakProgram, "-Og", "-fno-inline", "-fomit-frame-pointer")
		got := runMemleak(t, program, "memleak -p $PID -o 0 --call-graph dwarf")
		if d := cmp.Diff("Attaching to pid $PID, Ctrl+C to quit.\n[TIME] Top 10 stacks with outstanding allocations:\n"+sorted, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

// ageProgram leaks for more than a second and a half; later() is freed at the end of it.
const ageProgram = `
#include <stdlib.h>
#include <unistd.h>
void *kept[4];
void before(void) { for (int i = 0; i < 7; i++) malloc(48); }
void later(void) { for (int i = 0; i < 4; i++) kept[i] = malloc(72); }
void slowly(void) { for (int i = 0; i < 16; i++) { usleep(100000); malloc(40); free(malloc(40)); } }
void release(void) { for (int i = 0; i < 4; i++) free(kept[i]); }
void behind(void) { for (int i = 0; i < 5; i++) malloc(96); }
int main(void) {
	char c;
	if (write(1, "ready\n", 6) != 6 || read(0, &c, 1) != 1) return 1;
	before(); later(); slowly(); release(); behind();
	if (write(1, "done\n", 5) != 5 || read(0, &c, 1) != 0) return 1;
	return 0;
}
`

// TestMemleakAges watches a program that leaks for a while: at its end, what it allocated first is old, and what it allocated last is not.
func TestMemleakAges(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Uretprobe)
	ktest.Oldest(t)
	program := buildC(t, ageProgram)
	const (
		before, slowly = "	336 bytes in 7 allocations from before\n", "	640 bytes in 16 allocations from slowly\n"
		behind, later  = "	480 bytes in 5 allocations from behind\n", "	288 bytes in 4 allocations from later\n"
	)
	for _, test := range []struct{ args, had, left string }{
		{"memleak -p $PID -o 0 1", later, before + behind + slowly},
		{"memleak -p $PID --combined-only 1", later, before + behind + slowly},
		{"memleak -p $PID -o 0 -z 41 -Z 95 1", later, before},
		{"memleak -p $PID -o 0 -z 41", "", before + behind},
		{"memleak -p $PID -o 0 -Z 47", "", slowly},
		{"memleak -p $PID -o 1500 -z 41 1", "", before},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := runMemleak(t, program, test.args)
			blocks := strings.Split(got, "[TIME] Top 10 stacks with outstanding allocations:\n")
			if d := cmp.Diff(test.left, blocks[len(blocks)-1]); d != "" || !strings.Contains(got, test.had) {
				t.Errorf("want once: %s(-want +got at the end)\n%s\n%s", test.had, d, got)
			}
		})
	}
}

// runMemleak gives a tool's output beside the program: with the innermost function of each stack alone, and without what differs from run to run.
func runMemleak(t *testing.T, program, args string) string {
	t.Helper()
	words := strings.Fields(args)
	var output []string
	var s *tracer
	if i := strings.Index(args, "-c "); i >= 0 {
		s = startSkep(t, append(strings.Fields(args[:i]), "-c", args[i+3:])...)
		var exit int
		if output, exit = s.rest(); exit != 0 {
			t.Errorf("exit code %d", exit)
		}
	} else {
		p := talkTo(t, program)
		p.hear("ready")
		for i, w := range words {
			words[i] = strings.ReplaceAll(w, "$PID", p.pid())
		}
		s = startSkep(t, words...)
		p.say("\n")
		p.hear("done")
		var exit int
		if output, exit = s.end(syscall.SIGINT); exit != 0 {
			t.Errorf("exit code %d", exit)
		}
	}
	if s.stderr.Len() > 0 {
		t.Errorf("stderr: %s", s.stderr.String())
	}
	text := strings.Join(append(s.early, output...), "\n") + "\n"
	for _, r := range []struct{ pattern, by string }{
		{`\[\d\d:\d\d:\d\d\]`, "[TIME]"},
		{`from stack\n\t\t(\w+)\+0x[0-9a-f]+ \[program\]\n\t\tmain\+0x[0-9a-f]+ \[program\]\n(\t\t.*\n)*`, "from $1\n"},
		{`(pid |program +)\d+`, "${1}$$PID"},
		{`addr = [0-9a-f]+`, "addr = ADDR"},
		{`(?m)^\d+\.\d{6} +(program +) (\$PID) +\d+ +alloc [0-9a-f]+ +`, "${1}${2}    alloc ADDR     "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}
