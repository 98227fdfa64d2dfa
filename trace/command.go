package trace

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"skep/schema"
)

// commands runs the shell commands of system(), one after the other.
type commands struct {
	queue   []string
	running bool
	done    chan commandResult
}

type commandResult struct {
	output []byte
	err    error
}

func newCommands() *commands { return &commands{done: make(chan commandResult, 1)} }

// commandPatience is how long a command is waited for at once, so that the output of a quick one stands where the script
// put it. A slower one goes on while events are read, and its output comes when it has ended.
const commandPatience = 50 * time.Millisecond

// maxCommands bounds the queue of commands that wait for a slow one.
const maxCommands = 1024

func (r *run) system(line string) {
	if r.player != nil {
		r.out.flush()
		r.answeredCommand(line)
		return
	}
	c := r.commands
	if c.running {
		if len(c.queue) >= maxCommands {
			r.message("WARNING: system() is called faster than its commands run: not run: " + line)
			return
		}
		c.queue = append(c.queue, line)
		return
	}
	r.out.flush() // what was printed before must be seen before what the command does
	c.start(line)
	timer := time.NewTimer(commandPatience)
	defer timer.Stop()
	select {
	case done := <-c.done:
		r.commandDone(done)
	case <-timer.C:
	}
}

func (c *commands) start(line string) {
	c.running = true
	go func() {
		output, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
		c.done <- commandResult{output, err}
	}()
}

// commandDone prints the output of a command and starts the next.
func (r *run) commandDone(done commandResult) {
	c := r.commands
	c.running = false
	if done.err == nil || len(done.output) > 0 {
		r.sink.text(schema.System, done.output)
	}
	if done.err != nil {
		r.message("ERROR: " + commandFailure(done.err))
	}
	if len(c.queue) > 0 {
		line := c.queue[0]
		c.queue = c.queue[1:]
		r.out.flush()
		c.start(line)
	}
}

// commandFailure says how a command has ended that failed.
func commandFailure(err error) string {
	var failed *exec.ExitError
	switch {
	case !errors.As(err, &failed):
		return err.Error()
	case failed.Exited():
		return fmt.Sprintf("command exited with code %d", failed.ExitCode())
	}
	return "child process did not exit normally"
}

// finishCommands waits for all commands.
func (r *run) finishCommands() {
	for r.commands.running {
		r.commandDone(<-r.commands.done)
	}
}
