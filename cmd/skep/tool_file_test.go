package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// TestVfsstatCounts compares all calls of workloads with the sum of what vfsstat shows of them per second.
func TestVfsstatCounts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF, ktest.Work)
	ktest.Oldest(t)
	file := filepath.Join(t.TempDir(), "file")
	type counts struct{ Reads, Writes, Fsyncs, Opens, Creates int }
	for i, test := range []struct {
		job  string
		want counts
	}{
		{"sync " + file, counts{Fsyncs: 3, Opens: 1, Creates: 1}},
		{"write 200 100 " + file, counts{Writes: 200, Opens: 1}},
		{"read 300 10 " + file, counts{Reads: 300, Opens: 1}},
		{"brief " + t.TempDir(), counts{Opens: 8, Creates: 6}},
	} {
		if i > 1 && ktest.Emulated() {
			break
		}
		w := ktest.StartWork(t, strings.Fields(test.job)...)
		s := startSkep(t, "vfsstat", "--json", "-p", strconv.Itoa(w.PID), "1")
		w.Run()
		w.End()
		rest, exit := s.end(syscall.SIGINT)
		if exit != 0 || s.stderr.Len() > 0 {
			t.Errorf("exit code %d: %s", exit, s.stderr.String())
		}
		got := counts{Reads: -1, Writes: -1} // it says when it is done, and waits for the end of its input
		for _, line := range append(s.early, rest...) {
			var row struct {
				Reads   float64 `json:"reads_per_s"`
				Writes  float64 `json:"writes_per_s"`
				Fsyncs  float64 `json:"fsyncs_per_s"`
				Opens   float64 `json:"opens_per_s"`
				Creates float64 `json:"creates_per_s"`
				Seconds float64
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			count := func(sum *int, rate float64) { *sum += int(math.Round(rate * row.Seconds)) }
			count(&got.Reads, row.Reads)
			count(&got.Writes, row.Writes)
			count(&got.Fsyncs, row.Fsyncs)
			count(&got.Opens, row.Opens)
			count(&got.Creates, row.Creates)
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.job, d)
		}
	}
}

// TestCachestatCounts compares with what a workload reads, which is on a disk: in guests, on the null device.
func TestCachestatCounts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF, ktest.Work)
	ktest.Oldest(t)
	const pages = 500
	file := "/dev/nullb0"
	if _, err := os.Stat(file); err != nil {
		file = filepath.Join(t.TempDir(), "pages")
	}
	type counts struct{ Hits, Misses, Dirties int }
	w := ktest.StartWork(t, "cached", file, strconv.Itoa(pages))
	var got struct {
		counts
		HitRatio float64
		Cached   float64 `json:"cached_mb"`
	}
	output := runBeside(t, w, "cachestat --json -p $PID 1000")
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		t.Fatalf("%q: %v", output, err)
	}
	want := counts{Hits: 2 * pages, Misses: pages, Dirties: 30}
	// The process may touch a page of its program for the first time.
	const more = 20
	if got.Hits < want.Hits || got.Hits > want.Hits+more || got.Misses < want.Misses || got.Misses > want.Misses+more || got.Dirties != want.Dirties ||
		got.HitRatio < 65 || got.HitRatio > 68 || got.Cached <= 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestSlabratetopCounts has files opened: for each, the kernel allocates one object, in a cache whose objects have the size that it tells.
func TestSlabratetopCounts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF, ktest.Work)
	ktest.Oldest(t)
	text, err := os.ReadFile("/sys/kernel/slab/filp/slab_size")
	if err != nil {
		t.Skipf("this kernel does not tell the size of its files: %v", err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	const opens, others = 500, 20
	output := runBeside(t, ktest.StartWork(t, "open", strconv.Itoa(opens), "/dev/null"), "slabratetop --json -p $PID -r 100 1000")
	for line := range strings.Lines(output) {
		var row struct {
			Cache         string
			Allocs, Bytes int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil || row.Cache == "" {
			t.Fatalf("%q: %v", line, err)
		}
		if row.Allocs >= opens && row.Allocs <= opens+others && row.Bytes == row.Allocs*size {
			return
		}
	}
	t.Errorf("no cache of %d files of %d bytes:\n%s", opens, size, output)
}

// TestDrsnoopCounts reads more than a control group may keep in memory: the rest has to be freed again by the reader.
func TestDrsnoopCounts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF, ktest.Work)
	ktest.Oldest(t)
	const bytes, limit = 48 << 20, 16 << 20
	file := "/dev/nullb0"
	if _, err := os.Stat(file); err != nil {
		file = filepath.Join(t.TempDir(), "pages")
	}
	w := ktest.StartWork(t, "reclaim", file, strconv.Itoa(bytes), strconv.Itoa(limit))
	output := runBeside(t, w, "drsnoop -m -T -U -v --json -n work -p $PID")
	freed := 0
	for line := range strings.Lines(output) {
		var row struct {
			Time  float64 `json:"time_s"`
			UID   int
			Comm  string
			PID   int
			Lat   float64 `json:"lat_ms"`
			Free  float64 `json:"free_kb"`
			Pages int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if row.Time <= 0 || row.Comm != "work" || row.PID != w.PID || row.Lat <= 0 || row.Free <= 0 {
			t.Errorf("%s", line)
		}
		freed += row.Pages
	}
	if least, most := (bytes-limit)/os.Getpagesize(), bytes/os.Getpagesize(); freed < least || freed > most+most/4 {
		t.Errorf("%d pages were freed, not %d to %d", freed, least, most)
	}
}

// TestOpensnoopNowhere has names that no directory can be put before: there is none, or no name.
func TestOpensnoopNowhere(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint, ktest.BTF)
	ktest.Oldest(t)
	program := buildC(t, `#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
int main(void) {
	int ends[2], proc = open("/proc", O_RDONLY), file = open("/proc/version", O_RDONLY);
	pipe(ends);
	openat(999, "one", 0);
	openat(-5, "two", 0);
	openat(0x7fffffff, "three", 0);
	openat(ends[0], "four", 0);
	openat(file, "five", 0);
	openat(999, "/six", 0);
	openat(999, (char *)8, 0);
	openat(AT_FDCWD, (char *)8, 0);
	openat(AT_FDCWD, "", 0);
	openat(proc, "seven", 0);
	openat(AT_FDCWD, "eight", 0);
}`)
	dir := t.TempDir()
	var out, errs bytes.Buffer
	exit := runSkep(t, dir, []string{"skep", "opensnoop", "-F", "-x", "-n", "program", "--exec", "sh", "-c", "cd " + dir + " && exec " + program}, &out, &errs)
	var got []string
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) > 3 && words[1] == "program" {
			got = append(got, strings.Join(words[3:], " "))
		}
	}
	want := []string{"9 one", "9 two", "9 three", "20 four", "20 five", "2 /six", "14", "14", "2", "2 /proc/seven", "2 " + dir + "/eight"}
	if d := cmp.Diff(want, got); d != "" || exit != 0 || errs.Len() > 0 {
		t.Errorf("exit code %d: %s (-want +got)\n%s", exit, errs.String(), d)
	}
}
