package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// row is one comparison; it measures both sides in turn. other is nil without a peer.
type row struct {
	name    string
	peer    func(peers) *tool
	measure func(ours tool, theirs *tool) (mine, other []value, err error)
}

func rows() []row {
	list := []row{
		{"hello", bpftrace, measureHello},
		{"start", bpftrace, measureStart},
		{"all system calls", bpftrace, measureAllSyscalls},
		{"programs", bpftrace, measurePrograms},
		{"events", bpftrace, measureEvents},
		{"increments", bpftrace, measureIncrements},
		{"size", bpftrace, measureSize},
		{"interrupt", bpftrace, measureInterrupt},
		{"user host", alone, measureUser},
		{"machine", alone, measureMachine},
	}
	for _, r := range readyMade() {
		list = append(list, row{"tool " + r.name, r.peer, r.measure})
	}
	return list
}

// usage is what a finished process cost.
type usage struct {
	wall time.Duration
	rss  float64 // MB at most
	out  string
}

// runTool runs a tool to its end.
func runTool(t tool, args ...string) (usage, error) {
	cmd := t.command(args...)
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start), out: out.String()}
	if err != nil {
		return u, fmt.Errorf("%s %q: %w: %s", t.name, args, err, diag.String())
	}
	u.rss = float64(cmd.ProcessState.SysUsage().(*unixRusage).Maxrss) / 1024
	return u, nil
}

// inTurn runs f on both sides n times and gives the medians of each value.
func inTurn(n int, ours tool, theirs *tool, f func(t tool) ([]value, error)) (mine, other []value, err error) {
	var a, b [][]value
	for range n {
		v, err := f(ours)
		if err != nil {
			return nil, nil, err
		}
		a = append(a, v)
		if theirs == nil {
			continue
		}
		if v, err = f(*theirs); err != nil {
			return nil, nil, err
		}
		b = append(b, v)
	}
	return medians(a), medians(b), nil
}

func medians(runs [][]value) []value {
	if len(runs) == 0 {
		return nil
	}
	out := slices.Clone(runs[0])
	for i := range out {
		var ns []float64
		for _, r := range runs {
			ns = append(ns, r[i].n)
		}
		slices.Sort(ns)
		out[i].n = ns[len(ns)/2]
	}
	return out
}

func measureHello(ours tool, theirs *tool) (mine, other []value, err error) {
	return inTurn(9, ours, theirs, func(t tool) ([]value, error) {
		u, err := runTool(t, "-e", `BEGIN { printf("hi\n"); exit(); }`)
		if err == nil && !strings.Contains(u.out, "hi\n") {
			err = fmt.Errorf("%s printed %q", t.name, u.out)
		}
		return []value{
			{name: "hello: wall", n: u.wall.Seconds() * 1000, unit: "ms", bar: 0.1},
			{name: "hello: peak memory", n: u.rss, unit: "MB", bar: 0.1},
		}, err
	})
}

const structScript = `tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", str(args->filename), ((struct task_struct *)curtask)->real_parent->comm); }`

func measureStart(ours tool, theirs *tool) (mine, other []value, err error) {
	return inTurn(9, ours, theirs, func(t tool) ([]value, error) {
		r, err := start(t, "-e", structScript)
		if err != nil {
			return nil, err
		}
		return []value{{name: "start of a script with args and a struct: attached after", n: r.attached.Seconds() * 1000, unit: "ms", bar: 0.1}}, r.stop()
	})
}

func measureAllSyscalls(ours tool, theirs *tool) (mine, other []value, err error) {
	f := func(t tool) ([]value, error) {
		u, err := runTool(t, "-e", `tracepoint:syscalls:sys_enter_* { @[probe] = count(); } interval:s:1 { exit(); }`)
		return []value{
			{name: "all system calls for 1 s: wall", n: u.wall.Seconds(), unit: "s", limit: 1.2},
			{name: "all system calls for 1 s: peak memory", n: u.rss, unit: "MB", limit: 25},
		}, err
	}
	if mine, _, err = inTurn(5, ours, nil, f); err != nil || theirs == nil {
		return mine, nil, err
	}
	_, other, err = inTurn(1, tool{name: "true"}, theirs, func(t tool) ([]value, error) {
		if t.name == "true" {
			return nil, nil
		}
		return f(t)
	})
	return mine, other, err
}

