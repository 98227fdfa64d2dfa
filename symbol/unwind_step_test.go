package symbol

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stepProgram goes through much of libc and libstdc++ between its stop and finish. Lazy binding takes it through the PLT and the
// dynamic linker.
const stepProgram = stopHere + `
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <setjmp.h>
#include <stdexcept>
#include <string>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#define APART __attribute__((noinline, noclone, used))
static volatile int sink;

extern "C" APART int leaf(int n) { return n * 3 + sink; }
extern "C" APART void finish(void) { sink = 0; }
static void handler(int) { sink = sink + leaf(2); }
static void handler_elsewhere(int) { sink = sink + leaf(3); }
static char elsewhere[16384 + 8192];

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static jmp_buf back;
APART void jump(int n) { if (n) jump(n - 1); else longjmp(back, 1); }
APART int thrower(int n) {
	std::string s(n, 'x');
	if (n > 7) throw std::runtime_error(s);
	return thrower(n + 7) + s.size();
}
APART int grow(int n) {
	char *room = (char *)__builtin_alloca(n);
	memset(room, n, n);
	return n ? grow(n / 2) + room[n - 1] : leaf(1);
}
APART long many(long a, long b, long c, long d, long e, long f, long g, long h) {
	long r = leaf(a) + leaf(b);
	if (c) r += leaf(d) * many(a, b, c - 1, d, e, f, g, h);
	return r + e + f + g + h;
}

int main(int argc, char **argv) {
	printf("ready\n");
	fflush(stdout);
	struct sigaction a = {};
	a.sa_handler = handler;
	sigaction(SIGUSR1, &a, 0);
	STOP();
	int v[40];
	for (int i = 0; i < 40; i++) v[i] = i * 7919 % 41;
	qsort(v, 40, sizeof v[0], compare);
	many(1, 2, 3, 4, 5, 6, 7, 8);
	grow(300);
	char text[200];
	sink = snprintf(text, sizeof text, "%d %s %.3f %lx", argc, argv[0], sqrt(argc + 1.5), (long)v[3]);
	sink = sink + strlen(text) + (strstr(text, "zz") != nullptr) + memcmp(text, text + 1, 20) + strtol("123", 0, 10);
	free(realloc(malloc(100), 100000));
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	struct timeval tv;
	gettimeofday(&tv, 0);
	raise(SIGUSR1);
	stack_t other = {};
	other.ss_sp = elsewhere;
	other.ss_size = sizeof elsewhere;
	sigaltstack(&other, 0);
	a.sa_handler = handler_elsewhere;
	a.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &a, 0);
	raise(SIGUSR2);
	if (!setjmp(back)) jump(3);
#ifndef QUIET
	try { thrower(1); } catch (std::exception &e) { sink = sink + strlen(e.what()); }
#endif
	std::map<int, std::string> m;
	for (int i = 0; i < 5; i++) m[v[i]] = std::to_string(i);
	sink = sink + m.size() + atoi("77") + leaf(9);
	finish();
	return 0;
}
`

// call is a frame that is known from watching the thread: where the return address is, and what it is.
type call struct{ slot, ip uint64 }

// shadow is the stack of calls by what each instruction did, with nothing of the program's tables.
type shadow struct {
	calls []call // outermost first
	sp    uint64
	ip    uint64
}

// note follows one instruction, or a signal that came with it.
func (s *shadow) note(tr *tracee, signalled bool) {
	ip, sp := tr.ip(), tr.sp()
	var top [8]byte
	tr.mem.ReadAt(top[:], int64(sp))
	returns := binary.LittleEndian.Uint64(top[:])
	// This holds for the stack for signals as well, which lies below the other.
	for len(s.calls) > 0 && s.calls[len(s.calls)-1].slot < sp {
		s.calls = s.calls[:len(s.calls)-1]
	}
	switch {
	case signalled:
		s.calls = append(s.calls, call{s.sp - 1, s.ip}, call{sp, returns})
	case sp == s.sp-8 && returns-s.ip-2 < 14:
		s.calls = append(s.calls, call{sp, returns})
	}
	s.ip, s.sp = ip, sp
}

// stack returns the calls, innermost first, up to one whose return address the program has overwritten (as libgcc does on
// its way to a landing pad).
func (s *shadow) stack(stack UserStack) (ips []uint64, whole bool) {
	ips = []uint64{s.ip}
	for _, c := range slices.Backward(s.calls) {
		// Odd slots are of signals, which have no return address in one place.
		if now, ok := stack.load(c.slot, 8); ok && now != c.ip && c.slot%8 == 0 {
			return ips, false
		}
		ips = append(ips, c.ip)
	}
	return ips, true
}

