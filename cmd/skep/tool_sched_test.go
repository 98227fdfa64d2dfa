package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"skep/internal/ktest"
)

// runBeside runs a tool beside a workload, which begins when the tool is attached; $PID and $TID in its arguments are the workload's. The tool is
// interrupted when the workload has done its job.
func runBeside(t *testing.T, w *ktest.Workload, args string) (output string) {
	t.Helper()
	args = strings.NewReplacer("$PID", strconv.Itoa(w.PID), "$TID", strconv.Itoa(w.TID)).Replace(args)
	s := startSkep(t, strings.Fields(args)...)
	w.Run()
	rest, exit := s.end(syscall.SIGINT)
	output = strings.Join(append(s.early, rest...), "\n") + "\n"
	if exit != 0 || s.stderr.Len() > 0 {
		t.Errorf("%s: exit code %d: %s", args, exit, s.stderr.String())
	}
	return output
}

// enough reports whether a tool has been tried before where all is slow: in guests, the kernel takes seconds to check a tool's programs.
func enough(tried map[string]bool, args string) bool {
	tool, _, _ := strings.Cut(args, " ")
	again := tried[tool]
	tried[tool] = true
	return again && ktest.Emulated()
}

// histogram is a line of JSON that print_log2() and print_stacks() print, or a row.
type histogram struct {
	Flags, Disk, Comm string
	Count             int
	Buckets           []struct{ Min, Max, Count int }
	Kernel, User      []string
	Data              struct {
		Ran int `json:"@ran"` // print(@ran)
	}
}

func histograms(t *testing.T, output string) (all []histogram) {
	t.Helper()
	for line := range strings.Lines(output) {
		var h histogram
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sum := 0
		for _, b := range h.Buckets {
			sum += b.Count
		}
		if len(h.Buckets) > 0 && sum != h.Count {
			t.Errorf("the buckets of %s have %d", line, sum)
		}
		all = append(all, h)
	}
	return all
}

func total(t *testing.T, output string) (n int) {
	t.Helper()
	for _, h := range histograms(t, output) {
		n += h.Count
	}
	return n
}

const (
	log2Lines  = ` +usecs +: count +distribution\n( +\d+ -> \d+ +: \d+ +\|[* ]{40}\|\n)+`
	frameLines = `(    \S.*\n)+`
)

