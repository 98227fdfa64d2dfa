package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"skep/internal/ktest"
)

// TestPinnedMaps lets tools show what is in the maps of another program, which change while they run. The maps are pinned where only the tool sees
// them: the machine's mounts stay as they are.
func TestPinnedMaps(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	inode := func(path string) uint64 {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	group := "/sys/fs/cgroup"
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "0::"); ok {
			rest, _, _ = strings.Cut(rest, "\n")
			group += rest
		}
	}
	for _, test := range []struct {
		flag string
		key  uint64
	}{{"--mntnsmap", inode("/proc/self/ns/mnt")}, {"--cgroupmap", inode(group)}} {
		t.Run(test.flag, func(t *testing.T) {
			if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil && test.flag == "--cgroupmap" {
				t.Skip("no control groups of version 2: ", err)
			}
			pinned, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: 1024})
			if err != nil {
				t.Fatal(err)
			}
			defer pinned.Close()
			s := startPinned(t, pinned, "opensnoop", "-n", "pin-test", test.flag)
			open := func(file string) {
				w := ktest.StartWork(t, "-comm=pin-test", "open", "1", file)
				w.Run()
				w.End()
			}
			open("/no/before")
			if err := pinned.Put(test.key, uint32(0)); err != nil {
				t.Fatal(err)
			}
			open("/no/while")
			if err := pinned.Delete(test.key); err != nil {
				t.Fatal(err)
			}
			open("/no/after")
			output, exit := s.end(syscall.SIGINT)
			if text := strings.Join(output, "\n"); strings.Count(text, "/no/") != 1 || !strings.Contains(text, "/no/while") || exit != 0 {
				t.Errorf("exit code %d\n%s%s", exit, text, s.stderr.String())
			}
		})
	}
}

// TestPinnedMapsWrong names maps that cannot be looked into.
func TestPinnedMapsWrong(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF)
	ktest.Oldest(t)
	for _, test := range []struct {
		spec *ebpf.MapSpec
		want string
	}{
		{&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1}, "ERROR: the map that is pinned at PATH has keys of 4 bytes, not 8\n"},
		{&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}, "ERROR: the map that is pinned at PATH is no hash, but of type Array\n"},
		{nil, "ERROR: opening the map that is pinned at PATH: no such file or directory\n"},
	} {
		var pinned *ebpf.Map
		if test.spec != nil {
			var err error
			if pinned, err = ebpf.NewMap(test.spec); err != nil {
				t.Fatal(err)
			}
			defer pinned.Close()
		}
		s, path := runPinned(t, pinned, "opensnoop", "--mntnsmap")
		for s.lines.Scan() {
			continue
		}
		if err := s.cmd.Wait(); err == nil || strings.ReplaceAll(s.stderr.String(), path, "PATH") != test.want {
			t.Errorf("%v: %s", err, s.stderr.String())
		}
	}
}

// pinnedCommand is skep with mounts of its own, among them one where maps can be pinned. The last argument is a flag: the map's path follows.
func pinnedCommand(t *testing.T, pinned *ebpf.Map, args ...string) (cmd *exec.Cmd, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link, mount := filepath.Join(dir, "skep"), filepath.Join(dir, "maps")
	path = filepath.Join(mount, "map")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("/bin/sh", append([]string{"-c", `mount --make-rprivate / && mount -t bpf bpf "$0" && echo mounted && read line && exec "$@"`, mount, link}, append(args, path)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "__BPFTRACE_NOTIFY_PROBES_ATTACHED=1")
	return cmd, path
}

// pinInto pins the map where the command sees it, and lets it go on.
func pinInto(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner, in io.Writer, pinned *ebpf.Map, path string) {
	t.Helper()
	t.Cleanup(func() { cmd.Process.Kill() })
	if !lines.Scan() || lines.Text() != "mounted" {
		t.Fatal("nothing was mounted")
	}
	if pinned != nil {
		if err := pinned.Pin(fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, path)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
}

// startPinned is startSkep beside a pinned map.
func startPinned(t *testing.T, pinned *ebpf.Map, args ...string) *tracer {
	t.Helper()
	s, _ := runPinned(t, pinned, args...)
	for s.lines.Scan() {
		if s.lines.Text() == "__BPFTRACE_NOTIFY_PROBES_ATTACHED" {
			return s
		}
	}
	s.cmd.Wait()
	t.Fatalf("skep ended: %s", s.stderr.String())
	return nil
}

// runPinned runs skep beside a map that is pinned at the path which it returns.
func runPinned(t *testing.T, pinned *ebpf.Map, args ...string) (s *tracer, path string) {
	t.Helper()
	cmd, path := pinnedCommand(t, pinned, args...)
	s = &tracer{t: t, cmd: cmd}
	cmd.Stderr = &s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.lines = bufio.NewScanner(out)
	pinInto(t, cmd, s.lines, in, pinned, path)
	return s, path
}
