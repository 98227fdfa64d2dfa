package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
	"skep/probe"
)

// tracepoints gives up to n system call tracepoints.
func tracepoints(t testing.TB, n int) []probe.Point {
	t.Helper()
	names, err := new(probe.Tracefs).List("events/syscalls")
	if err != nil {
		t.Skip(err)
	}
	var points []probe.Point
	for _, name := range names {
		if strings.HasPrefix(name, "sys_enter_") && len(points) < n {
			points = append(points, syscallPoint(name)...)
		}
	}
	return points
}

// programGone reports whether the kernel has freed a program.
func programGone(id uint32) bool {
	fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &struct{ id, _, _ uint32 }{id: id})
	if err == nil {
		unix.Close(fd)
	}
	return errors.Is(err, unix.ENOENT)
}

func programID(t testing.TB, fd int) uint32 {
	t.Helper()
	var info [256]byte
	attr := struct {
		fd, size uint32
		info     *[256]byte
	}{uint32(fd), uint32(len(info)), &info}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err != nil {
		t.Fatal(err)
	}
	return native32(info[4:])
}

// await polls for what the kernel does in its own time.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestManyTracepoints: to let go of many perf events must not keep the user waiting, and no program may run after Disable.
func TestManyTracepoints(t *testing.T) {
	ktest.Need(t, ktest.Root)
	points := tracepoints(t, 400)
	start := time.Now()
	lap := func(what string) time.Duration {
		d := time.Since(start)
		t.Logf("%s: %v", what, d)
		start = time.Now()
		return d
	}
	s := load(t, map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.TracePoint, os.Getpid(), 0)},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: points}}, testOptions())
	lap("load")
	attachAll(t, s)
	attaching := lap(fmt.Sprintf("attach %d", len(points)))
	getppid(10)
	lap("work")
	s.Disable()
	if d := lap("disable"); d > 20*time.Millisecond {
		t.Errorf("Disable took %v", d)
	}
	counted := s.State()[0]
	getppid(10)
	if now := s.State()[0]; counted < 10 || now != counted {
		t.Errorf("counted %d, %d after Disable", counted, now)
	}
	lap("check")
	s.Close()
	// An emulated machine is slow at all of it; the kernel's own way takes a hundred times as long as attaching.
	if d := lap("close"); d > max(50*time.Millisecond, attaching) {
		t.Errorf("Close took %v", d)
	}
}

// TestRelease: what Close leaves to others is released in the end.
func TestRelease(t *testing.T) {
	ktest.Need(t, ktest.Root)
	s := load(t, map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.TracePoint, os.Getpid(), 0)},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: tracepoints(t, 5)}}, testOptions())
	attachAll(t, s)
	id := programID(t, s.(*session).programs["p"].fd)
	s.Close()
	await(t, "freeing the program", func() bool { return programGone(id) })
}

// TestKilled: nothing stays attached when the tracer is killed.
func TestKilled(t *testing.T) {
	ktest.Need(t, ktest.Root)
	if os.Getenv("KERNEL_TEST_VICTIM") != "" {
		victim(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "KERNEL_TEST_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	var ids []uint32
	for lines.Scan() {
		var id uint32
		if n, _ := fmt.Sscanf(lines.Text(), "program %d", &id); n == 1 {
			ids = append(ids, id)
		}
		if lines.Text() == "attached" {
			break
		}
	}
	if len(ids) != 3 {
		t.Fatalf("the victim has programs %v", ids)
	}
	for _, id := range ids {
		if programGone(id) {
			t.Fatalf("program %d does not exist", id)
		}
	}
	cmd.Process.Kill()
	for _, id := range ids {
		await(t, "freeing the program", func() bool { return programGone(id) })
	}
}

func victim(t *testing.T) {
	s := load(t, map[string]*ebpf.ProgramSpec{
		"a": countProgram(ebpf.TracePoint, os.Getpid(), 0),
		"b": countProgram(ebpf.RawTracepoint, os.Getpid(), 1),
		"c": countProgram(ebpf.PerfEvent, os.Getpid(), 2),
	}, []probe.Attach{
		{Program: "a", How: probe.TracepointPerf, Points: tracepoints(t, 10)},
		{Program: "b", How: probe.RawTP, Target: "sys_enter"},
		{Program: "c", How: probe.PerfClock, Points: []probe.Point{{Kind: probe.Profile, Name: "profile:hz:99", Frequency: 99}}},
	}, testOptions())
	attachAll(t, s)
	for _, p := range s.(*session).programs {
		fmt.Printf("program %d\n", programID(t, p.fd))
	}
	fmt.Println("attached")
	select {}
}

// BenchmarkStart is what a tiny program costs from nothing to its first event.
func BenchmarkStart(b *testing.B) {
	ktest.Need(b, ktest.Root)
	for _, how := range []probe.How{probe.RawTP, probe.BTFTP} {
		spec := countProgram(ebpf.RawTracepoint, os.Getpid(), 0)
		if how == probe.BTFTP {
			spec.Type, spec.AttachType, spec.AttachTo = ebpf.Tracing, ebpf.AttachTraceRawTp, "sys_enter"
		}
		for _, pages := range []int{64, 0} {
			b.Run(fmt.Sprintf("how=%d/ring=%d", how, pages), func(b *testing.B) {
				var load, attach, disable, close time.Duration
				opt := testOptions()
				opt.RingPages = pages
				for b.Loop() {
					t0 := time.Now()
					s, err := New().Load(&ebpf.CollectionSpec{Maps: testMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": spec}},
						[]probe.Attach{{Program: "p", How: how, Target: "sys_enter"}}, opt)
					if err != nil {
						b.Fatal(err)
					}
					t1 := time.Now()
					if _, _, err := s.Attach(context.Background()); err != nil {
						b.Fatal(err)
					}
					t2 := time.Now()
					s.Disable()
					t3 := time.Now()
					s.Close()
					load, attach, disable, close = load+t1.Sub(t0), attach+t2.Sub(t1), disable+t3.Sub(t2), close+time.Since(t3)
				}
				n := float64(b.N) * 1e3
				b.ReportMetric(float64(load)/n, "load-µs")
				b.ReportMetric(float64(attach)/n, "attach-µs")
				b.ReportMetric(float64(disable)/n, "disable-µs")
				b.ReportMetric(float64(close)/n, "close-µs")
			})
		}
	}
}
