// Package kernellog explains logs of the kernel's verifier in the words of package verifier, without the program.
package kernellog

import (
	"errors"
	"strings"

	"skep/vm/verifier"
)

// An Explanation is what a log tells.
type Explanation struct {
	At      Place  // the refused instruction; Insn is -1 if the log does not say
	Kernel  string // the kernel's message
	Rule    string // as in verifier.Rejection; "" if the message is not known here
	Text    string // the message in other words
	Known   string // what the log knows of the register that the message is about
	Path    []Cause
	Advice  string // what to do; nobody has tried it
	Walked  string // "processed N insns …", if it is there
	Partial bool   // the beginning of the log is missing, so that the path may be, too
}

// Required is what the rule asks for.
func (e *Explanation) Required() string {
	if strings.HasPrefix(e.Kernel, "Global function ") {
		return "a global function returns a number, since its callers are verified without it" // whatever the program's type
	}
	return verifier.Required(e.Rule)
}

// A Place is an instruction, and its source if the log has it.
type Place struct {
	Insn   int
	Code   string // the instruction as the kernel writes it
	Source string
	File   string // with the line's number: "file.c:12"
}

// A Cause is one step on the way to what is known, the last one first.
type Cause struct {
	Place
	Text string
}

// ErrNoMessage means that a text has no message of a verifier.
var ErrNoMessage = errors.New("there is no message of the kernel's verifier in it")

// Explain reads a log, of any kernel, with whatever the loader has written around it.
func Explain(text string) (*Explanation, error) {
	l := parse(unwrap(text))
	if len(l.messages) == 0 {
		return nil, ErrNoMessage
	}
	e := &Explanation{At: Place{Insn: -1}, Kernel: strings.Join(l.messages, "\n"), Walked: l.walked, Partial: len(l.events) > 0 && l.events[0].insn != 0}
	f := recognise(l.messages)
	if f.rule == "" && len(l.events) == 0 && l.walked == "" {
		return nil, ErrNoMessage
	}
	e.Rule, e.Text, e.Advice = f.rule, f.text, f.advice
	if len(l.events) > 0 {
		last := len(l.events) - 1
		if f.insn >= 0 {
			last = l.lastAt(f.insn, last)
		}
		if last >= 0 {
			e.At = l.place(last)
			reg := f.reg
			switch {
			case reg < 0 && f.pointer:
				reg = l.events[last].base()
			case reg < 0 && f.rule == "unbounded":
				reg = l.added(last)
			}
			if reg >= 0 {
				known := f.known
				if known == "" && f.rule != "uninitialized" {
					known = l.known(last, reg)
				}
				if known != "" {
					e.Known = "r" + itoa(reg) + " is " + known
				}
				e.Path = l.causes(last, reg, f.pointer)
				if f.rule == "not a pointer" {
					e.notPointer(l, last, reg, known)
				}
			}
			if f.rule == "reference" || f.rule == "lock" {
				e.Path = l.branches(last, f.from)
			}
		}
	}
	if e.At.Insn < 0 && f.insn >= 0 {
		e.At.Insn = f.insn
	}
	return e, nil
}

// notPointer says more of what is followed and is none: a null pointer, or one that a call has made invalid, which the log does not show.
func (e *Explanation) notPointer(l *parsed, i, reg int, known string) {
	switch {
	case known == "a number 0":
		e.Rule, e.Advice = "null", adviseNull
		e.Text = "r" + itoa(reg) + " is null on this path: it must be compared with 0 before it is followed"
	case strings.Contains(known, "pointer"):
		e.Known = ""
		for i = l.before(i); i >= 0; i = l.before(i) {
			if l.events[i].regs[reg] != "" {
				return
			}
			if m := callCode.find(l.events[i].code); m != nil && m[1] != "pc" {
				e.Path = append([]Cause{{l.place(i), m[1] + " makes r" + itoa(reg) + " unusable, which was " + known}}, e.Path...)
				e.Advice = "get the pointer again behind the call, or use it before"
				return
			}
		}
	}
}
