package symbol

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const cProgram = `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static __attribute__((noinline)) int hidden(int n) { return n ? n + 1 : getpid(); }
__attribute__((noinline)) int visible(int n) { return hidden(n) + 2; }

int main(void) {
	printf("%p %p %p\n", (char *)hidden + 1, (char *)visible + 2, (char *)main + 3);
	fflush(stdout);
	visible(getchar());
	return 0;
}
`

var cNames = []string{"hidden+1", "visible+2", "main+3"}

func TestOwnProcess(t *testing.T) {
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	pc, _, _, _ := runtime.Caller(0)
	exe, _ := os.Executable()
	got := p.Symbol(os.Getpid(), uint64(pc))
	if got.Name != "skep/symbol.TestOwnProcess" || got.Offset == 0 || got.Module != exe {
		t.Errorf("%v of %s", got, got.Module)
	}
	maps, err := ReadMaps(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range maps {
		if m.Path != "[vdso]" {
			continue
		}
		found := 0
		for a := m.Start; a < m.End; a += 16 {
			if s := p.Symbol(os.Getpid(), a); s.Found() {
				found++
				if s.Module != "[vdso]" {
					t.Errorf("%v of %s", s, s.Module)
				}
			}
		}
		if found == 0 {
			t.Error("no names in the vdso")
		}
	}
	stack := 0
	for _, m := range maps {
		if m.Path == "[stack]" || m.Path == "[heap]" {
			if s := p.Symbol(os.Getpid(), m.Start); s.Found() || s.Module != m.Path {
				t.Errorf("%v of %q in %s", s, s.Module, m.Path)
			}
			stack++
		}
	}
	if stack == 0 {
		t.Error("no stack")
	}
	if s := p.Symbol(os.Getpid(), 0x10); s.Found() || s.Perf() != "10 0x10 ([unknown])" || s.Bare() != "0x10" {
		t.Errorf("%v, %s", s, s.Perf())
	}
}

// Each way to run and to lose a program.
func TestProcessNames(t *testing.T) {
	program := compile(t, "gcc", ".c", cProgram, "-O1")
	static := compile(t, "gcc", ".c", cProgram, "-O1", "-static", "-no-pie")
	root := os.Getuid() == 0
	tests := []struct {
		name string
		skip bool
		// start starts it; then its addresses are asked, and once more after it exited.
		start  func(t *testing.T) *child
		module string
	}{
		{name: "pie", start: func(t *testing.T) *child { return start(t, program) }, module: program},
		{name: "static", start: func(t *testing.T) *child { return start(t, static) }, module: static},
		{name: "deleted", skip: !root, module: "program", start: func(t *testing.T) *child {
			path := filepath.Join(t.TempDir(), "program")
			run(t, "cp", static, path)
			c := start(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return c
		}},
		{name: "replaced", skip: !root, module: "program", start: func(t *testing.T) *child {
			path := filepath.Join(t.TempDir(), "program")
			run(t, "cp", static, path)
			c := start(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			run(t, "cp", program, path)
			return c
		}},
		{name: "chroot", skip: !root, module: "/inside", start: func(t *testing.T) *child {
			dir := t.TempDir()
			run(t, "cp", static, filepath.Join(dir, "inside"))
			return startWith(t, &syscall.SysProcAttr{Chroot: dir}, "/inside")
		}},
		{name: "mount namespace", skip: !root, module: "/mnt/program", start: func(t *testing.T) *child {
			return start(t, "unshare", "-m", "sh", "-c",
				"mount -t tmpfs none /mnt && cp "+static+" /mnt/program && exec /mnt/program")
		}},
	}
	for _, tt := range tests {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/snapshot=%v", tt.name, early), func(t *testing.T) {
				if tt.skip {
					t.Skip("needs root")
				}
				c := tt.start(t)
				p := NewProcesses(ProcessesOptions{})
				defer p.Close()
				check := func(when string) {
					t.Helper()
					got := p.Symbols(c.pid(), c.addresses(t))
					if d := cmp.Diff(cNames, strs(got)); d != "" {
						t.Errorf("%s (-want +got):\n%s", when, d)
					}
					if !strings.HasSuffix(got[0].Module, tt.module) || strings.Contains(got[0].Module, deleted) {
						t.Errorf("%s: module %q, want %q", when, got[0].Module, tt.module)
					}
				}
				if early {
					if err := p.Snapshot(c.pid()); err != nil {
						t.Fatal(err)
					}
				} else {
					check("while it runs")
				}
				c.stop()
				check("after it exited")
			})
		}
	}
}

