package symbol

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stopHere defines STOP, which stops the thread in the function that it is used in.
const stopHere = `
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __x86_64__
#define STOP() do { \
	long r, pid = getpid(), tid = gettid(); \
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_tgkill), "D"(pid), "S"(tid), "d"(SIGSTOP) : "rcx", "r11", "memory"); \
} while (0)
#else
#define STOP() do { \
	register long a asm("x0") = getpid(), b asm("x1") = gettid(), c asm("x2") = SIGSTOP, n asm("x8") = SYS_tgkill; \
	__asm__ volatile("svc 0" : "+r"(a) : "r"(b), "r"(c), "r"(n) : "memory"); \
} while (0)
#endif
`

// unwindProgram prints the stack as glibc sees it, and waits in a function of its own.
const unwindProgram = stopHere + `
#include <alloca.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APART __attribute__((noinline, noclone, used))
static volatile int sink;

APART int halt(void) {
	void *frames[256];
	int n = backtrace(frames, 256);
	for (int i = 0; i < n; i++)
		printf("%p ", frames[i]);
	printf("\n");
	fflush(stdout);
	STOP();
	return ++sink;
}

APART int recurse(int n) {
	char room[100];
	memset(room, n, sizeof room);
	int r = n ? recurse(n - 1) : halt();
	return r + room[n % 100];
}

APART int dynamic(int n) {
	char *room = alloca(n);
	memset(room, 1, n);
	int vla[n];
	vla[n - 1] = room[n - 1];
	int r = halt();
	return r + vla[n - 1];
}

typedef double wide __attribute__((vector_size(32), aligned(64)));
APART void fill(wide *w) { *w = (wide){1, 2, 3, 4}; }
APART int aligned(int n) {
	wide w;
	fill(&w);
	return halt() + (int)w[n % 4];
}

static int compare(const void *a, const void *b) {
	static int stopped;
	if (!stopped++)
		halt();
	return *(const int *)a - *(const int *)b;
}
APART int sorted(void) {
	int v[] = {3, 1, 2};
	qsort(v, 3, sizeof v[0], compare);
	return v[0] + ++sink;
}

static void handler(int s) { halt(); ++sink; }
static void handler_with(int s, siginfo_t *i, void *u) { halt(); ++sink; }
APART int signalled(int flags) {
	struct sigaction a = {.sa_flags = flags};
	if (flags & SA_SIGINFO)
		a.sa_sigaction = handler_with;
	else
		a.sa_handler = handler;
	sigaction(SIGUSR1, &a, 0);
	raise(SIGUSR1);
	return ++sink;
}
APART int fault(void) {
	struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESETHAND};
	sigaction(SIGSEGV, &a, 0);
	*(volatile int *)8 = 1;
	return ++sink;
}

__attribute__((noreturn, noinline, noclone)) static void last(void) { halt(); _exit(0); }
// The call is the last instruction, so that it returns to behind the function.
APART int ends_in_call(int n) {
	if (n)
		last();
	return ++sink;
}

int main(int argc, char **argv) {
	char *way = argv[1];
	if (!strcmp(way, "recurse")) recurse(60);
	if (!strcmp(way, "dynamic")) dynamic(1000);
	if (!strcmp(way, "aligned")) aligned(2);
	if (!strcmp(way, "sorted")) sorted();
	if (!strcmp(way, "signalled")) signalled(0);
	if (!strcmp(way, "siginfo")) signalled(SA_SIGINFO);
	if (!strcmp(way, "fault")) fault();
	if (!strcmp(way, "last")) ends_in_call(argc);
	return ++sink;
}
`

// unwindNow unwinds a process's main thread, which is stopped.
func unwindNow(t testing.TB, p *Processes, c *child, tr *tracee, bytes int) ([]uint64, error) {
	t.Helper()
	return p.Unwind(nil, c.pid(), &tr.regs, tr.stack(bytes), 1000)
}

