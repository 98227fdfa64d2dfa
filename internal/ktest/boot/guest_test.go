package boot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/internal/ktest/archive"
)

// TestMain lets this binary be the program in a guest that makes it hang.
func TestMain(m *testing.M) {
	if os.Getenv("STARVE") != "" {
		fmt.Println(starve())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// starve keeps all processors from everything else by endless loops that nothing may interrupt.
func starve() error {
	if err := os.WriteFile("/proc/sys/kernel/sched_rt_runtime_us", []byte("-1"), 0); err != nil {
		return err
	}
	failed := make(chan error)
	for range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread()
			if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 99}, 0); err != nil {
				failed <- err
			}
			for spun := 0.0; spun >= 0; spun++ {
			}
		}()
	}
	return <-failed
}

// TestPrograms runs several programs in one boot, as the matrix does.
func TestPrograms(t *testing.T) {
	t.Parallel()
	guest := smallGuest(t)
	script := func(name, text string, limit time.Duration) Program {
		return Program{Name: name, Argv: []string{"/bin/sh", "-c", text}, Timeout: limit}
	}
	guest.Plan.Env = []string{"HIVE=skep"}
	guest.Plan.Modules = []string{"/ktest/nothing.ko"}
	guest.Plan.Programs = []Program{
		script("exit", "printf $HIVE; exit 3", 0),
		script("orphan", "sleep 1000 & echo $! > /tmp/orphan", 0),
		{Name: "lingers", Argv: []string{"/bin/sh", "-c", "sleep 0.3 &"}, Linger: time.Minute},
		{Name: "leaves", Argv: []string{"/bin/sh", "-c", "sleep 1000 &"}, Linger: time.Second},
		script("no orphan", "kill -0 $(cat /tmp/orphan) || echo gone", 0),
		script("signal", "kill -SEGV $$", 0),
		script("slow", "echo sleeping; exec sleep 1000", time.Second),
		{Name: "missing", Argv: []string{"/bin/nothing"}},
		script("clock", "cat /sys/devices/system/clocksource/clocksource0/current_clocksource", 0), // another one takes an emulator long
		script("mounts", "cut -d' ' -f2 /proc/mounts | sort | tr '\\n' ' '; ip addr show lo | grep -c 127.0.0.1", 0),
	}
	outputs, report := runGuest(t, guest)
	want := map[string]string{
		"exit":      "skep[exit 3]",
		"orphan":    "[exit 0]",
		"lingers":   "[exit 0]",
		"leaves":    "it left processes running: N sleep 1000\n[exit 3]",
		"no orphan": "sh: can't kill pid N: No such process\ngone\n[exit 0]",
		"signal":    "[exit 139]",
		"slow":      "sleeping\n[exit 131 timed out]",
		"clock":     "tsc\n[exit 0]",
		"missing":   "starting /bin/nothing: fork/exec /bin/nothing: no such file or directory\n[exit 127]",
		"mounts": "/ /dev /dev/pts /dev/shm /proc /run /sys /sys/fs/bpf /sys/fs/cgroup /sys/kernel/debug " +
			"/sys/kernel/security /sys/kernel/tracing /tmp 1\n[exit 0]",
	}
	outputs["no orphan"] = regexp.MustCompile(`pid \d+`).ReplaceAllString(outputs["no orphan"], "pid N")
	outputs["leaves"] = regexp.MustCompile(`\d+ sleep`).ReplaceAllString(outputs["leaves"], "N sleep")
	if diff := cmp.Diff(want, outputs); diff != "" {
		t.Error(diff)
	}
	if want := "guest: open /ktest/nothing.ko: no such file or directory"; !strings.Contains(report.Console, want) {
		t.Errorf("the console does not have the complaint %q:\n%s", want, report.Console)
	}
	if report.End != EndDone || report.Release != guest.Kernel.Release {
		t.Errorf("%s ended as %q, want %s and %q:\n%s", report.Release, report.End, guest.Kernel.Release, EndDone, report.Console)
	}
}

