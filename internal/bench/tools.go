package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// readyMadeTool is a tool of BCC's, which is measured beside that of libbpf-tools.
type readyMadeTool struct {
	name string
	args []string
	load []string // makes its events; none: only the start is measured
}

// readyMade are the tools that both sides have and that need no kprobes, so that they run on every machine.
func readyMade() []readyMadeTool {
	opens, execs := []string{"openat", "100000", "0", "0"}, []string{"exec", "500", "0", "0"}
	blocks, sleeps := []string{"read-disk", "8000", "0", "0"}, []string{"sleep", "8000", "0", "0"}
	connects := []string{"connect", "3000", "0", "0"}
	return []readyMadeTool{
		{"opensnoop", nil, opens},
		{"execsnoop", nil, execs},
		{"biolatency", nil, blocks},
		{"biosnoop", nil, blocks},
		{"biotop", nil, blocks},
		{"bitesize", nil, blocks},
		{"biopattern", nil, blocks},
		{"exitsnoop", nil, execs},
		{"killsnoop", nil, []string{"kill", "50000", "0", "0"}},
		{"statsnoop", nil, []string{"stat", "100000", "0", "0"}},
		{"mountsnoop", nil, []string{"umount", "20000", "0", "0"}},
		{"syscount", nil, []string{"getpriority", "500000", "0", "0"}},
		{"runqlat", nil, sleeps},
		{"runqslower", nil, sleeps},
		{"cpudist", nil, sleeps},
		{"wakeuptime", nil, sleeps},
		{"offcputime", nil, sleeps},
		{"softirqs", nil, connects},
		{"hardirqs", nil, blocks},
		{"bindsnoop", nil, connects},
		{"tcplife", nil, connects},
		{"tcpstates", nil, connects},
		{"profile", nil, nil},
		{"syncsnoop", nil, nil},
		{"bashreadline", nil, nil},
		{"gethostlatency", nil, nil},
		{"drsnoop", nil, nil},
	}
}

// Debian calls them so since they have the names of BCC's tools in Python otherwise.
func (r readyMadeTool) peer(p peers) *tool { return p.tool(r.name+"-libbpf", "usr/sbin", "usr/bin") }

// measure compares the time from the start until the probes are attached, memory, and what an event costs the machine.
func (r readyMadeTool) measure(ours tool, theirs *tool) (mine, other []value, err error) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, nil, err
	}
	defer stats.Close()
	if theirs != nil {
		if _, err := r.once(*theirs); err != nil { // which also brings both sides' files into memory
			fmt.Fprintln(os.Stderr, err)
			theirs = nil
		}
	}
	return inTurn(5, ours, theirs, r.once)
}

func (r readyMadeTool) once(t tool) ([]value, error) {
	args := r.args
	if t.root == "" {
		args = append([]string{r.name}, args...)
	}
	s, err := startOnTerminal(t, args...)
	if err != nil {
		return nil, err
	}
	values := []value{{name: r.name + ": attached after", n: s.ready.Seconds() * 1000, unit: "ms", bar: 1.5}}
	var cost float64
	if len(r.load) > 0 {
		if cost, err = r.cost(s.cmd.Process.Pid); err != nil {
			_ = s.stop()
			return nil, fmt.Errorf("%s: %w", t.path, err)
		}
	}
	if err := s.stop(); err != nil {
		return nil, err
	}
	values = append(values, value{name: r.name + ": peak memory", n: s.peak, unit: "MB", bar: 1.5})
	if len(r.load) > 0 {
		values = append(values, value{name: r.name + ": programs' time per event", n: cost, unit: "ns", bar: 1})
	}
	return values, nil
}

// cost is the time of a process's programs during the load, for each of its events.
func (r readyMadeTool) cost(pid int) (float64, error) {
	programs, err := programsOf(pid)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, p := range programs {
			p.Close()
		}
	}()
	begun, err := runtimeOf(programs)
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if out, err := exec.Command(self, append([]string{"load"}, r.load...)...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("load: %w: %s", err, out)
	}
	ended, err := runtimeOf(programs)
	if err != nil {
		return 0, err
	}
	events, err := strconv.Atoi(r.load[1])
	if err == nil && ended == begun {
		err = errors.New("no program ran")
	}
	return float64((ended - begun).Nanoseconds()) / float64(events), err
}

// programsOf are the programs that a process has in its hands, by themselves or by links.
func programsOf(pid int) ([]*ebpf.Program, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return nil, err
	}
	ids := map[ebpf.ProgramID]bool{}
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may have been closed
		for line := range strings.Lines(string(text)) {
			if id, ok := strings.CutPrefix(line, "prog_id:"); ok {
				n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 32)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				ids[ebpf.ProgramID(n)] = true
			}
		}
	}
	var programs []*ebpf.Program
	for id := range ids {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return programs, err
		}
		programs = append(programs, p)
	}
	return programs, nil
}

func runtimeOf(programs []*ebpf.Program) (sum time.Duration, err error) {
	for _, p := range programs {
		s, err := p.Stats()
		if err != nil {
			return 0, err
		}
		sum += s.Runtime
	}
	return sum, nil
}

// terminal is a tool whose output goes to a terminal, so that programs in C do not keep it back.
type terminal struct {
	cmd   *exec.Cmd
	ready time.Duration // from its start to its first line, which tools print when they are attached
	peak  float64       // MB, known after its end
	read  chan struct{} // closed when all output has been read
}

// startOnTerminal starts a tool and waits until it is attached: skep says so, the others print their header then.
func startOnTerminal(t tool, args ...string) (*terminal, error) {
	master, slave, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	s := &terminal{cmd: t.command(args...), read: make(chan struct{})}
	first := "\n"
	if t.root == "" {
		s.cmd.Env, first = append(os.Environ(), notify+"=1"), notify
	}
	s.cmd.Stdout, s.cmd.Stderr = slave, slave
	begun := time.Now()
	err = s.cmd.Start()
	slave.Close()
	if err != nil {
		master.Close()
		return nil, err
	}
	in := bufio.NewReaderSize(master, 1<<20)
	var said strings.Builder
	for !strings.Contains(said.String(), first) {
		line, err := in.ReadString('\n')
		if said.WriteString(line); err != nil {
			_ = s.cmd.Wait()
			master.Close()
			return nil, fmt.Errorf("%s %q did not attach: %s", t.path, args, said.String())
		}
	}
	s.ready = time.Since(begun)
	go func() {
		defer close(s.read)
		defer master.Close()
		_, _ = io.Copy(io.Discard, in) // up to the error that the end of the last writer is
	}()
	return s, nil
}

// openTerminal makes a pair whose bytes pass as they are.
func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		mode.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(fd, unix.TCSETS, mode)
	}
	if err != nil {
		master.Close()
		slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// stop interrupts the tool, and looks at its memory until it has ended. What the kernel tells of a process that has ended counts the
// memory of the one that started it, too.
func (s *terminal) stop() error {
	for i := 0; ; i++ {
		s.peak = max(s.peak, peakOf(s.cmd.Process.Pid))
		if again := s.cmd.SysProcAttr != nil; i == 0 || again && i%100 == 0 { // some of the peers do not listen from their first line on
			if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
		}
		select {
		case <-s.read:
			err := s.cmd.Wait()
			if s.cmd.SysProcAttr != nil && s.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
				err = nil // as those that do not listen at all end
			}
			return err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// peakOf is the most memory that a process has had at a time, in MB, or 0 if it has ended.
func peakOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
