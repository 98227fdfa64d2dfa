package symbol

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const goUnwindProgram = `package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"syscall"
)

//go:noinline
func halt(n int) int {
	fmt.Println("ready", syscall.Gettid())
	_, _, e := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(syscall.Getpid()), uintptr(syscall.Gettid()), uintptr(syscall.SIGSTOP))
	return n + int(e)
}

type byHalt []int

func (b byHalt) Len() int           { return len(b) }
func (b byHalt) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b byHalt) Less(i, j int) bool { return halt(b[i]) < b[j] }

//go:noinline
func recurse(n int) int {
	var room [40]int
	room[n%40] = n
	if n == 0 {
		v := byHalt{3, 2, 1}
		sort.Sort(v)
		return v[0]
	}
	return recurse(n-1) + room[n%40]
}

func main() {
	runtime.LockOSThread()
	done := make(chan int)
	go func() {
		runtime.LockOSThread()
		done <- recurse(len(os.Args) + 4)
	}()
	<-done
}
`

// Go's own linker makes .debug_frame, and all functions keep a frame pointer; one of the two is enough.
func TestUnwindGo(t *testing.T) {
	for _, tt := range []struct{ name, flags string }{
		{"debug information", ""},
		{"debug information not packed", "-compressdwarf=false"},
		{"stripped", "-s -w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, buildGo(t, goUnwindProgram, "-ldflags="+tt.flags))
			var tid int
			if _, err := fmt.Sscanf(c.line, "ready %d", &tid); err != nil {
				t.Fatal(c.line)
			}
			waitForStop(t, c.pid()) // before, the thread may be anywhere in the runtime
			tr := attach(t, c.pid(), tid)
			p := NewProcesses(ProcessesOptions{})
			defer p.Close()
			addrs, err := unwindNow(t, p, c, tr, 32<<10)
			got := names(p.Symbols(c.pid(), addrs))
			text := strings.Join(got, " ")
			// The leaf has no frame pointer yet: without a table, its caller is left out.
			if tt.flags != "-s -w" && !strings.Contains(text, "linux.Syscall6 syscall.RawSyscall6 syscall.") {
				t.Errorf("the leaf's caller is missing: %s", text)
			}
			// How much of sort is inlined is the compiler's choice.
			outer := strings.Repeat("main.recurse ", 6) + "main.main.func1 runtime.goexit"
			if err != nil || !strings.Contains(text, " main.halt main.(*byHalt).Less sort.") || !strings.HasSuffix(strings.TrimSuffix(text, ".abi0"), outer) {
				t.Errorf("%v: %s", err, text)
			}
		})
	}
}

const jitUnwindProgram = stopHere + `
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#define APART __attribute__((noinline, noclone, used))

APART int halt(int n) { printf("ready\n"); fflush(stdout); STOP(); return n + 1; }

// push %rbp; mov %rsp,%rbp; sub $0x40,%rsp; call *%rsi; leave; ret
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x40, 0xff, 0xd6, 0xc9, 0xc3};

APART int enter(int (*f)(int, int (*)(int)), int n) { return f(n, halt) + 1; }

int main(int argc, char **argv) {
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page + 64, code, sizeof code);
	return enter((int (*)(int, int (*)(int)))(page + 64), argc) + 1;
}
`

// Code that is made at run time has no tables; the frame pointer leads through it to code that has.
func TestUnwindJIT(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("its machine code is of x86-64")
	}
	c := start(t, compile(t, "gcc", ".c", jitUnwindProgram, "-O2", "-fomit-frame-pointer"))
	tr := seize(t, c.pid())
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	addrs, err := unwindNow(t, p, c, tr, 8<<10)
	if err != nil {
		t.Error(err)
	}
	got := names(p.Symbols(c.pid(), addrs))
	if len(got) != 7 || !strings.HasPrefix(got[1], "0x") {
		t.Fatal(got)
	}
	got[1] = "…"
	if err := matchNames([]string{"halt", "…", "enter"}, got); err != nil {
		t.Error(err)
	}
}

