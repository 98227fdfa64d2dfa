package trace

import (
	"encoding/json"
	"os/exec"
	"strings"

	"skep/schema"
	"skep/symbol"
)

// Answers stand between a run and what it asks the machine: they may remember what it says, or know what another one has said.
type Answers interface {
	// Answer gives the text for a question about a subject. ask asks this machine.
	Answer(about, question string, ask func() string) string
}

// answer asks the machine, or who stands between.
func (o *Options) answer(about, question string, ask func() string) string {
	if o.Answers == nil {
		return ask()
	}
	return o.Answers.Answer(about, question, ask)
}

// answeredSymbols asks for names by Answers.
type answeredSymbols struct {
	Symbols
	answers Answers
}

func (s answeredSymbols) Kernel(addrs []uint64) []symbol.Symbol {
	return s.all("ksym", 0, addrs, s.Symbols.Kernel)
}

func (s answeredSymbols) User(pid int, addrs []uint64) []symbol.Symbol {
	return s.all("usym", pid, addrs, func(addrs []uint64) []symbol.Symbol { return s.Symbols.User(pid, addrs) })
}

// all asks for each address by itself: another script will ask for others together.
func (s answeredSymbols) all(about string, pid int, addrs []uint64, ask func([]uint64) []symbol.Symbol) []symbol.Symbol {
	var asked []symbol.Symbol
	names := make([]symbol.Symbol, len(addrs))
	for i, addr := range addrs {
		question := string(appendUint(append(appendInt(nil, int64(pid)), ' '), addr, 16))
		names[i] = symbol.Symbol{Addr: addr}
		text := s.answers.Answer(about, question, func() string {
			if asked == nil {
				asked = ask(addrs) // at once, which is much quicker
			}
			b, _ := json.Marshal(asked[i]) // of strings and numbers
			return string(b)
		})
		if json.Unmarshal([]byte(text), &names[i]) != nil {
			names[i] = symbol.Symbol{}
		}
		names[i].Addr = addr
	}
	return names
}

type buildID struct {
	ID     string
	Offset uint64
	OK     bool
}

func (s answeredSymbols) BuildID(pid int, addr uint64) (id string, offset uint64, ok bool) {
	question := string(appendUint(append(appendInt(nil, int64(pid)), ' '), addr, 16))
	var found buildID
	text := s.answers.Answer("buildid", question, func() string {
		found.ID, found.Offset, found.OK = s.Symbols.BuildID(pid, addr)
		b, _ := json.Marshal(found)
		return string(b)
	})
	if json.Unmarshal([]byte(text), &found) != nil {
		return "", 0, false
	}
	return found.ID, found.Offset, found.OK
}

// commandText is what a command has said, and how it ended.
type commandText struct {
	Output []byte
	Failed string
}

// answeredCommand runs a command to its end, or knows what it said.
func (r *run) answeredCommand(line string) {
	var said commandText
	text := r.opt.answer("system", line, func() string {
		output, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
		said.Output = output
		if err != nil {
			said.Failed = commandFailure(err)
		}
		b, _ := json.Marshal(said)
		return string(b)
	})
	if json.Unmarshal([]byte(text), &said) != nil {
		r.message("WARNING: system() runs nothing in a replay, and the recording does not have what this said: " + strings.TrimSpace(line))
		return
	}
	if said.Failed == "" || len(said.Output) > 0 {
		r.sink.text(schema.System, said.Output)
	}
	if said.Failed != "" {
		r.message("ERROR: " + said.Failed)
	}
}
