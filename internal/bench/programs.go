package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

type unixRusage = syscall.Rusage

// measured is a program whose cost per event is compared, with the load that makes its events.
type measured struct {
	name, script string
	load         []string
}

const slowIO = `tracepoint:block:block_rq_complete /args->nr_sector > 0/ { $lat = (nsecs - @start[args->dev, args->sector]) / 1000000; if ($lat > 10) { printf("slow I/O: %d ms\n", $lat); } delete(@start[args->dev, args->sector]); } tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs; }`

func measuredPrograms() []measured {
	return []measured{
		{"openat printf", `tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args->filename)); }`, []string{"openat", "100000", "0", "0"}},
		{"openat count by comm", `tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }`, []string{"openat", "200000", "0", "0"}},
		{"slow I/O", slowIO, []string{"read-disk", "8000", "0", "0"}},
		{"read hist", `tracepoint:syscalls:sys_exit_read { @bytes = hist(args->ret); }`, []string{"read", "300000", "0", "0"}},
		{"profile kstack", `profile:hz:999 { @[kstack] = count(); }`, []string{"read", "3000000", "0", "0"}},
		{"count by syscall", `tracepoint:raw_syscalls:sys_enter { @[args->id] = count(); }`, []string{"getpriority", "500000", "0", "0"}},
	}
}

// measurePrograms compares translated instructions and mean time per run.
func measurePrograms(ours tool, theirs *tool) (mine, other []value, err error) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, nil, err
	}
	defer stats.Close()
	var sumMine, sumOther float64
	for _, m := range measuredPrograms() {
		a, b, err := inTurn(5, ours, theirs, func(t tool) ([]value, error) { return costs(t, m) })
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", m.name, err)
		}
		mine, other = append(mine, a...), append(other, b...)
		for i := 1; i < len(a); i += 2 {
			sumMine += a[i].n
			if b != nil {
				sumOther += b[i].n
			}
		}
	}
	mine = append(mine, value{name: "sum of ns", n: sumMine, unit: "ns", bar: 0.7})
	if theirs != nil {
		other = append(other, value{n: sumOther})
	}
	return mine, other, nil
}

// costs runs a script under its load and reads the kernel's statistics of each of its programs, by attach order.
func costs(t tool, m measured) ([]value, error) {
	before := programIDs()
	r, err := start(t, "-e", m.script)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command(self, append([]string{"load"}, m.load...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("load: %w: %s", err, out)
	}
	var values []value
	for id := range programIDs() {
		if before[id] {
			continue
		}
		v, err := programCost(id)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue // it never ran: another's, or begin
		}
		values = append(values, v...)
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%s: no program ran", t.name)
	}
	sum := []value{{name: m.name + ": instructions", unit: "", bar: 1}, {name: m.name + ": time per run", unit: "ns", bar: 1}}
	for i, v := range values {
		sum[i%2].n += v.n
	}
	return sum, r.stop()
}

func programCost(id ebpf.ProgramID) ([]value, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil, nil
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return nil, err
	}
	s, err := p.Stats()
	if err != nil {
		return nil, err
	}
	if s.RunCount < 50 {
		return nil, nil
	}
	insns, err := info.Instructions()
	if err != nil {
		return nil, err
	}
	n := 0.0
	for _, ins := range insns {
		n += float64(ins.Size()) / 8
	}
	return []value{{n: n}, {n: float64(s.Runtime.Nanoseconds()) / float64(s.RunCount)}}, nil
}

// measureEvents finds the greatest rate of printf events of which none is lost.
func measureEvents(ours tool, theirs *tool) (mine, other []value, err error) {
	f := func(t tool) ([]value, error) {
		rate, bound, err := bestRate(t)
		return []value{{name: "printf events per second, none lost", n: rate, unit: "/s", bar: 5, more: true, bound: bound}}, err
	}
	return inTurn(1, ours, theirs, f)
}

// eventsPerCall is how many lines each system call prints: the loop alone makes fewer events than either side can take.
const eventsPerCall = 16

// bestRate goes up until lines are missing from the output, a file in memory: what a tool says of its losses is its own affair. It also tells
// whether nothing was lost at the full speed of the load.
func bestRate(t tool) (best float64, bound bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, false, err
	}
	output, err := os.CreateTemp("/dev/shm", "skep-bench-*")
	if err != nil {
		return 0, false, err
	}
	defer os.Remove(output.Name())
	defer output.Close()
	script := "tracepoint:syscalls:sys_enter_getpriority { " +
		strings.Repeat(`printf("%d %s %d\n", pid, comm, nsecs); `, eventsPerCall) + "}"
	for rate := 50e3; ; rate *= 1.25 {
		r, err := start(t, "-o", output.Name(), "-e", script)
		if err != nil {
			return 0, false, err
		}
		calls := int(2 * rate / eventsPerCall)
		out, err := exec.Command(self, "load", "getpriority", strconv.Itoa(calls), strconv.Itoa(int(rate/eventsPerCall)), "1").Output()
		if err != nil {
			return 0, false, fmt.Errorf("load: %w", err)
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, false, err
		}
		if err := quiet(output); err != nil {
			return 0, false, err
		}
		if err := r.stop(); err != nil {
			return 0, false, err
		}
		lines, err := eventLines(output.Name())
		if err != nil {
			return 0, false, err
		}
		if lines < calls*eventsPerCall {
			return best, false, nil
		}
		reached := float64(calls*eventsPerCall) / seconds
		best = max(best, reached)
		if reached < 0.8*rate { // the loop's own limit
			return best, true, nil
		}
	}
}

// quiet waits until the file has not grown for half a second: the tool may be behind.
func quiet(f *os.File) error {
	for size, since := int64(-1), time.Now(); time.Since(since) < time.Second/2; time.Sleep(10 * time.Millisecond) {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
	}
	return nil
}

// eventLines counts the lines of the load.
func eventLines(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if bytes.Contains(lines.Bytes(), []byte(" bench ")) {
			n++
		}
	}
	return n, nil
}
