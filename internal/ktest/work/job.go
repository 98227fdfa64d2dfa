package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// run does the job between the two points at which a test can hold it.
func (o options) run(name string, args []string) error {
	if o.comm != "" {
		if err := setComm(o.comm); err != nil {
			return err
		}
	}
	if o.cpu >= 0 {
		var set unix.CPUSet
		set.Set(o.cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("staying on processor %d: %w", o.cpu, err)
		}
	}
	if o.network {
		if err := enterNetwork(); err != nil {
			return err
		}
	}
	job, err := newJob(name, args)
	if err != nil {
		return err
	}
	if o.wait {
		fmt.Printf("ready %d %d\n", os.Getpid(), unix.Gettid())
		if err := readLine(); err != nil {
			return nil // the test has gone
		}
	}
	if err := job(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if o.hold {
		fmt.Println("done")
		io.Copy(io.Discard, os.Stdin)
	}
	switch {
	case o.raise != 0:
		err = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.Signal(o.raise))
	case o.kill != 0:
		err = unix.Kill(os.Getpid(), unix.Signal(o.kill))
	}
	if err != nil {
		return err
	}
	if o.raise+o.kill != 0 {
		select {}
	}
	if o.exit != 0 {
		os.Exit(o.exit)
	}
	return nil
}

// readLine reads byte by byte, to leave what follows the line.
func readLine() error {
	var b [1]byte
	for {
		if _, err := os.Stdin.Read(b[:]); err != nil {
			return err
		}
		if b[0] == '\n' {
			return nil
		}
	}
}

func setComm(name string) error {
	if err := os.WriteFile("/proc/thread-self/comm", []byte(name), 0); err != nil {
		return fmt.Errorf("naming the thread: %w", err)
	}
	return nil
}

// newJob reads the job's arguments, so that nothing but the job itself happens once it is started.
func newJob(name string, args []string) (func() error, error) {
	a := arguments{args: args}
	var job func() error
	switch name {
	case "open":
		n, files := a.number(), a.rest()
		job = func() error { return openFiles(n, files) }
	case "pace":
		n, rate, file := a.number(), a.number(), a.text()
		job = func() error { return openPaced(n, rate, file) }
	case "opens":
		dir := a.text()
		job = func() error { return openWays(dir) }
	case "open32":
		file := a.text()
		job = func() error { return open32(file) }
	case "read":
		n, bytes, file := a.number(), a.number(), a.text()
		job = func() error { return readFile(n, bytes, file) }
	case "write":
		n, bytes, file := a.number(), a.number(), a.text()
		job = func() error { return writeFile(n, bytes, file) }
	case "getppid":
		n := a.number()
		job = func() error {
			return repeat(n, func() error { unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); return nil })
		}
	case "call":
		n := a.number()
		job = func() error { return callBee(n) }
	case "exec":
		n, program := a.number(), a.rest()
		job = func() error { return execute(n, program) }
	case "become":
		how, program, rest := a.text(), a.text(), a.args
		a.args = nil
		job = func() error { return become(how, program, rest) }
	case "fork":
		n := a.number()
		job = func() error { return repeat(n, fork) }
	case "thread":
		n := a.number()
		job = func() error { return threads(n) }
	case "nanosleep":
		n, micros := a.number(), a.number()
		job = func() error { return repeat(n, func() error { return nanosleep(micros) }) }
	case "fault":
		n := a.number()
		job = func() error { return fault(n) }
	case "kill":
		n := a.number()
		job = func() error { return repeat(n, func() error { return unix.Kill(os.Getpid(), 0) }) }
	case "tcp":
		n, bytes, address := a.number(), a.number(), a.optional("127.0.0.1")
		job = func() error { return repeat(n, func() error { return tcp(bytes, address) }) }
	case "connect":
		n, address, port := a.number(), a.text(), a.number()
		job = func() error { return repeat(n, func() error { return connect(address, port) }) }
	case "dns":
		name, address, port := a.text(), a.text(), a.number()
		job = func() error { return resolve(name, address, port) }
	case "bind":
		address, port := a.text(), a.number()
		job = func() error { return bind(address, port) }
	case "backlog":
		n, size := a.number(), a.number()
		job = func() error { return fillBacklog(n, size) }
	case "overflow":
		job = overflow
	case "interrupt-connect":
		how := a.text()
		job = func() error { return interruptConnect(how) }
	case "interrupt-open":
		how, dir := a.text(), a.text()
		job = func() error { return interruptOpen(how, dir) }
	case "udp":
		n, bytes := a.number(), a.number()
		job = func() error { return udp(n, bytes) }
	case "stat":
		n, file := a.number(), a.text()
		job = func() error { return repeat(n, func() error { return stat(file) }) }
	case "statall":
		file := a.text()
		job = func() error { return statAll(file) }
	case "sync":
		file := a.text()
		job = func() error { return syncFile(file) }
	case "mount":
		dir := a.text()
		job = func() error { return mount(dir) }
	case "brief":
		var err error
		if job, err = briefFiles(a.text()); err != nil {
			return nil, err
		}
	case "traffic":
		dir := a.text()
		job = func() error { return traffic(dir) }
	case "cached":
		file, pages := a.text(), a.number()
		var err error
		if job, err = cached(file, pages); err != nil {
			return nil, err
		}
	case "slowpipe":
		millis := a.number()
		job = func() error { return slowPipe(millis) }
	case "reclaim":
		file, bytes, limit := a.text(), a.number(), a.number()
		var err error
		if job, err = reclaim(file, bytes, limit); err != nil {
			return nil, err
		}
	case "exhaust":
		limit := a.number()
		var err error
		if job, err = exhaust(limit); err != nil {
			return nil, err
		}
	case "pipes":
		n := a.number()
		job = func() error { return pipes(n) }
	case "mkdir":
		n, dir := a.number(), a.text()
		job = func() error { return repeat(n, func() error { return mkdir(dir) }) }
	case "spin":
		millis := a.number()
		job = func() error { return burn(millis) }
	default:
		return nil, fmt.Errorf("unknown job %q", name)
	}
	if a.err == nil && len(a.args) > 0 {
		a.err = fmt.Errorf("too many arguments: %q", a.args)
	}
	if a.err != nil {
		return nil, fmt.Errorf("%s: %w", name, a.err)
	}
	return job, nil
}

func repeat(n int, do func() error) error {
	for range n {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// arguments hands out a job's arguments in turn; err keeps the first mistake.
type arguments struct {
	args []string
	err  error
}

func (a *arguments) text() string {
	if len(a.args) == 0 {
		if a.err == nil {
			a.err = fmt.Errorf("too few arguments")
		}
		return ""
	}
	first := a.args[0]
	a.args = a.args[1:]
	return first
}

func (a *arguments) optional(otherwise string) string {
	if len(a.args) == 0 {
		return otherwise
	}
	return a.text()
}

func (a *arguments) number() int {
	text := a.text()
	n, err := strconv.Atoi(text)
	if (err != nil || n < 0) && a.err == nil {
		a.err = fmt.Errorf("%q is not a count", text)
	}
	return n
}

func (a *arguments) rest() []string {
	if len(a.args) == 0 {
		a.text()
	}
	all := a.args
	a.args = nil
	return all
}
