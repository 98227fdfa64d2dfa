package ktest

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDecide(t *testing.T) {
	missing := errors.New("no such thing")
	for _, c := range []struct {
		name     string
		kernel   string
		needs    []Feature
		missing  []Feature
		wantSkip string
		wantFail string
	}{
		{name: "all there", kernel: "6.1", needs: []Feature{Kprobe, Fentry}},
		{name: "unknown kernel without a hook", kernel: "", needs: []Feature{Kprobe}, missing: []Feature{Kprobe},
			wantSkip: "kprobe: no such thing"},
		{name: "kernel that may lack it", kernel: "5.10", needs: []Feature{KprobeMulti}, missing: []Feature{KprobeMulti},
			wantSkip: "kprobe_multi: no such thing"},
		{name: "kernel that must have it", kernel: "6.12", needs: []Feature{KprobeMulti}, missing: []Feature{KprobeMulti},
			wantFail: "kernel 6.12 must have kprobe_multi: no such thing"},
		{name: "live kernel without kprobes", kernel: "live", needs: []Feature{Kprobe}, missing: []Feature{Kprobe},
			wantSkip: "kprobe: no such thing"},
		{name: "live kernel without tracefs", kernel: "live", needs: []Feature{Tracefs}, missing: []Feature{Tracefs},
			wantFail: "kernel live must have tracefs: no such thing"},
		{name: "nobody mounted tracefs", kernel: "unprepared", needs: []Feature{Tracefs}, missing: []Feature{Tracefs},
			wantSkip: "tracefs: no such thing"},
		{name: "a failure weighs more than a skip", kernel: "5.10", needs: []Feature{KprobeMulti, Kprobe},
			missing: []Feature{KprobeMulti, Kprobe}, wantFail: "kernel 5.10 must have kprobe: no such thing"},
		{name: "variant not asked for", kernel: "6.12+lockdown=confidentiality", needs: []Feature{Kprobe},
			missing: []Feature{Kprobe}, wantSkip: "not meant for a kernel with lockdown=confidentiality"},
		{name: "variant asked for", kernel: "6.12+lockdown=confidentiality",
			needs: []Feature{Option("lockdown=confidentiality"), Root}},
		{name: "variant that was not booted so", kernel: "6.12+lockdown=confidentiality",
			needs:    []Feature{Option("lockdown=confidentiality")},
			missing:  []Feature{Option("lockdown=confidentiality")},
			wantFail: "kernel 6.12+lockdown=confidentiality must have kernel option lockdown=confidentiality: no such thing"},
		{name: "option on a plain kernel", kernel: "6.12", needs: []Feature{Option("lockdown=confidentiality")},
			missing:  []Feature{Option("lockdown=confidentiality")},
			wantSkip: "kernel option lockdown=confidentiality: no such thing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			skip, fail := decide(c.kernel, c.needs, func(f Feature) error {
				for _, m := range c.missing {
					if f == m {
						return missing
					}
				}
				return nil
			})
			if skip != c.wantSkip || fail != c.wantFail {
				t.Errorf("skip %q, fail %q; want %q, %q", skip, fail, c.wantSkip, c.wantFail)
			}
		})
	}
}

// TestMust is the matrix's own health: every hook that a kernel must have works there.
func TestMust(t *testing.T) {
	kernel := runningKernel()
	if kernel == "" {
		t.Skip("ktest: a person's own kernel must have nothing")
	}
	if option, variant := strings.CutPrefix(kernel, "6.12+"); variant {
		Need(t, Option(option))
	}
	for _, f := range Must(kernel) {
		t.Run(strings.ReplaceAll(string(f), "/", "_"), func(t *testing.T) {
			if err := probed(f); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKernelIsTheNamedOne(t *testing.T) {
	kernel, _, _ := strings.Cut(runningKernel(), "+")
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	switch kernel {
	case "", "live", "unprepared":
		t.Skip("ktest: the live kernel may be any")
	case "newest":
		if major, _ := version(release); major < 7 {
			t.Errorf("the newest kernel is %s", release)
		}
	default:
		if !strings.HasPrefix(release, kernel+".") {
			t.Errorf("kernel %s is %s", kernel, release)
		}
	}
}

func TestLockdown(t *testing.T) {
	Need(t, Option("lockdown=confidentiality"), Root)
	if err := probe(Kprobe); !errors.Is(err, os.ErrPermission) {
		t.Errorf("attaching a kprobe under lockdown: %v", err)
	}
}

func TestWorkload(t *testing.T) {
	Need(t, Work)
	file := t.TempDir() + "/honey"
	w := StartWork(t, "-comm=forager", "write", "3", "5", file)
	if st, err := os.Stat(file); err == nil {
		t.Fatalf("the work began before it was let go: %v", st)
	}
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(w.PID) + "/comm")
	if err != nil {
		t.Fatal(err)
	}
	if string(comm) != "forager\n" {
		t.Errorf("comm %q", comm)
	}
	w.Run()
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != 15 {
		t.Errorf("%d bytes written, want 15", st.Size())
	}
	if err := unix.Kill(w.PID, 0); err != nil {
		t.Errorf("gone before its end: %v", err)
	}
	w.End()
	if err := unix.Kill(w.PID, 0); err == nil {
		t.Error("still there after its end")
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string][2]int{
		"6.1.0-50-cloud-amd64":       {6, 1},
		"7.2.13+deb14-cloud-amd64":   {7, 2},
		"6.12.107+deb13-cloud-amd64": {6, 12},
		"5.10":                       {5, 10},
		"6":                          {6, 0},
	} {
		if major, minor := version(text); [2]int{major, minor} != want {
			t.Errorf("version(%q) = %d, %d; want %v", text, major, minor, want)
		}
	}
}