// At each single instruction, in prologues, PLT stubs, the dynamic linker, signal handlers and exceptions, the stack is the
// one of the calls that were made.
func TestUnwindEachInstruction(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("knows the call instructions of x86-64 only")
	}
	for _, tt := range []struct {
		name  string
		flags []string
	}{
		{"lazy", []string{"-O2", "-fomit-frame-pointer", "-Wl,-z,lazy"}},
		// QUIET is without exceptions: the first exception of a static program sorts all tables, in millions of steps.
		{"static", []string{"-Os", "-fomit-frame-pointer", "-static", "-DQUIET"}},
		{"frame pointers", []string{"-O1", "-fno-omit-frame-pointer", "-fcf-protection", "-Wl,-z,now", "-DQUIET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := compile(t, "g++", ".cc", stepProgram, tt.flags...)
			c := start(t, program)
			tr := seize(t, c.pid())
			p := NewProcesses(ProcessesOptions{})
			defer p.Close()
			watch(t, p, c, tr)
		})
	}
}

func watch(t *testing.T, p *Processes, c *child, tr *tracee) {
	first, err := unwindNow(t, p, c, tr, 8<<10)
	if err != nil || len(first) < 3 {
		t.Fatalf("%#x: %v", first, err)
	}
	s := shadow{ip: tr.ip(), sp: tr.sp()}
	stack := tr.stack(8 << 10)
	at := 0
	for _, ip := range first[1:] {
		for binary.LittleEndian.Uint64(stack.Bytes[at:]) != ip {
			at += 8
		}
		s.calls = append([]call{{stack.Addr + uint64(at), ip}}, s.calls...)
		at += 8
	}
	leaf := uint64(0)
	seen := make(map[string]bool)
	var dst []uint64
	steps, injected, wrong, overwritten := 0, 0, 0, 0
	signal := unix.Signal(0)
	for {
		next := tr.step(t, signal)
		s.note(tr, signal != 0)
		if signal = next; next != 0 {
			if next == unix.SIGSTOP {
				signal = 0 // of attaching
			}
			continue // it comes with the next step; the thread has not moved
		}
		steps++
		stack := tr.stack(16 << 10)
		dst, err = p.Unwind(dst[:0], c.pid(), &tr.regs, stack, 1000)
		want, whole := s.stack(stack)
		here := p.Symbol(c.pid(), tr.ip())
		ok := err == nil && slices.Equal(dst, want)
		switch {
		case tr.sp() < s.calls[0].slot-1<<20:
			// What lies behind the signal is not in the piece.
			ok = err == UnwindStackShort && len(dst) > 1 && slices.Equal(dst, want[:min(len(dst), len(want))])
			seen["another stack"] = true
		case !whole:
			ok = len(dst) >= len(want) && slices.Equal(dst[:len(want)], want)
			overwritten++
		case here.Name == "__longjmp" && !ok:
			// On its way it is described as called from where it goes to.
			i := min(2, len(dst))
			ok = err == nil && p.Symbol(c.pid(), dst[i-1]).Name == "main" && slices.Equal(dst[i:], want[max(len(want)-len(dst[i:]), 0):])
		}
		if !ok {
			// On its way to a landing pad libgcc overwrites what its own frame has saved, and goes there with a stack pointer
			// that gcc does not describe.
			landing := slices.IndexFunc(want, func(ip uint64) bool { return strings.HasPrefix(p.Symbol(c.pid(), ip).Name, "_Unwind_R") })
			if ok = landing >= 0 && len(dst) > landing && slices.Equal(dst[:landing+1], want[:landing+1]); ok {
				overwritten++
			}
		}
		if !ok {
			t.Errorf("step %d: %v\nwant %v\ngot  %v", steps, err, strs(p.Symbols(c.pid(), want)), strs(p.Symbols(c.pid(), dst)))
			wrong++
		}
		if wrong > 10 {
			t.Fatal("…")
		}
		if here.Name == "finish" {
			break
		}
		seen[here.Bare()], seen[here.Module] = true, true
		if here.Name == "leaf" && here.Offset == 0 {
			leaf++
			if leaf == 3 {
				signal = unix.SIGUSR1 // in place of the step's own: it interrupts leaf before its first instruction
				injected++
			}
		}
	}
	t.Logf("%d steps, %d of them with an overwritten stack", steps, overwritten)
	if overwritten > steps/50 {
		t.Errorf("in %d of %d steps the stack had been overwritten", overwritten, steps)
	}
	if steps < 10000 || injected != 1 {
		t.Errorf("%d steps, %d signals injected", steps, injected)
	}
	for _, name := range []string{"leaf", "handler(int)", "compare(void const*, void const*)", "another stack", "[vdso]"} {
		if !seen[name] {
			t.Errorf("never came through %s", name)
		}
	}
}