func names(symbols []Symbol) []string {
	var out []string
	for _, s := range symbols {
		out = append(out, s.Bare())
	}
	return out
}

// In each way to be somewhere, the stack is the one that glibc's own unwinder finds.
func TestUnwindC(t *testing.T) {
	static := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-static-pie", "-mavx")
	normal := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-mavx")
	stripped := filepath.Join(t.TempDir(), "stripped")
	run(t, "strip", "-o", stripped, normal)
	bare := withoutSections(t, stripped)
	noIndex := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-mavx", "-Wl,--no-eh-frame-hdr")
	repeat := func(s string, n int) []string { return slices.Repeat([]string{s}, n) }
	tests := []struct {
		way  string
		want []string // up to main; "…" is something in libc
	}{
		{"recurse", append([]string{"halt"}, repeat("recurse", 61)...)},
		{"dynamic", []string{"halt", "dynamic"}},
		{"aligned", []string{"halt", "aligned"}},
		{"sorted", []string{"halt", "compare", "…", "sorted"}},
		{"signalled", []string{"halt", "handler", "…", "signalled"}},
		{"siginfo", []string{"halt", "handler_with", "…", "signalled"}},
		{"fault", []string{"halt", "handler", "…", "fault"}},
		{"last", []string{"halt", "last", "ends_in_call"}},
	}
	for _, program := range []struct{ name, path string }{
		{"dynamic", normal}, {"static-pie", static}, {"stripped", stripped}, {"no section headers", bare}, {"no index", noIndex},
	} {
		for _, tt := range tests {
			t.Run(program.name+"/"+tt.way, func(t *testing.T) {
				c := start(t, program.path, tt.way)
				want := c.addresses(t)
				tr := seize(t, c.pid())
				p := NewProcesses(ProcessesOptions{})
				defer p.Close()
				got, err := unwindNow(t, p, c, tr, 32<<10)
				if err != nil {
					t.Error(err)
				}
				if len(got) < 2 || got[0] != tr.ip() {
					t.Fatalf("%#x", got)
				}
				// glibc is in the same function, at another place.
				if program.name != "no index" {
					if d := cmp.Diff(hex(want[1:]), hex(got[1:])); d != "" {
						t.Errorf("glibc has another stack (-glibc +ours):\n%s\n%v", d, names(p.Symbols(c.pid(), got)))
					}
				}
				if program.path == stripped || program.path == bare {
					return
				}
				if err := matchNames(tt.want, names(p.Symbols(c.pid(), got))); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func hex(addrs []uint64) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, fmt.Sprintf("%#x", a))
	}
	return out
}

// matchNames compares names with those wanted, in which "…" stands for any number; main has to follow. Places behind a
// call that is the last instruction of its function have the name of what lies there, so ends_in_call may be any name.
func matchNames(want, got []string) error {
	all := append(slices.Clone(want), "main")
	rest := got
	for i, w := range all {
		switch {
		case w == "…":
			next := slices.Index(rest, all[i+1])
			if next < 1 {
				return fmt.Errorf("no %s in %v", all[i+1], got)
			}
			rest = rest[next:]
		case len(rest) > 0 && (rest[0] == w || w == "ends_in_call" || i > 0 && all[i-1] == "last" || w == "last"):
			rest = rest[1:]
		default:
			return fmt.Errorf("want %v, got %v", all, got)
		}
	}
	if len(rest) == 0 || rest[len(rest)-1] != "_start" {
		return fmt.Errorf("does not reach _start: %v", got)
	}
	return nil
}

// What stops a walk is told, and what was found before is kept.
func TestUnwindStops(t *testing.T) {
	program := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-mavx")
	c := start(t, program, "recurse")
	tr := seize(t, c.pid())
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	full, err := unwindNow(t, p, c, tr, 32<<10)
	if err != nil {
		t.Fatal(err)
	}
	stack := tr.stack(32 << 10)
	unknown := tr.regs
	unknown.Value[x86.ip] = 0x10
	noSP := tr.regs
	noSP.Known &^= 1 << x86.sp
	other := tr.regs
	other.Machine = 3
	tests := []struct {
		name  string
		regs  Registers
		bytes int
		limit int
		want  []uint64
		err   error
	}{
		{name: "limit", regs: tr.regs, bytes: 32 << 10, limit: 5, want: full[:5]},
		{name: "limit 0", regs: tr.regs, bytes: 32 << 10, limit: 0},
		{name: "negative limit", regs: tr.regs, bytes: 32 << 10, limit: -1},
		{name: "no stack", regs: tr.regs, bytes: 0, limit: 100, want: full[:1], err: UnwindStackShort},
		{name: "unmapped", regs: unknown, bytes: 32 << 10, limit: 100, want: []uint64{0x10}, err: UnwindUnmapped},
		{name: "no stack pointer", regs: noSP, bytes: 32 << 10, limit: 100, err: UnwindUnknownRegister},
		{name: "machine", regs: other, bytes: 32 << 10, limit: 100, err: UnwindMachine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.Unwind(nil, c.pid(), &tt.regs, UserStack{stack.Addr, stack.Bytes[:min(tt.bytes, len(stack.Bytes))]}, tt.limit)
			if d := cmp.Diff(hex(tt.want), hex(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
	// Cut anywhere, what there is comes out, and never more.
	last := 0
	for n := 0; n <= len(stack.Bytes); n += 8 {
		got, err := p.Unwind(nil, c.pid(), &tr.regs, UserStack{stack.Addr, stack.Bytes[:n]}, 1000)
		if !slices.Equal(got, full[:len(got)]) || len(got) < last || (len(got) < len(full)) != errors.Is(err, UnwindStackShort) {
			t.Fatalf("%d bytes: %d frames, %v", n, len(got), err)
		}
		last = len(got)
	}
	// After the process ended it goes on, for the stack that was copied.
	regs := tr.regs
	saved := UserStack{stack.Addr, slices.Clone(stack.Bytes)}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	got, err := p.Unwind(nil, c.pid(), &regs, saved, 1000)
	if err != nil || !slices.Equal(got, full) {
		t.Errorf("after it ended: %v\n%v", err, names(p.Symbols(c.pid(), got)))
	}
}

const exceptionProgram = stopHere + `
#include <cstdio>
#include <string>
#include <vector>
struct Guard { std::string s; ~Guard(); };
__attribute__((noinline)) void halt(int n) {
	printf("ready\n");
	fflush(stdout);
	STOP();
	if (n) throw n;
}
__attribute__((noinline)) Guard::~Guard() { halt(0); s += "x"; }
__attribute__((noinline)) int inner(std::vector<int> &v) {
	Guard g{std::string(v.size(), 'a')};
	if (v.size() > 3)
		throw std::string("away");
	return v[0];
}
__attribute__((noinline)) int outer(int n) {
	std::vector<int> v(n);
	try { return inner(v); } catch (std::string &s) { return s.size() + v[0]; }
}
int main(int argc, char **argv) { return outer(argc + 5); }
`

// While an exception unwinds the stack itself, it goes through libgcc and libstdc++, from a cleanup.
func TestUnwindException(t *testing.T) {
	c := start(t, compile(t, "g++", ".cc", exceptionProgram, "-O2", "-fomit-frame-pointer", "-fno-ipa-cp"))
	tr := seize(t, c.pid())
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	addrs, err := unwindNow(t, p, c, tr, 32<<10)
	if err != nil {
		t.Error(err)
	}
	got := names(p.Symbols(c.pid(), addrs))
	text := strings.Join(got, " ")
	for _, want := range []string{"halt(int)", "Guard::~Guard()", "inner(", "outer(int)", "main", "_start"} {
		i := strings.Index(text, want)
		if i < 0 {
			t.Fatalf("no %s in %v", want, got)
		}
		text = text[i:]
	}
}
