package kernel

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/internal/ktest"
)

// FuzzForEachRecord: whatever is in a ring, records lie in it.
func FuzzForEachRecord(f *testing.F) {
	f.Add(bytes.Repeat([]byte{4, 0, 0, 0, 0, 0, 40, 0}, 8), uint64(32), uint64(64))
	f.Add(bytes.Repeat([]byte{10, 0, 0, 0, 0, 0x40, 88, 0}, 16), uint64(1000), uint64(1088))
	f.Fuzz(func(t *testing.T, data []byte, tail, head uint64) {
		size := 64
		for size*2 <= len(data) {
			size *= 2
		}
		ring := make([]byte, size)
		copy(ring, data)
		var whole []byte
		seen := 0
		forEachRecord(ring, tail&^7, head&^7, &whole, func(record []byte) {
			seen += len(record)
			decodeProcess(record)
		})
		if seen > size {
			t.Errorf("%d bytes of records in a ring of %d", seen, size)
		}
	})
}

// life records what a sink is told of the processes that a test starts.
type life struct {
	mu   sync.Mutex
	told map[int][]string
	lost uint64
}

func (l *life) add(pid int, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[pid] = append(l.told[pid], what)
}

func (l *life) Fork(parent, child int)    { l.add(child, "fork") }
func (l *life) Exec(pid int, comm string) { l.add(pid, "exec "+comm) }
func (l *life) Exit(pid int)              { l.add(pid, "exit") }
func (l *life) Lost(n uint64)             { l.lost += n }
func (l *life) Mmap(pid int, addr, length, pgoff uint64, path string, dev uint64, inode uint64, buildID []byte) {
	if strings.HasPrefix(path, "/") && length > 0 && addr != 0 && (inode != 0 || len(buildID) > 0) {
		l.add(pid, "mmap "+path)
	}
}

func TestTrackProcesses(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Perf)
	w := ktest.StartWork(t, "getppid", "1")
	w.End()
	file, err := filepath.EvalSymlinks(w.Binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, filtered := range []bool{false, true} {
		l := &life{told: map[int][]string{}}
		opt := testOptions()
		opt.TrackProcesses = l
		if filtered {
			opt.PID = unix.Getpid()
		}
		s := load(t, nil, nil, opt)
		attachAll(t, s)
		var pids []int
		w := ktest.StartWork(t, "getppid", "1")
		w.Run()
		w.End()
		pids = append(pids, w.PID)
		for range 20 {
			cmd := exec.Command(w.Binary, "getppid", "1")
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, cmd.Process.Pid)
		}
		s.(host.ProcessSyncer).SyncProcesses()
		l.mu.Lock()
		for _, pid := range pids {
			want := []string{"fork", "exec work", "mmap " + file, "exit"}
			if diff := cmp.Diff(want, l.told[pid]); diff != "" {
				t.Errorf("process %d (filtered: %v): %s", pid, filtered, diff)
			}
		}
		if l.lost != 0 {
			t.Errorf("%d records lost", l.lost)
		}
		l.mu.Unlock()
	}
}
