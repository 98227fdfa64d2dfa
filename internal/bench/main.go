// Command bench measures skep beside bpftrace and libbpf-tools of Debian unstable, in turn on the same machine, and prints a table with
// ratios.
//
// It needs root. The peers live in a folder made by debootstrap, which is kept: $SKEP_PEER, or peer in the user's cache folder.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		load(os.Args[2:])
		return
	}
	only := flag.String("only", "", "run only the rows whose name contains this")
	alone := flag.Bool("alone", false, "measure skep alone")
	bin := flag.String("skep", "bin/skep", "the binary")
	realtime := flag.Bool("rt", false, "with real-time priority, for machines that others are busy on")
	flag.Parse()
	if *realtime {
		// What is started inherits it.
		runtime.LockOSThread()
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0); err != nil {
			fmt.Fprintln(os.Stderr, "bench: asking for real-time priority:", err)
			os.Exit(1)
		}
	}
	if err := run(*only, *bin, *alone); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(only, bin string, alone bool) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	ours, peers := tool{name: "skep", path: bin}, peers{}
	if !alone {
		if peers, err = findPeers(); err != nil {
			return err
		}
	}
	fmt.Printf("%s\n\n", machine())
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tskep\tpeer\tratio\tbar\t\n")
	failed := 0
	for _, row := range rows() {
		if !strings.Contains(row.name, only) {
			continue
		}
		mine, other, err := row.measure(ours, row.peer(peers))
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", row.name, err)
			failed++
			continue
		}
		for i, m := range mine {
			line, ok := m.line(other, i)
			if !ok {
				failed++
			}
			fmt.Fprint(w, line)
		}
	}
	w.Flush()
	if failed > 0 {
		return fmt.Errorf("%d bars missed, or rows that could not be measured", failed)
	}
	return nil
}

// value is one measurement.
type value struct {
	name  string
	n     float64
	unit  string
	bar   float64 // greatest ratio to the peer's, 0 for none
	limit float64 // greatest n, 0 for none
	more  bool    // more is better: bar and limit are the least
	bound bool    // the load could do no more: n is the least that it may be, and the bar cannot be judged
}

// line prints the value beside the peer's of the same index, if there is one, and reports whether the bars are met.
func (v value) line(other []value, i int) (line string, ok bool) {
	ok = true
	peer, ratio, bar := "-", "-", ""
	if i < len(other) {
		peer = number(other[i].n, v.unit)
		if other[i].bound {
			peer = "≥ " + peer
		}
		r := v.n / other[i].n
		ratio = fmt.Sprintf("%.3f", r)
		if v.bar > 0 {
			ok = r <= v.bar
			bar = fmt.Sprintf("≤ %.2f", v.bar)
			if v.more {
				ok = r >= v.bar
				bar = fmt.Sprintf("≥ %.2f", v.bar)
			}
		}
	}
	if v.limit > 0 {
		if v.more {
			ok = ok && v.n >= v.limit
			bar += " ≥ " + number(v.limit, v.unit)
		} else {
			ok = ok && v.n <= v.limit
			bar += " ≤ " + number(v.limit, v.unit)
		}
	}
	mark, n := "", number(v.n, v.unit)
	switch {
	case !ok && v.bound:
		ok, mark = true, "the load's limit"
	case !ok:
		mark = "MISSED"
	}
	if v.bound {
		n = "≥ " + n
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\n", v.name, n, peer, ratio, strings.TrimSpace(bar), mark), ok
}

func number(n float64, unit string) string {
	switch {
	case n >= 1000 || n == float64(int64(n)):
		return fmt.Sprintf("%.0f %s", n, unit)
	case n >= 10:
		return fmt.Sprintf("%.1f %s", n, unit)
	}
	return fmt.Sprintf("%.3f %s", n, unit)
}

func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	cpu := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			cpu = strings.TrimSpace(name)
			break
		}
	}
	return fmt.Sprintf("Linux %s, %d × %s", strings.TrimSpace(string(kernel)), runtime.NumCPU(), cpu)
}
