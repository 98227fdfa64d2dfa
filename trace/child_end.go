package trace

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"skep/host"
)

const (
	ownPatience  = 5 * time.Second // how long the command may take to end after a signal that it has got, too
	killPatience = 2 * time.Second // and after SIGTERM
	// seenPatience is how long a tracer may take to see a signal that the command has got together with skep.
	seenPatience = 100 * time.Millisecond
	// together is the most between two parts of one signal to a process group.
	together = time.Second
)

// endsCommand deals with a signal that is to end the run: while the command runs, it is the command that is to end, and the run goes on until
// it has. false if it does not run, or has been killed already.
func (r *run) endsCommand(s os.Signal) bool {
	c := r.opt.Child
	if c == nil || !c.released.Load() || c.ended.Load() || c.killed.Load() || r.stopping.Load() {
		return false
	}
	now := time.Now()
	switch signal, _ := s.(syscall.Signal); {
	case c.asked.IsZero():
		c.asked = now
		go c.endInOrder(signal, r.session, r.opt.Errors)
	case now.Sub(c.asked) >= signalPatience:
		c.asked = now
		select {
		case c.hurry <- struct{}{}:
		default:
		}
	}
	return true
}

// endInOrder gives the command the time to end by itself if it has got the signal as skep has; else, or if that takes too long, it is told to,
// and killed at last.
func (c *Child) endInOrder(signal syscall.Signal, session host.Session, errors io.Writer) {
	if c.hasGot(signal, session) {
		notice := time.AfterFunc(slowEnd, func() { fmt.Fprintln(errors, "The command has not ended yet; Ctrl-C again ends it") })
		ended := c.endsWithin(ownPatience)
		notice.Stop()
		if ended {
			return
		}
	}
	c.terminate()
}

// terminate ends the command by force if it does not end as it is told to.
func (c *Child) terminate() {
	c.process.Signal(syscall.SIGTERM)
	if !c.endsWithin(killPatience) {
		c.killed.Store(true)
		c.process.Kill()
	}
}

// endsWithin waits for the end of the command. It is false when the time is over or the user wants to hurry.
func (c *Child) endsWithin(patience time.Duration) bool {
	select {
	case <-c.done:
		return true
	case <-c.hurry:
	case <-time.After(patience):
	}
	return false
}

// hasGot reports whether the command got a signal of its own when skep got it: from the terminal, or as skep's process group did.
func (c *Child) hasGot(signal syscall.Signal, session host.Session) bool {
	if signal != syscall.SIGTERM && foreground() {
		return true
	}
	tracer, is := session.(host.Command)
	since := time.Now().Add(-together)
	for deadline := time.Now().Add(seenPatience); is && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if tracer.Signalled(signal, since) {
			return true
		}
	}
	return false
}

// foreground reports whether skep is what its terminal sends signals to.
func foreground() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