// A thread begins in the code that made it.
func TestUnwindThread(t *testing.T) {
	program := compile(t, "gcc", ".c", stopHere+`
#include <pthread.h>
#include <stdio.h>
static __attribute__((noinline, noclone)) long work(long n) {
	printf("%d\n", gettid());
	fflush(stdout);
	STOP();
	return n + 1;
}
static void *begin(void *p) { return (void *)(work((long)p) + 1); }
int main(void) {
	pthread_t t;
	void *r;
	pthread_create(&t, 0, begin, 0);
	pthread_join(t, &r);
	return r == 0;
}`, "-O2", "-fomit-frame-pointer", "-pthread")
	c := start(t, program)
	tid, err := strconv.Atoi(c.line)
	if err != nil {
		t.Fatal(err)
	}
	waitForStop(t, c.pid())
	tr := attach(t, c.pid(), tid)
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	addrs, err := unwindNow(t, p, c, tr, 32<<10)
	got := names(p.Symbols(c.pid(), addrs))
	if err != nil || len(got) < 4 || !slices.Equal(got[:2], []string{"work", "begin"}) || !strings.Contains(got[len(got)-1], "clone") {
		t.Errorf("%v: %v", err, got)
	}
}

// Files that our own root does not have, or nobody has any more.
func TestUnwindElsewhere(t *testing.T) {
	program := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-static", "-mavx")
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) *child
	}{
		{"deleted", func(t *testing.T) *child {
			path := filepath.Join(t.TempDir(), "program")
			run(t, "cp", program, path)
			c := start(t, path, "sorted")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return c
		}},
		{"chroot", func(t *testing.T) *child {
			dir := t.TempDir()
			run(t, "cp", program, filepath.Join(dir, "inside"))
			return startWith(t, &syscall.SysProcAttr{Chroot: dir}, "/inside", "sorted")
		}},
		{"mount namespace", func(t *testing.T) *child {
			return start(t, "unshare", "-m", "sh", "-c",
				"mount -t tmpfs none /mnt && cp "+program+" /mnt/program && exec /mnt/program sorted")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.start(t)
			tr := seize(t, c.pid())
			p := NewProcesses(ProcessesOptions{})
			defer p.Close()
			if err := p.Snapshot(c.pid()); err != nil {
				t.Fatal(err)
			}
			want := c.addresses(t)
			regs, stack := tr.regs, tr.stack(32<<10)
			if tt.name == "chroot" { // a snapshot is enough
				if err := c.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				p.Exit(c.pid())
			}
			got, err := p.Unwind(nil, c.pid(), &regs, stack, 100)
			if err != nil || len(got) < 4 || !slices.Equal(got[1:], want[1:]) {
				t.Errorf("%v: %v", err, names(p.Symbols(c.pid(), got)))
			}
		})
	}
}

// What is unwound again takes no memory.
func TestUnwindAllocates(t *testing.T) {
	program := compile(t, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-mavx")
	for _, way := range []string{"recurse", "signalled"} {
		t.Run(way, func(t *testing.T) {
			c := start(t, program, way)
			tr := seize(t, c.pid())
			p := NewProcesses(ProcessesOptions{})
			defer p.Close()
			stack := tr.stack(32 << 10)
			dst, err := unwindNow(t, p, c, tr, 32<<10)
			if err != nil {
				t.Fatal(err)
			}
			n := testing.AllocsPerRun(1000, func() {
				dst, err = p.Unwind(dst[:0], c.pid(), &tr.regs, stack, 1000)
			})
			if n != 0 || err != nil {
				t.Errorf("%v allocations, %v", n, err)
			}
		})
	}
}

func BenchmarkUnwind(b *testing.B) {
	program := compile(b, "gcc", ".c", unwindProgram, "-O2", "-fomit-frame-pointer", "-mavx")
	for _, cold := range []bool{false, true} {
		b.Run(map[bool]string{false: "seen", true: "new"}[cold], func(b *testing.B) {
			c := start(b, program, "recurse")
			tr := seize(b, c.pid())
			p := NewProcesses(ProcessesOptions{})
			defer p.Close()
			stack := tr.stack(32 << 10)
			dst, err := unwindNow(b, p, c, tr, 32<<10)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					for _, e := range p.objects.entries {
						if f := e.object.frames; f != nil {
							f.known = nil
						}
					}
				}
				dst, _ = p.Unwind(dst[:0], c.pid(), &tr.regs, stack, 1000)
			}
			different := slices.Compact(slices.Clone(dst))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/frame")
			b.ReportMetric(float64(len(different)), "places")
		})
	}
}
