package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// hotProgram waits for a byte and is busy for as many milliseconds as its argument says: in functions without frame pointers, or in
// code that it makes itself, as a JIT compiler does; or sleeps a tenth of a second. Its file has no other way to the caller than .eh_frame.
const hotProgram = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#define APART __attribute__((noinline, noclone))

static double now(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static volatile unsigned long sink;
APART unsigned long leaf(unsigned long n) { for (unsigned long i = 0; i < n; i++) sink += i * i; return sink; }
APART unsigned long middle(unsigned long n) { unsigned long r = leaf(n); return r + 1; }
APART unsigned long outer(unsigned long n) { unsigned long r = middle(n) ^ 2; return r + middle(n / 7); }
APART unsigned long doze(unsigned long us) { usleep(us); return sink; }
APART __attribute__((noreturn)) void stay(double end) { do leaf(100000); while (now() < end); exit(0); }
APART void last(double end) { stay(end); } /* its call is its last instruction: where that would return to, another function begins */
APART void next(void) { sink++; }
APART unsigned long enter(unsigned long (*f)(unsigned long), unsigned long n) { return f(n) + 3; }

static const unsigned char code[] = { /* push %rbp; mov %rsp, %rbp; mov %rdi, %rax; 1: dec %rax; jnz 1b; pop %rbp; ret */
	0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x48, 0xff, 0xc8, 0x75, 0xfb, 0x5d, 0xc3 };

int main(int argc, char **argv) {
	unsigned long (*f)(unsigned long) = outer;
	if (argc > 3) {
		f = doze;
	} else if (argc > 2) {
		void *made = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(made, code, sizeof code);
		char path[64];
		snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
		FILE *map = fopen(path, "w");
		fprintf(map, "%lx %lx made_hot\n", (unsigned long)made, sizeof code);
		fclose(map);
		f = made;
	}
	if (write(1, "ready\n", 6) != 6 || read(0, (char[1]){}, 1) != 1)
		return 1;
	double end = now() + atof(argv[1]) / 1000;
	if (argc > 4)
		last(end), next();
	do {
		enter(f, 100000);
	} while (now() < end);
	return 0;
}
`

// TestStackTools has programs that have ended when the names of their functions are asked for. Each was busy in one stack, which is in
// nearly all of the samples, whole.
func TestStackTools(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Perf, ktest.Uprobe, ktest.BTF)
	ktest.Oldest(t)
	if ktest.Emulated() {
		t.Skip("guests have no compilers")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the program has instructions of amd64")
	}
	dir := t.TempDir()
	build := func(name string, args ...string) string { // -o stands behind the first argument
		t.Helper()
		path := filepath.Join(dir, name)
		cmd := exec.Command(args[0], slices.Concat(args[1:2], []string{"-o", path}, args[2:])...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stdin = strings.NewReader(hotProgram)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return path
	}
	ktest.NeedTool(t, "gcc")
	gcc := func(name string, flags ...string) string {
		return build(name, append([]string{"gcc", "-O2", "-fomit-frame-pointer", "-xc", "-"}, flags...)...)
	}
	plain := gcc("hot")
	inC := `main;enter;outer;middle;leaf`
	for _, test := range []struct {
		name, args string
		command    string
		want       string // the end of most stacks, from the outermost
	}{
		{"gcc -O2", "profile -F 99", plain + " 700", `^_start;.*;` + inC + `$`},
		{"user only", "profile -F 99 -U", plain + " 700", `^_start;.*;` + inC + `$`},
		{"static", "profile -F 99", gcc("still", "-static") + " 700", `^_start;.*;` + inC + `$`},
		{"stripped", "profile -F 99", gcc("bare", "-s") + " 700", `^\[unknown\];__libc_start_main;.*;\[unknown\](;\[unknown\]){4}$`},
		{"does not return", "profile -F 99", gcc("stay", "-falign-functions=1") + " 700 x x x", `^_start;.*;main;last;stay;leaf$`},
		{"by frame pointers", "profile -F 99 --call-graph fp", plain + " 700", `(^|;)leaf$`},
		{"perf map", "profile -F 99", plain + " 700 made", `^_start;.*;main;enter;made_hot$`},
		{"mount namespace", "profile -F 99", "unshare -m sh -c", `^_start;.*;` + inC + `$`},
		{"Go without symbols", "profile -F 99", build("gone", "go", "build", "-ldflags", "-s -w", "../../internal/ktest/work") + " -wait spin 700", `^runtime\.goexit;runtime\.main;main\.main;.*;main\.spin$`},
		{"offcputime", "offcputime --call-graph dwarf -m 50000", plain + " 0 nothing doze", `^_start;.*;main;enter;doze;usleep;.*nanosleep.*$`},
		{"stackcount", "stackcount -U --call-graph dwarf c:usleep", plain + " 0 nothing doze", `^_start;.*;main;enter;doze;usleep$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			words := strings.Fields(test.command)
			if words[0] == "unshare" {
				ktest.NeedTool(t, "unshare")
				words = append(words, "mount -t tmpfs none /mnt && cp "+plain+" /mnt/hot && exec /mnt/hot 700")
			}
			p := talkTo(t, words...)
			t.Cleanup(func() { os.Remove("/tmp/perf-" + p.pid() + ".map") })
			p.line()
			s := startSkep(t, append(strings.Fields(test.args), "--json", "-p", p.pid())...)
			p.say("\n")
			p.end()
			lines, exit := s.end(syscall.SIGINT)
			if exit != 0 || s.stderr.Len() > 0 {
				t.Errorf("exit code %d: %s", exit, s.stderr.String())
			}
			want, all, good := regexp.MustCompile(test.want), 0, 0
			var others []string
			for _, h := range histograms(t, strings.Join(lines, "\n")) {
				all += max(h.Count, 1)
				if stack := strings.Join(h.User, ";"); want.MatchString(stack) {
					good += max(h.Count, 1)
				} else if !slices.Contains(others, stack) {
					others = append(others, stack)
				}
			}
			if good == 0 || strings.HasPrefix(test.args, "profile") && good < all*3/4 {
				t.Errorf("%d of %d stacks match %s; others:\n%s", good, all, test.want, strings.Join(others, "\n"))
			}
		})
	}
}

