package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"skep/internal/ktest"
)

// controlGroups is the root of the control groups of version 2.
func controlGroups(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
			return root
		}
	}
	t.Skip("no control groups of version 2")
	return ""
}

// TestContainerFilters has the same done in a container, as far as tools can tell, and outside.
func TestContainerFilters(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	id := "5ce9" + strings.Repeat("0", 50) + strconv.Itoa(1e9+os.Getpid())
	group := filepath.Join(controlGroups(t), "docker-"+id+".scope")
	below := filepath.Join(group, "init")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Skip("no control group can be made: ", err)
	}
	t.Cleanup(func() {
		os.Remove(below)
		os.Remove(group)
	})
	for _, test := range []struct{ name, args string }{
		{"path", "opensnoop --cgroup " + group},
		{"path from the root", "opensnoop --cgroup " + filepath.Base(group) + "/init"},
		{"container", "opensnoop --container " + id[:12]},
		{"execsnoop", "execsnoop -c " + below},
		{"another task", "runqlat --json -m --cgroup " + group},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Fields(test.args)
			job := []string{"open", "3", "/no/such/file"}
			switch args[0] {
			case "execsnoop":
				job = []string{"exec", "3", "/bin/true"}
			case "runqlat":
				job = []string{"nanosleep", "3", "100"}
			}
			inside, outside := ktest.StartWork(t, job...), ktest.StartWork(t, job...)
			if err := os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(strconv.Itoa(inside.PID)), 0); err != nil {
				t.Fatal(err)
			}
			s := startSkep(t, args...)
			outside.Run()
			inside.Run()
			output, exit := s.end(syscall.SIGINT)
			inside.End()
			text := strings.Join(append(s.early, output...), "\n")
			good := strings.Count(text, "/no/such/file") == 3
			switch args[0] {
			case "execsnoop":
				good = strings.Count(text, "/bin/true") == 3
			case "runqlat": // the threads of Go's runtime sleep, too
				good = total(t, text) >= 3
			}
			if !good || exit != 0 || s.stderr.Len() > 0 {
				t.Errorf("%q: exit code %d\n%s\n%s", args, exit, text, s.stderr.String())
			}
			if args[0] == "opensnoop" && strings.Contains(text, " "+strconv.Itoa(outside.PID)+" ") {
				t.Errorf("what was done outside is shown:\n%s", text)
			}
		})
		if ktest.Emulated() {
			break
		}
	}
}

// TestMountNamespaceFilter shows what is done in the mount namespace of a process, and not in ours.
func TestMountNamespaceFilter(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	ktest.NeedTool(t, "unshare")
	inside := talkTo(t, "unshare", "-m", ktest.WorkPath(t), "-wait", "-hold", "open", "3", "/no/such/file")
	inside.line()
	outside := ktest.StartWork(t, "open", "3", "/no/such/file")
	s := startSkep(t, "opensnoop", "--mntns", inside.pid())
	outside.Run()
	inside.say("\n")
	inside.hear("done")
	output, exit := s.end(syscall.SIGINT)
	if text := strings.Join(output, "\n"); strings.Count(text, "/no/such/file") != 3 || exit != 0 {
		t.Errorf("exit code %d\n%s%s", exit, text, s.stderr.String())
	}
}

// TestExecsnoopProcess has a process that starts a program, and becomes another.
func TestExecsnoopProcess(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF)
	ktest.Oldest(t)
	p := talkTo(t, "/bin/sh", "-c", "echo ready; read x; /bin/true child; exec /bin/true itself")
	p.hear("ready")
	s := startSkep(t, "execsnoop", "-p", p.pid())
	p.say("\n")
	p.end()
	output, exit := s.end(syscall.SIGINT)
	if text := strings.Join(output, "\n"); strings.Count(text, "\n") != 0 || !strings.HasSuffix(text, "/bin/true itself") || exit != 0 {
		t.Errorf("exit code %d\n%s\n%s", exit, text, s.stderr.String())
	}
}
