// Else Go's runtime would keep the files of its control group open, where there are any.
//go:debug containermaxprocs=0

// Command work makes exactly known events for tests to trace: N opens of these names, M bytes read, K calls of a
// function. It is pure Go, static, and does its work on one thread with raw system calls, so that what is counted for
// its thread is what was asked for.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

const usage = `usage: work [-comm=NAME] [-cpu=N] [-network] [-exit=CODE] [-raise=SIGNAL] [-kill=SIGNAL] [-wait] [-hold] JOB [ARGUMENT]...
  -comm=NAME   name the thread
  -cpu=N       stay on this processor
  -network     be in a network of its own, which has only the loopback
  -exit=CODE   end with this code
  -raise=N     end by sending its own thread this signal, such as 9
  -kill=N      the same by kill(2), of which any thread may be found by the signal, wherever it is
  -wait        print "ready PID TID", then work when a line arrives on standard input
  -hold        print "done" after the work and end with standard input

jobs
  open N FILE...        open and close each file N times (a missing one fails, which is an event too)
  pace N RATE FILE      open and close FILE N times, RATE times a second
  opens DIR             open files below DIR in every way there is (amd64)
  open32 FILE           open FILE as 32-bit programs do (amd64)
  read N BYTES FILE     open FILE once and read BYTES at its start N times
  write N BYTES FILE    open FILE once, truncated, and write BYTES to it N times
  getppid N             the cheapest system call, N times
  call N                call main.bee(i, 2*i), N times, i from 0: it returns 3*i
  exec N PROGRAM        run PROGRAM to its end N times
  become HOW PROGRAM    become PROGRAM by execve, thread, execveat or fexecve, or fail to
  fork N                start N processes that end at once
  thread N              start N threads that end at once
  nanosleep N MICROS    sleep N times
  fault N               touch N fresh pages
  kill N                send itself signal 0 N times
  tcp N BYTES [ADDRESS] make N connections over loopback, each carrying BYTES one way
  connect N ADDR PORT   try to connect N times, and go on if that fails
  dns NAME ADDR PORT    be a name server that knows the IPv4 address ADDR of NAME, ask it, and try to connect there (with -network)
  bind ADDR PORT        try to bind a socket with SO_REUSEADDR
  backlog N SIZE        make N connections that are not accepted, by a listener that has room for SIZE
  overflow              connect to a listener whose queue is full, until the kernel sends the first segment again
  interrupt-connect HOW have a signal interrupt a connect; HOW it goes on: restart, or eintr
  interrupt-open HOW DIR  the same for opening DIR/skep-pipe-PID, a pipe
  udp N BYTES           send N datagrams of BYTES over loopback
  stat N FILE           N times statx
  statall FILE          statx, newfstatat, statfs
  sync FILE             write FILE, then fsync, fdatasync, sync_file_range, msync
  mount DIR             mount tmpfs at DIR where nobody sees it, unmount it, and fail to unmount DIR/nowhere
  brief DIR             make and delete files below DIR/skep-PID: a, b, d (which was c), e twice, f
  traffic DIR           write and read files below DIR, skep-a and skep-b, and a pipe, by known calls and bytes
  cached FILE N         read N pages of FILE that are not in memory, twice again, write 10 of them, and 20 behind
  slowpipe MILLIS       read from a pipe to which "late" is written after this time
  reclaim FILE N LIMIT  read N bytes of FILE in a control group that may have LIMIT bytes of memory
  exhaust LIMIT         have the kernel kill a child that touches twice as many bytes as its control group may have
  pipes N               make N pipes of 1 MB, and close the last one
  mkdir N DIR           make and remove DIR N times
  spin MILLIS           burn processor time in main.spin
`

func main() {
	runtime.LockOSThread()
	options, args, err := parseOptions(os.Args[1:])
	if err == nil && len(args) == 0 {
		err = fmt.Errorf("no job")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "work: %v\n\n%s", err, usage)
		os.Exit(2)
	}
	if err := options.run(args[0], args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "work:", err)
		os.Exit(1)
	}
}

type options struct {
	comm       string
	cpu        int
	network    bool
	exit       int
	raise      int
	kill       int
	wait, hold bool
}

func parseOptions(args []string) (options, []string, error) {
	o := options{cpu: -1}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, _ := strings.Cut(args[0], "=")
		switch name {
		case "-comm":
			o.comm = value
		case "-cpu", "-exit", "-raise", "-kill":
			n, err := strconv.Atoi(value)
			if err != nil {
				return o, nil, fmt.Errorf("%s: %w", name, err)
			}
			*map[string]*int{"-cpu": &o.cpu, "-exit": &o.exit, "-raise": &o.raise, "-kill": &o.kill}[name] = n
		case "-network":
			o.network = true
		case "-wait":
			o.wait = true
		case "-hold":
			o.hold = true
		default:
			return o, nil, fmt.Errorf("unknown option %s", args[0])
		}
		args = args[1:]
	}
	return o, args, nil
}