// Without a word before, an exited process has no names, and nothing goes wrong.
func TestUnknownProcess(t *testing.T) {
	c := start(t, compile(t, "gcc", ".c", cProgram))
	c.stop()
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	for _, s := range p.Symbols(c.pid(), c.addresses(t)) {
		if s.Found() || s.String() != s.Hex() || s.Module != "[unknown]" {
			t.Errorf("%v of %s", s, s.Module)
		}
	}
}

func TestLibraryLoadedLater(t *testing.T) {
	library := compile(t, "gcc", ".c", "int in_library(int n) { return n + 1; }", "-shared", "-fPIC")
	program := compile(t, "gcc", ".c", `
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
	printf("%p\n", (char *)main); fflush(stdout);
	getchar();
	void *l = dlopen(argv[1], RTLD_NOW);
	printf("%p\n", (char *)dlsym(l, "in_library") + 1); fflush(stdout);
	getchar();
	getchar();
}`, "-ldl")
	c := start(t, program, library)
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	if got := strs(p.Symbols(c.pid(), c.addresses(t))); got[0] != "main+0" {
		t.Error(got)
	}
	fmt.Fprintln(c.stdin)
	c.next(t)
	if got := strs(p.Symbols(c.pid(), c.addresses(t))); got[0] != "in_library+1" {
		t.Error(got)
	}
}

const jitProgram = `
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
	char *code = mmap(0, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
	char path[64];
	snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
	FILE *f = fopen(path, "w");
	fprintf(f, "%lx 40 LazyCompile:~old x.js:1\n", (long)code);
	fprintf(f, "%lx 40 LazyCompile:*fast\x1b[31m x.js:1\n", (long)code);
	fprintf(f, "garbage\n%lx 40 other\n%lx 10 unfinished", (long)code + 64, (long)code + 128);
	fclose(f);
	printf("%p %p %p\n", code + 5, code + 64, code + 130);
	fflush(stdout);
	getchar();
	unlink(path);
}`

func TestPerfMap(t *testing.T) {
	program := compile(t, "gcc", ".c", jitProgram)
	check := func(t *testing.T, p *Processes, c *child, pid int) {
		t.Helper()
		addrs := c.addresses(t)
		want := []string{"LazyCompile:*fast?[31m x.js:1+5", "other+0", fmt.Sprintf("%#x", addrs[2])}
		if d := cmp.Diff(want, strs(p.Symbols(pid, addrs))); d != "" {
			t.Error(d)
		}
	}
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	t.Run("host", func(t *testing.T) {
		c := start(t, program)
		check(t, p, c, c.pid())
		c.stop()
		check(t, p, c, c.pid())
	})
	t.Run("pid namespace", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("needs root")
		}
		c := startWith(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}, program)
		if _, err := os.Stat("/tmp/perf-1.map"); err != nil {
			t.Fatal(err)
		}
		check(t, p, c, c.pid())
	})
	t.Run("another user's", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("needs root")
		}
		c := start(t, program)
		if err := os.Chown(fmt.Sprintf("/tmp/perf-%d.map", c.pid()), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Symbols(c.pid(), c.addresses(t)) {
			if s.Found() {
				t.Error(s)
			}
		}
	})
}