// TestProfileSamples counts the samples of two seconds at 99 Hertz on a processor that is never idle. The 198th is due 20 ns before the end.
func TestProfileSamples(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Perf, ktest.Work)
	ktest.Oldest(t)
	if ktest.Emulated() {
		t.Skip("the clock of guests stands still at times")
	}
	// skep does not count itself, and is kept away from that processor.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &all)
	if all.Count() == 1 {
		t.Skip("there is no second processor for skep")
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	busy := exec.Command(ktest.WorkPath(t), "spin", "60000")
	if err := errors.Join(unix.SchedSetaffinity(0, &one), busy.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		busy.Process.Kill()
		busy.Wait()
	})
	others := all
	others.Clear(cpu)
	if err := unix.SchedSetaffinity(0, &others); err != nil {
		t.Fatal(err)
	}
	const want, attempts = 198, 3 // where machines share a processor, ticks come late at times
	for attempt := 1; ; attempt++ {
		s := startSkep(t, "profile", "--json", "-F", "99", "-C", strconv.Itoa(cpu), "2")
		lines, exit := s.rest()
		got, found := 0, 0
		for _, h := range histograms(t, strings.Join(lines, "\n")) {
			got += h.Count
			if slices.Contains(h.User, "main.spin") {
				found += h.Count
			}
		}
		if exit != 0 || found == 0 {
			t.Fatalf("%d samples of the program, exit code %d: %s", found, exit, s.stderr.String())
		}
		if got == want {
			return
		}
		if t.Logf("%d samples, not %d", got, want); attempt == attempts {
			t.Fatal("not all samples were counted")
		}
	}
}

// TestCopiesCounted copies stacks faster than they are read: each that is lost is counted, and its key is there all the same.
func TestCopiesCounted(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.RawTracepoint, ktest.BTF)
	ktest.Oldest(t)
	const events = 2000
	w := ktest.StartWork(t, "getppid", strconv.Itoa(events))
	s := startSkep(t, "-q", "-f", "json", "-e", fmt.Sprintf(`config = { perf_rb_pages = 16; print_maps_on_exit = false }
		tracepoint:syscalls:sys_enter_getppid /pid == %d/ { @ran = count(); @n[comm, dw_ustack] = count(); } END { print_folded(@n); print(@ran); }`, w.PID))
	w.Run()
	lines, exit := s.end(syscall.SIGINT)
	all, missed, lost, ran := 0, 0, 0, 0
	for _, h := range histograms(t, strings.Join(lines, "\n")) {
		ran += h.Data.Ran
		all += h.Count
		if slices.Equal(h.User, []string{"[Missed User Stack]"}) {
			missed += h.Count
		}
	}
	if m := regexp.MustCompile(`WARNING: (\d+) stacks of dw_ustack were lost`).FindStringSubmatch(s.stderr.String()); m != nil {
		lost, _ = strconv.Atoi(m[1])
	}
	// In a guest, the kernel may pass over a program that it was in the middle of when another thread got the processor.
	if all != ran || ran != events && !ktest.Emulated() || missed != lost || lost == 0 || exit != 0 {
		t.Errorf("%d stacks of %d runs for %d events, %d of them missed, %d reported as lost, exit code %d: %s", all, ran, events, missed, lost, exit, s.stderr.String())
	}
}

// TestProfileRate: without its only probe, the tool does not go on as if nobody ran.
func TestProfileRate(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Perf)
	ktest.Oldest(t)
	var out, errs bytes.Buffer
	exit := runSkep(t, t.TempDir(), []string{"skep", "profile", "-F", "200000", "-p", "1", "1"}, &out, &errs)
	if exit != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "the kernel refuses this rate") {
		t.Errorf("exit code %d: %s%s", exit, out.String(), errs.String())
	}
}