// TestSchedulerTools compares whole outputs. The workload sleeps: it leaves the processor so many times, and waits for it as often.
func TestSchedulerTools(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	const sleeps = 20
	tried := map[string]bool{}
	for _, test := range []struct{ args, want string }{
		{"runqlat -p $PID", `Tracing run queue latency\.\.\. Hit Ctrl-C to end\.\n` + log2Lines},
		{"runqlat -T -m -p $PID", `Tracing .*\n\d\d:\d\d:\d\d\n` + strings.Replace(log2Lines, "usecs", "msecs", 1)},
		{"runqlat -P -p $PID", `Tracing .*\npid = $PID work\n` + log2Lines},
		{"runqlat -L --pid $PID", `Tracing .*\n(tid = \d+ work\n` + log2Lines + `)+`},
		{"runqlat --pidnss -p $PID", `Tracing .*\npidns = \d+\n` + log2Lines},
		{"runqslower -P -p $PID 0", `Tracing run queue latency higher than 0 us\nTIME     COMM             TID           LAT\(us\) PREV_COMM        PREV_TID\n` +
			`(\d\d:\d\d:\d\d work             \d+ +\d+ \S.{15} \d+ *\n){20,}`},
		{"cpudist -p $PID", `Tracing on-CPU time\.\.\. Hit Ctrl-C to end\.\n` + log2Lines},
		{"cpudist -O -P -p $PID", `Tracing off-CPU time\.\.\. Hit Ctrl-C to end\.\npid = $PID work\n` + log2Lines},
		{"cpudist -e -p $PID", `Tracing .*\n` + log2Lines + `avg = \d+ usecs, total: \d+ usecs, count: \d\d+\n`},
		{"offcputime -K -p $PID", `Tracing off-CPU time \(us\) of PID $PID by kernel stack\.\.\. Hit Ctrl-C to end\.\n` +
			`(` + frameLines + `    - +work \(\d+\)\n        \d+\n)*` + frameLines + `    - +work \($TID\)\n        \d{5,}\n(` + frameLines + `        \d+\n)*`},
		{"offcputime -f -t $TID", `(work;.* \d+\n)*work;.*main\.main;.*do_nanosleep.* \d{5,}\n(work;.* \d+\n)*`},
		{"wakeuptime -p $PID", `Tracing blocked time \(us\) by kernel stack\.\.\. Hit Ctrl-C to end\.\n` +
			`(    target:          work\n` + frameLines + `    waker:           .*\n        \d+\n)+`},
		{"wakeuptime -f -p $PID", `(.*;try_to_wake_up(;[^ ;]+)?;work \d+\n)+`},
		{"softirqs", `Tracing soft irq event time\.\.\. Hit Ctrl-C to end\.\nSOFTIRQ          TOTAL_usecs\n([a-z_]+ +\d+\n)*`},
		{"softirqs -C --cpu 0", `Tracing soft irq event count\.\.\. .*\nSOFTIRQ          TOTAL_count\n([a-z_]+ +\d+\n)*`},
		{"softirqs -dN", `Tracing .*\n(softirq = [a-z_]+\n` + strings.Replace(log2Lines, "usecs", "nsecs", 1) + `)*`},
		{"hardirqs", `Tracing hard irq event time\.\.\. Hit Ctrl-C to end\.\nHARDIRQ                    TOTAL_usecs\n(\S+ +\d+\n)*`},
		{"hardirqs -NT", `Tracing .*\n\d\d:\d\d:\d\d\nHARDIRQ                    TOTAL_nsecs\n(\S+ +\d+\n)*`},
	} {
		if enough(tried, test.args) {
			continue
		}
		t.Run(test.args, func(t *testing.T) {
			w := ktest.StartWork(t, "nanosleep", strconv.Itoa(sleeps), "1000")
			got := runBeside(t, w, test.args)
			want := strings.NewReplacer("$PID", strconv.Itoa(w.PID), "$TID", strconv.Itoa(w.TID)).Replace(test.want)
			if !regexp.MustCompile(`^(?:` + want + `)$`).MatchString(got) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
	for _, args := range []string{"runqlat --json -p $PID", "cpudist --json -p $PID", "cpudist -O --json -p $PID"} {
		t.Run(args, func(t *testing.T) {
			if n := total(t, runBeside(t, ktest.StartWork(t, "nanosleep", strconv.Itoa(sleeps), "1000"), args)); n < sleeps {
				t.Errorf("%d times, of %d at least", n, sleeps)
			}
		})
	}
}

// TestProfile compares with the kernel's own account: a sample each 1/99 of a second that the thread has run.
func TestProfile(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Perf)
	ktest.Oldest(t)
	const hz = 99
	for _, args := range []string{"-F 99", "-c 10101010"} {
		w := ktest.StartWork(t, "spin", "2000")
		before := runTime(t, w)
		out := runBeside(t, w, "profile --json -L $TID "+args)
		want, got, inSpin := (runTime(t, w)-before)*hz/1e9, 0, 0
		for _, h := range histograms(t, out) {
			got += h.Count
			if strings.Contains(strings.Join(h.User, ";"), "main.spin") {
				inSpin += h.Count
			}
		}
		least, most := want-want/20-5, 2*hz+5 // where a hypervisor takes processors away, the account lacks that time, and samples may not
		spinning := 3.0 / 4
		if ktest.Emulated() { // timers come late, and only one sample with them; the time of day is a system call
			least, spinning = want/10, 1.0/2
		}
		if got < least || got > most || float64(inSpin) < float64(got)*spinning {
			t.Errorf("%s: %d samples, %d of them in main.spin, of %d\n%s", args, got, inSpin, want, out)
		}
	}
	for _, test := range []struct{ args, want string }{
		{"profile -p $PID -U", `Sampling at 49 Hertz of PID \[$PID\] by user stack\.\.\. Hit Ctrl-C to end\.\n( +\S.*\n)*    main\.spin\+0x[0-9a-f]+ \[work\S*\]\n` +
			`(    \S.*\n|        \d+\n)*    - +bee \($PID\)\n        \d+\n`},
		{"profile -p $PID -U -A", `Sampling .*\n( +\S.*\n)*    [0-9a-f]{16} main\.spin\+0x[0-9a-f]+ \[work\S*\]\n(    \S.*\n|        \d+\n)*    - +bee \($PID\)\n        \d+\n`},
		{"profile -p $PID -U --perf-max-stack-depth 1 --call-graph fp", `Sampling .*\n(    \S+ \[\S+\]\n    - +\w+ \($PID\)\n        \d+\n)+`},
		{"profile -f -d -a -p $PID -F 200", `(.*;.* \d+\n)*bee;.*main\.main;.*main\.spin \d+\n(.*;.* \d+\n)*`},
		{"profile -K -C 1000 1", `Sampling at 49 Hertz of all threads by kernel stack on CPU#1000 for 1 secs\.\n`},
	} {
		w := ktest.StartWork(t, "-comm=bee", "spin", "1000")
		got := runBeside(t, w, test.args)
		if !regexp.MustCompile(`^(?:` + strings.ReplaceAll(test.want, "$PID", strconv.Itoa(w.PID)) + `)$`).MatchString(got) {
			t.Errorf("%s:\n%s", test.args, got)
		}
	}
}

// TestBusyFilters: what interrupts a process, or is looked at while it runs, is only there if it runs.
func TestBusyFilters(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Perf, ktest.BTF)
	ktest.Oldest(t)
	idle := ktest.StartWork(t, "getppid", "1") // it waits
	for _, args := range []string{"softirqs -C --json", "softirqs --json", "hardirqs -C --json", "runqlen --json"} {
		output := runBeside(t, ktest.StartWork(t, "spin", "500"), args+" -p $PID")
		if !strings.HasPrefix(args, "hardirqs") && !strings.Contains(output, "count\":") && !strings.Contains(output, "total_usecs\":") { // no device has to interrupt
			t.Errorf("%s shows nothing of a process that is busy:\n%s", args, output)
		}
		if output := runBeside(t, ktest.StartWork(t, "spin", "100"), args+" -p "+strconv.Itoa(idle.PID)); regexp.MustCompile(`:[1-9]`).MatchString(output) {
			t.Errorf("%s shows something of a process that waits:\n%s", args, output)
		}
	}
	idle.Run()
}

// runTime is how long the workload's thread has run, in nanoseconds.
func runTime(t *testing.T, w *ktest.Workload) (ns int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", w.PID, w.TID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &ns); err != nil {
		t.Fatal(err)
	}
	return ns
}

