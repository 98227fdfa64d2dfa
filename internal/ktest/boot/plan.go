package boot

import (
	"bytes"
	"encoding/json"
	"time"
)

// PlanPath is where a guest finds what to do.
const PlanPath = "/ktest/plan.json"

// A Plan is what the guest's init does after mounting the usual file systems.
type Plan struct {
	Env      []string // of every program
	Modules  []string // to load, in this order
	Programs []Program
	// Shell is a program to talk to on the console, instead of Programs.
	Shell string
	// Rows and Columns are the size of the shell's terminal.
	Rows, Columns int
}

// A Program is run to its end, with its output going to the host as it is written.
type Program struct {
	Name    string // what the host calls it
	Argv    []string
	Dir     string
	Timeout time.Duration // after which it is told to dump its stacks (SIGQUIT), and soon killed
	// Linger is how long processes that it leaves running may take to end. Later they are killed, which is a failure of the
	// program: exit status 1.
	Linger time.Duration
}

// The names of the two channels to the host. Output is written by the programs themselves: a write to the port
// returns when the host has the data, so that not even a panic of the kernel loses what came before it.
const (
	OutputPort = "skep.output"
	AlivePort  = "skep.alive"
)

// A Mark is what the init writes on the output port, between the programs' output.
type Mark struct {
	Kind    string // "booted", "start", "exit", "done"
	Program string `json:",omitempty"`
	// Code is the exit status of an ended program, 128 plus the signal if one ended it.
	Code     int    `json:",omitempty"`
	TimedOut bool   `json:",omitempty"`
	Text     string `json:",omitempty"` // "booted": the kernel's release; "done": what went wrong before the end
}

// markStart begins a mark and no line of sane output.
const markStart = "\x1eskep "

// Line renders the mark for the output port.
func (m Mark) Line() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return append(append([]byte(markStart), b...), '\n')
}

// cutMark splits a line into the output before a mark and the mark, if it has one.
func cutMark(line []byte) (output []byte, m Mark, ok bool) {
	i := bytes.Index(line, []byte(markStart))
	if i < 0 || json.Unmarshal(line[i+len(markStart):], &m) != nil {
		return line, Mark{}, false
	}
	return line[:i], m, true
}
