// Package trace is a compiled script at run time: it reads the events and maps of a session and prints what the script
// asked for, as text or JSON.
package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/probe"
)

// Buffering says when output is handed on.
type Buffering uint8

const (
	// FlushWhenIdle hands on what was formatted when no more events are waiting: at most a few milliseconds late.
	FlushWhenIdle Buffering = iota
	FlushLines              // after each event
	FlushFull               // when the buffer is full, and at the end
)

// Options of a run. The zero value prints text to the standard streams.
type Options struct {
	JSON   bool
	Output io.Writer // events and maps; nil: standard output
	Errors io.Writer // messages; nil: standard error
	Buffer Buffering
	Quiet  bool // do not tell how many probes were attached
	Bare   bool // without the empty lines that stand before the maps when tracing ends
	Colour bool // of messages
	// Terminal says that the output is shown on one: control characters in text of traced processes are made visible, and
	// refresh() clears it. Else bytes pass unchanged.
	Terminal bool
	// NoWarnings leaves out what went wrong in programs, and warnf(). What was lost is told all the same.
	NoWarnings bool
	// Trials are probe.Test or probe.Bench: the probes of that kind run one after the other, in place of waiting for events.
	Trials probe.Kind

	// Child is the command of -c, started but waiting; it is let go when the probes are attached, and its end ends the run. Its exit status is
	// that of the run, unless the script has given one.
	Child *Child
	// PID is the process of -p: its end ends the run.
	PID int

	// BufferFlag is the flag of a ready-made tool that sets the size of the event ring, as messages name it; "" if it has none.
	BufferFlag string
	// HelperErrors shows what helpers failed with in programs that tell. Without it, and if events are played, only what was not recorded is
	// shown.
	HelperErrors bool
	// Answers stand between the run and what it asks the machine for; nil: nobody does.
	Answers Answers
	// Symbols names addresses; nil: those of the running kernel and its processes.
	Symbols Symbols
	// Notify gets the line __BPFTRACE_NOTIFY_PROBES_ATTACHED once all probes are attached; nil: nobody waits for it.
	Notify io.Writer
	// Main, if not nil, has functions that the goroutine that called Run is to call meanwhile; see host.Options.
	Main <-chan func()
	// Signals ends the run: the first one in order, the second at once; while the command runs, they end the command. nil: SIGINT, SIGTERM and SIGHUP of this process.
	Signals <-chan os.Signal
	// Warn is told of probes that could not be attached while others could; nil: they are printed as warnings.
	Warn func(*host.AttachError)
}

// ErrInterrupted is the error of a run that a second signal has cut short. The process should exit: what was going on
// is left behind.
var ErrInterrupted = errors.New("interrupted")

// Exit codes of a run that was cut short, and of one whose output nobody reads any more: 128 and the signal's number, as shells
// say it of a process that the signal has ended.
const (
	interruptedExit = 128 + int(syscall.SIGINT)
	pipeExit        = 128 + int(syscall.SIGPIPE)
)

// Run attaches the programs of a loaded session and prints their events until the script, its user, or the traced
// process ends it; then it prints the maps and closes the session. It returns the exit code of the script.
//
// Start-up and end are kept short: the maps are printed before anything is detached.
func Run(ctx context.Context, session host.Session, unit *lower.Unit, opt Options) (exit int, err error) {
	if opt.Output == nil {
		opt.Output = os.Stdout
	}
	if opt.Errors == nil {
		opt.Errors = os.Stderr
	}
	if opt.Symbols == nil {
		_, opt.Symbols = Track(unit.Script)
	}
	if opt.Answers != nil {
		opt.Symbols = answeredSymbols{opt.Symbols, opt.Answers}
	}
	signals := opt.Signals
	if signals == nil {
		c := make(chan os.Signal, 4)
		// SIGPIPE is caught so that writing to a pipe without a reader is an error that ends the run in order.
		// They stay caught: one that comes when the run has just ended by itself must not make its exit code that of a process that was killed.
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		signals = c
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newRun(session, unit, opt)
	type result struct {
		exit int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := r.run(ctx)
		done <- result{exit, err}
	}()
	var stopped time.Time // by the first signal
	for {
		select {
		case res := <-done:
			return res.exit, res.err
		case f := <-opt.Main:
			f()
		case s := <-signals:
			switch {
			case s == syscall.SIGPIPE:
			case r.endsCommand(s):
			case stopped.IsZero():
				stopped = time.Now()
				r.interrupt()
				defer time.AfterFunc(slowEnd, func() {
					if r.out.writing.Load() {
						fmt.Fprintln(opt.Errors, "The output has a slow reader; Ctrl-C again ends skep at once")
					}
				}).Stop()
			case time.Since(stopped) >= signalPatience:
				return interruptedExit, ErrInterrupted
			}
		}
	}
}

// signalPatience is the least time between two signals that are meant as two, the second of which gives up the rest of the
// output: timeout(1), and a shell whose job gets Ctrl-C, send one to the process and one to its group.
const signalPatience = 100 * time.Millisecond

// slowEnd is when the user is told why skep does not end: the reader of its output may be slow.
const slowEnd = time.Second

// drainPause is how long the reader sleeps after it found records, so that it handles many at a time: an event costs
// the traced process much less when it need not wake the reader.
const drainPause = time.Millisecond

// lossInterval is the time between two looks at the counters of what was lost.
const lossInterval = time.Second