func measureSize(ours tool, _ *tool) (mine, other []value, err error) {
	info, err := os.Stat(ours.path)
	if err != nil {
		return nil, nil, err
	}
	return []value{{name: "the binary", n: float64(info.Size()) / 1e6, unit: "MB", limit: 8}}, nil, nil
}

// measureInterrupt takes the time from SIGINT to the end of the process with 361 tracepoints that need their records.
func measureInterrupt(ours tool, _ *tool) (mine, other []value, err error) {
	for _, script := range []struct{ name, text string }{
		{"raw", `tracepoint:syscalls:sys_enter_* { @[probe] = count(); }`},
		{"perf", `tracepoint:sched:* { @[args.common_pid, probe] = count(); }`},
		{"profile", `profile:hz:99 { @[kstack] = count(); }`},
	} {
		if script.name == "perf" {
			script.text = `tracepoint:sched:sched_*,tracepoint:kmem:* { @[probe] = count(); }`
		}
		r, err := start(ours, "-e", script.text)
		if err != nil {
			return nil, nil, err
		}
		time.Sleep(time.Second) // for something to print
		begun := time.Now()
		if err := r.stop(); err != nil {
			return nil, nil, err
		}
		mine = append(mine, value{name: "interrupt to end, " + script.name, n: time.Since(begun).Seconds() * 1000, unit: "ms", limit: 50})
	}
	return mine, nil, nil
}

// measureIncrements lets all CPUs increment one counter and counts what is missing.
func measureIncrements(ours tool, theirs *tool) (mine, other []value, err error) {
	const perCPU = 300000
	f := func(t tool) ([]value, error) {
		self, _ := os.Executable()
		r, err := start(t, "-e", `tracepoint:syscalls:sys_enter_getpriority { @x++; }`)
		if err != nil {
			return nil, err
		}
		var loads []*exec.Cmd
		for cpu := range onlineCPUs() {
			cmd := exec.Command(self, "load", "getpriority", strconv.Itoa(perCPU), "0", strconv.Itoa(cpu))
			if err := cmd.Start(); err != nil {
				return nil, err
			}
			loads = append(loads, cmd)
		}
		for _, l := range loads {
			if err := l.Wait(); err != nil {
				return nil, err
			}
		}
		if err := r.stop(); err != nil {
			return nil, err
		}
		m := regexp.MustCompile(`@x: (\d+)`).FindStringSubmatch(r.out.String())
		if m == nil {
			return nil, fmt.Errorf("%s printed %q", t.name, r.out.String())
		}
		got, _ := strconv.Atoi(m[1])
		lost := float64(len(loads)*perCPU - got)
		return []value{{name: "@x++ on all CPUs: lost", n: max(lost, 0), unit: "of " + strconv.Itoa(len(loads)*perCPU), limit: 0.5}}, nil
	}
	return inTurn(1, ours, theirs, f)
}

func onlineCPUs() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 1
	}
	return set.Count()
}

// running is a tool that is tracing.
type running struct {
	cmd      *exec.Cmd
	attached time.Duration // from its start until it was attached
	out      strings.Builder
	done     chan struct{}
}

const notify = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"

// start runs a tool until its probes are attached.
func start(t tool, args ...string) (*running, error) {
	r := &running{cmd: t.command(args...), done: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), notify+"=1")
	var diag strings.Builder
	r.cmd.Stderr = &diag
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(pipe, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if strings.Contains(line, notify) {
			break
		}
		if err != nil {
			_ = r.cmd.Wait()
			return nil, fmt.Errorf("%s %q did not attach: %s", t.name, args, diag.String())
		}
	}
	r.attached = time.Since(begun)
	go func() {
		defer close(r.done)
		_, _ = io.Copy(&limited{w: &r.out, n: 1 << 20}, in)
	}()
	return r, nil
}

// limited keeps the last and first n bytes of a long output out of memory: only the first n are kept.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	if k := min(l.n, len(p)); k > 0 {
		_, _ = l.w.Write(p[:k])
		l.n -= k
	}
	return len(p), nil
}

// stop interrupts the tool and waits for its end.
func (r *running) stop() error {
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	<-r.done
	return r.cmd.Wait()
}

// programIDs lists the programs that are loaded now.
func programIDs() map[ebpf.ProgramID]bool {
	ids := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			return ids
		}
		ids[next], id = true, next
	}
}