// The records of perf alone are enough, whatever /proc says by then.
func TestProcessEvents(t *testing.T) {
	library := compile(t, "gcc", ".c", "int in_library(int n) { return n + 1; }", "-shared", "-fPIC")
	static := compile(t, "gcc", ".c", cProgram, "-static", "-no-pie")
	e, err := OpenELF(library)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := e.Lookup("in_library")
	if err != nil {
		t.Fatal(err)
	}
	mapping := func(path string, at uint64) Mapping {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return Mapping{
			Start: at, End: at + 0x4000, Offset: 0, Dev: st.Dev, Inode: st.Ino, Path: path, Executable: true,
		}
	}
	addr := 0x7f0000000000 + f.Offset
	// No process has these.
	const parent, child, last = 1 << 29, 1<<29 + 1, 1<<29 + 2
	p := NewProcesses(ProcessesOptions{MaxExited: 2})
	defer p.Close()
	p.Exec(parent, "parent")
	p.Mmap(parent, mapping(library, 0x7f0000000000))
	p.Fork(parent, parent) // a thread
	p.Fork(parent, child)
	p.Mmap(child, mapping(static, 0x7f0000000000+f.Offset&^0xfff)) // over a part of it
	if s := p.Symbol(parent, addr+1); s.String() != "in_library+1" {
		t.Errorf("parent: %v", s)
	}
	if s := p.Symbol(child, addr+1); s.Module != static {
		t.Errorf("child: %v of %s", s, s.Module)
	}
	p.Exec(child, "other")
	if p.Comm(child) != "other" || p.Comm(parent) != "parent" {
		t.Error(p.Comm(child), p.Comm(parent))
	}
	p.Fork(parent, last)
	for _, pid := range []int{parent, child, last} {
		p.Exit(pid)
	}
	if s := p.Symbol(last, addr+1); s.String() != "in_library+1" {
		t.Errorf("exited: %v", s)
	}
	if s := p.Symbol(child, addr+1); s.Module != static {
		t.Errorf("before exec: %v of %s", s, s.Module)
	}
	// Two are kept: the third to exit pushed the first out.
	if s := p.Symbol(parent, addr+1); s.Found() {
		t.Errorf("forgotten: %v", s)
	}
	if n := p.exited.Len(); n > 2 || len(p.byPid) != n {
		t.Errorf("%d exited, %d in all", n, len(p.byPid))
	}
}

// Two programs at the same addresses, one after the other in the same process, which nobody told of.
func TestExecUnnoticed(t *testing.T) {
	const source = `
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int NAME(int n) { return n + 1; }
int main(int argc, char **argv) {
	printf("%p\n", NAME); fflush(stdout);
	getchar();
	if (argc > 1) execv(argv[1], argv + 1);
	return NAME(argc);
}`
	first := compile(t, "gcc", ".c", source, "-no-pie", "-DNAME=first")
	second := compile(t, "gcc", ".c", source, "-no-pie", "-DNAME=second")
	c := start(t, first, second)
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	before := c.addresses(t)
	if got := strs(p.Symbols(c.pid(), before)); got[0] != "first+0" {
		t.Error(got)
	}
	fmt.Fprintln(c.stdin)
	c.next(t)
	if after := c.addresses(t); after[0] != before[0] {
		t.Fatalf("%#x, %#x: the test needs the same address", before, after)
	}
	if got := strs(p.Symbols(c.pid(), before)); got[0] != "second+0" {
		t.Error(got)
	}
}

func TestProcessBuildID(t *testing.T) {
	program := compile(t, "gcc", ".c", cProgram, "-Wl,--build-id=0x0123456789abcdef")
	c := start(t, program)
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	e, err := OpenELF(program)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want, err := e.Lookup("visible")
	if err != nil {
		t.Fatal(err)
	}
	id, offset, ok := p.BuildID(c.pid(), c.addresses(t)[1])
	if id != "0123456789abcdef" || offset != want.Offset+2 || !ok || e.BuildID() != id {
		t.Errorf("%s, %#x, %v; want offset %#x", id, offset, ok, want.Offset+2)
	}
	if id, offset, ok := p.BuildID(c.pid(), 0x10); ok {
		t.Error(id, offset)
	}
}