// TestRunqlen only looks at what is printed: how many threads wait is not the test's to say.
func TestRunqlen(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Perf, ktest.BTF)
	ktest.Oldest(t)
	for _, test := range []struct{ args, want string }{
		{"runqlen", `Sampling run queue length\.\.\. Hit Ctrl-C to end\.\n     runqlen       : count     distribution\n(        \d+ +: \d+ +\|[* ]{40}\|\n)+`},
		{"runqlen -CT", `Sampling .*\n\d\d:\d\d:\d\d\n(cpu = \d+\n     runqlen       : count     distribution\n(        \d+ +: \d+ +\|[* ]{40}\|\n)+)+`},
		{"runqlen -O", `Sampling .*\nrunqocc: \d+\.\d\d%\n`},
		{"runqlen -OC", `Sampling .*\nrunqocc, CPU 0   [ \d]{2}\d\.\d\d%\n(runqocc, CPU \d+ +\d+\.\d\d%\n)*`},
		{"runqlen -OC --json", `({"cpu":\d+,"runqocc":[\d.]+}\n)+`},
	} {
		if got := runBeside(t, ktest.StartWork(t, "spin", "300"), test.args); !regexp.MustCompile(`^(?:` + test.want + `)$`).MatchString(got) {
			t.Errorf("%s:\n%s", test.args, got)
		}
	}
}