// TestBadEnds has what a program printed before it took its kernel down, and the kernel's last words.
func TestBadEnds(t *testing.T) {
	for _, c := range []struct {
		name        string
		script      string
		silence     time.Duration
		limit       time.Duration
		timeout     time.Duration
		want        End
		wantConsole string
	}{
		{name: "panic", script: "echo c > /proc/sysrq-trigger",
			want: EndPanic, wantConsole: "Kernel panic - not syncing: sysrq triggered crash"},
		{name: "hang", script: "STARVE=1 exec /bin/starve", silence: 10 * time.Second,
			want: EndHang, wantConsole: "Kernel panic - not syncing: NMI"},
		{name: "limit", script: "exec sleep 1000", limit: 40 * time.Second,
			want: EndLimit, wantConsole: "Kernel panic - not syncing: NMI"},
		// A read from a disk that takes a quarter of an hour cannot be interrupted.
		{name: "stuck", script: "mount -t configfs none /sys/kernel/config && cd /sys/kernel/config/nullb && mkdir slow && cd slow && " +
			"echo 2 > irqmode && echo 900000000000 > completion_nsec && echo 1 > power && exec cat /dev/nullb1", timeout: time.Second,
			want: EndPanic, wantConsole: "guest: a program cannot be killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guest := smallGuest(t)
			guest.Silence, guest.Limit = c.silence, c.limit
			guest.Plan.Programs = []Program{
				{Name: "first", Argv: []string{"/bin/echo", "first"}},
				{Name: "second", Argv: []string{"/bin/sh", "-c", "echo before; " + c.script}, Timeout: c.timeout},
				{Name: "last", Argv: []string{"/bin/echo", "last"}},
			}
			outputs, report := runGuest(t, guest)
			want := map[string]string{"first": "first\n[exit 0]", "second": "before\n"}
			if diff := cmp.Diff(want, outputs); diff != "" {
				t.Error(diff)
			}
			if report.End != c.want || !strings.Contains(report.Console, c.wantConsole) {
				t.Errorf("end %q, want %q with %q on the console:\n%s", report.End, c.want, c.wantConsole, report.Console)
			}
		})
	}
}

// TestAwkwardFolder boots with temporary files in a folder whose name is too long for a socket and has QEMU's separator.
func TestAwkwardFolder(t *testing.T) {
	guest := smallGuest(t)
	folder := filepath.Join(t.TempDir(), "a b,c", strings.Repeat("long", 25))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	guest.Plan.Programs = []Program{{Name: "first", Argv: []string{"/bin/echo", "first"}}}
	outputs, report := runGuest(t, guest)
	if diff := cmp.Diff(map[string]string{"first": "first\n[exit 0]"}, outputs); diff != "" || report.End != EndDone {
		t.Errorf("%s\nend %q: %s", diff, report.End, report.Console)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// runGuest gives each program's output, with its exit behind.
func runGuest(t *testing.T, g Guest) (map[string]string, Report) {
	t.Helper()
	outputs := map[string]string{}
	report, err := g.Run(t.Context(), func(o Output) {
		outputs[o.Program] += string(o.Data)
		if o.Exit != nil {
			note := ""
			if o.Exit.TimedOut {
				note = " timed out"
			}
			outputs[o.Program] += fmt.Sprintf("[exit %d%s]", o.Exit.Code, note)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return outputs, report
}

// smallGuest has the shortest boot: the oldest kernel with busybox and no more.
func smallGuest(t *testing.T) Guest {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	if err := CheckEmulator(t.Context()); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	busybox := needTool(t, "busybox")
	k, err := archive.Fetch(t.Context(), archive.Cache(), "5.10", false, os.Stderr)
	if errors.Is(err, archive.ErrUnavailable) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	init := filepath.Join(t.TempDir(), "init")
	cmd := exec.Command("go", "build", "-o", init, "skep/internal/ktest/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the init: %v\n%s", err, out)
	}
	root := NewRoot()
	for _, name := range []string{"/bin/sh", "/bin/echo", "/bin/sleep"} {
		root.Symlink(name, "busybox")
	}
	if err := root.File("/bin/busybox", busybox); err != nil {
		t.Fatal(err)
	}
	if err := root.Program("/bin/starve", os.Args[0]); err != nil {
		t.Fatal(err)
	}
	return Guest{Kernel: k, Init: init, Root: root}
}
