package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// The functions that call getppid(2) are mangled as those of C++ and of Rust, old and new.
const namedProgram = `
template <class A> struct box { A a; };
extern "C" {
	long legacy(long) asm("_ZN6farmer4bees5sting17h0123456789abcdefE");
	long v0(long) asm("_RNvNtC6farmer4bees3fly");
}
namespace ns {
	__attribute__((noinline)) long call() {
		long n = 110;
		asm volatile("syscall" : "+a"(n) : : "rcx", "r11", "memory");
		return n;
	}
	template <class T> __attribute__((noinline)) long put(box<T> b, int n) { return legacy(n) + 1; }
}
__attribute__((noinline)) long legacy(long n) { return v0(n) + 1; }
__attribute__((noinline)) long v0(long n) { return ns::call() + n; }
int main() { return ns::put(box<long>{1}, 2) == 0; }
`

// TestNamesAfterExit has programs that end before the names of their functions are asked for: what is printed at the end of the trace.
// Those with another root than skep's were started by a process that lives on, as in a container.
func TestNamesAfterExit(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	if ktest.Emulated() {
		t.Skip("guests have no compilers")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the program has instructions of amd64")
	}
	dir := t.TempDir()
	build := func(t *testing.T, compiler string, args ...string) {
		t.Helper()
		ktest.NeedTool(t, compiler)
		cmd := exec.Command(compiler, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", compiler, args, err, out)
		}
	}
	source := filepath.Join(dir, "named.cc")
	writeFile(t, source, namedProgram)
	compiled := func(t *testing.T, flags ...string) string {
		path := filepath.Join(t.TempDir(), "named")
		build(t, "g++", append([]string{"-O0", "-o", path, source}, flags...)...)
		return path
	}
	mangled := []string{`ns::call\(\)`, `farmer::bees::fly`, `farmer::bees::sting`, `long ns::put<long>\(box<long>, int\)`, `main`}
	for _, test := range []struct {
		name    string
		command func(t *testing.T) string
		names   []string // from the innermost, with others between them or not
	}{
		{"C++ and Rust", func(t *testing.T) string { return compiled(t) }, mangled},
		{"static", func(t *testing.T) string { return compiled(t, "-static") }, mangled},
		{"Go without symbols", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "named")
			build(t, "go", "build", "-ldflags", "-s -w", "-o", path, "skep/internal/ktest/work")
			return path + " getppid 1"
		}, []string{`main\.newJob\.func\d+`, `main\.options\.run`, `main\.main`, `runtime\.main`}},
		{"chroot", func(t *testing.T) string {
			ktest.NeedTool(t, "chroot")
			ktest.NeedTool(t, "/bin/busybox")
			path := compiled(t, "-static")
			root := filepath.Dir(path)
			build(t, "cp", "/bin/busybox", filepath.Join(root, "sh"))
			writeFile(t, filepath.Join(root, "script"), "#!/sh\n/named\nread forever </fifo\n")
			if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			return "chroot " + root + " /script"
		}, mangled},
		{"mount namespace", func(t *testing.T) string {
			ktest.NeedTool(t, "unshare")
			path := compiled(t, "-static")
			script := filepath.Join(filepath.Dir(path), "script")
			writeFile(t, script, "#!/bin/sh\nmount -t tmpfs none /mnt && cp "+path+" /mnt/named && /mnt/named\nmkfifo /mnt/fifo; read forever </mnt/fifo\n")
			return "unshare -m " + script
		}, mangled},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := runSkep(t, dir, []string{"skep", "-q", "-c", test.command(t), "-e",
				`tracepoint:syscalls:sys_enter_getppid /comm == "named"/ { @[ustack] = count(); }
				tracepoint:syscalls:sys_enter_exit_group /comm == "named"/ { @ended = 1; } interval:ms:20 /@ended/ { clear(@ended); exit(); }`}, &stdout, &stderr)
			pattern := `(?s)`
			for _, name := range test.names {
				pattern += `.*\n +` + name + `\+\d+`
			}
			if !regexp.MustCompile(pattern).Match(stdout.Bytes()) || code != 0 || stderr.Len() > 0 {
				t.Errorf("exit code %d, messages %q, no match of %s in:\n%s", code, stderr.String(), pattern, stdout.String())
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