func TestSnapshotAll(t *testing.T) {
	c := start(t, compile(t, "gcc", ".c", cProgram))
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	if err := p.Snapshot(); err != nil {
		t.Log(err) // not all can be read without privileges
	}
	c.stop()
	if d := cmp.Diff(cNames, strs(p.Symbols(c.pid(), c.addresses(t)))); d != "" {
		t.Error(d)
	}
}

func TestDemangling(t *testing.T) {
	cpp := `
#include <cstdio>
namespace ns { template <class T> struct box { __attribute__((noinline)) void put(T, int) { getchar(); } }; }
int main() {
	auto f = &ns::box<long>::put;
	printf("0x%lx\n", *(unsigned long *)&f);
	fflush(stdout);
	(ns::box<long>().*f)(1, 2);
}`
	rust := `
use std::io::*;
mod deep { #[inline(never)] pub fn inner(n: u64) -> u64 { std::hint::black_box(n) + 1 } }
fn main() {
	println!("{:#x}", deep::inner as *const () as usize);
	stdout().flush().unwrap();
	deep::inner(stdin().bytes().count() as u64);
}`
	tests := []struct {
		name, compiler, extension, source string
		flags                             []string
		want, mangled                     string
	}{
		{"C++", "g++", ".cc", cpp, nil, "ns::box<long>::put(long, int)+0", "_ZN2ns3boxIlE3putEli+0"},
		{"Rust legacy", "rustc", ".rs", rust, []string{"-Ccodegen-units=1"}, "program::deep::inner+0", ""},
		{"Rust v0", "rustc", ".rs", rust, []string{"-Csymbol-mangling-version=v0"}, "program::deep::inner+0", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, compile(t, tt.compiler, tt.extension, tt.source, tt.flags...))
			plain, mangled := NewProcesses(ProcessesOptions{}), NewProcesses(ProcessesOptions{KeepMangled: true})
			defer plain.Close()
			defer mangled.Close()
			for range 2 { // the second time from the cache
				if got := plain.Symbols(c.pid(), c.addresses(t))[0].String(); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
			got := mangled.Symbols(c.pid(), c.addresses(t))[0]
			if tt.mangled != "" && got.String() != tt.mangled || got.Name != "" && !isMangled(got.Name) {
				t.Errorf("mangled: %v", got)
			}
		})
	}
}

// Whatever is asked, the tables and the files held stay within the bounds that were stated.
func TestBounds(t *testing.T) {
	p := NewProcesses(ProcessesOptions{MaxFiles: 2, MaxBytes: 1 << 20})
	defer p.Close()
	for range 3 {
		for i := range 4 {
			c := start(t, compile(t, "gcc", ".c", cProgram, fmt.Sprintf("-DN=%d", i)))
			if d := cmp.Diff(cNames, strs(p.Symbols(c.pid(), c.addresses(t)))); d != "" {
				t.Error(d)
			}
			if n := p.objects.lru.Len(); n > 2 {
				t.Errorf("%d files", n)
			}
		}
	}
	if p.objects.bytes < 0 || p.objects.bytes > 1<<20 {
		t.Errorf("%d bytes", p.objects.bytes)
	}
}

// A FIFO where a program was must not block.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	done := make(chan error, 1)
	go func() { _, err := OpenELF(path); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("opened")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("blocked")
	}
}

func BenchmarkSymbol(b *testing.B) {
	p := NewProcesses(ProcessesOptions{})
	defer p.Close()
	pc, _, _, _ := runtime.Caller(0)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Symbol(os.Getpid(), uint64(pc)).Found() {
			b.Fatal("not found")
		}
	}
}

// The first name of a file, with the reading of its table.
func BenchmarkFirstSymbol(b *testing.B) {
	path, err := FindLibrary("libc")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := OpenELF(path)
		if err != nil {
			b.Fatal(err)
		}
		if f, err := e.Lookup("malloc"); err != nil || !e.Symbol(f.Offset+1).Found() {
			b.Fatal(f, err)
		}
		e.Close()
	}
}

func BenchmarkSnapshotAll(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p := NewProcesses(ProcessesOptions{})
		p.Snapshot()
		p.Close()
	}
}
