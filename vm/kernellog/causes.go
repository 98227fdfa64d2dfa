package kernellog

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	moveCode    = pattern{text: `^([rw])(\d+) = (\(s\d+\) ?)?([rw])(\d+)$`}
	constCode   = pattern{text: `^[rw](\d+) = (-?(?:0x)?[0-9a-f]+)(?: ll)?$`}
	computeCode = pattern{text: `^[rw](\d+) (s?>>|<<|[-+*/|&^%]|s/|s%)= (?:[rw](\d+)|(\S+))$`}
	loadCode    = pattern{text: `^r(\d+) = \*\([su](\d+) ?\*\)\(r(\d+) ([-+]) ?(\d+)\)$`}
	storeCode   = pattern{text: `^\*\(u(\d+) ?\*\)\(r(\d+) ([-+]) ?(\d+)\) = (?:r(\d+)|\S+)$`}
	branchCode  = pattern{text: `^if [rw](\d+) (\S+) (?:[rw](\d+)|(\S+)) goto`}
	callCode    = pattern{text: `^call ([a-z_]\w*)(?:#-?\d+)?`}
)

// base is the register that an instruction accesses memory through, -1 if it does not.
func (e *event) base() int {
	if m := loadCode.find(e.code); m != nil {
		return number(m[3])
	}
	if m := storeCode.find(e.code); m != nil {
		return number(m[2])
	}
	return -1
}

// added is the number in an addition to a pointer, -1 if the event is none.
func (l *parsed) added(i int) int {
	m := computeCode.find(l.events[i].code)
	if m == nil || m[3] == "" {
		return -1
	}
	if strings.Contains(l.known(i, number(m[3])), "pointer") {
		return number(m[1])
	}
	return number(m[3])
}

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "+"))
	if err != nil {
		return -1
	}
	return n
}

// A place in a program's state: a register, or where it is stored in the stack.
type wanted struct {
	reg, depth int
	off, size  int // of the stack; size is 0 for a register
	pointer    bool
}

const mostCauses = 8

// causes follows a register backwards through the log.
func (l *parsed) causes(i, reg int, pointer bool) (all []Cause) {
	w := wanted{reg: reg, depth: l.events[i].depth, pointer: pointer}
	for i = l.before(i); i >= 0 && len(all) < mostCauses; i = l.before(i) {
		e := &l.events[i]
		if e.depth != w.depth {
			if strings.HasPrefix(e.code, "call pc") && e.depth == w.depth-1 {
				if w.depth--; w.size > 0 || w.reg > 5 {
					break
				}
				all = append(all, Cause{l.place(i), fmt.Sprintf("r%d was given to the function here", w.reg)})
			}
			continue
		}
		text, done := e.cause(&w)
		if text != "" {
			if known := e.regs[w.reg]; known != "" && !done && w.size == 0 && branchCode.matches(e.code) {
				text += ", so that it is " + describe(known)
			}
			all = append(all, Cause{l.place(i), text})
		}
		if done {
			break
		}
	}
	return all
}

// cause tells what an instruction has to do with what is wanted; done says that its value was made here.
func (e *event) cause(w *wanted) (text string, done bool) {
	if w.size > 0 {
		return e.stored(w)
	}
	is := func(s string) bool { return s != "" && number(s) == w.reg }
	if m := moveCode.find(e.code); m != nil {
		if !is(m[2]) {
			return "", false
		}
		dst := w.reg
		w.reg = number(m[5])
		if m[1] == "w" {
			text = fmt.Sprintf("r%d is the lower half of r%d", dst, w.reg)
		}
		return text, false
	}
	if m := constCode.find(e.code); m != nil && is(m[1]) {
		return fmt.Sprintf("r%d is set to %s", w.reg, m[2]), true
	}
	if m := computeCode.find(e.code); m != nil && is(m[1]) {
		if m[3] == "" {
			return fmt.Sprintf("r%d is computed with %s (%s)", w.reg, m[4], m[2]), false
		}
		text = fmt.Sprintf("r%d is computed with r%s (%s)", w.reg, m[3], m[2])
		if w.pointer {
			w.reg, w.pointer = number(m[3]), false // what was added is what is not known
		}
		return text, false
	}
	if m := loadCode.find(e.code); m != nil && is(m[1]) {
		if m[3] == "10" {
			w.off, w.size = number(m[4]+m[5]), number(m[2])/8
			return fmt.Sprintf("r%d is read back from the stack", w.reg), false
		}
		if known := describe(e.regs[w.reg]); strings.Contains(known, "pointer") || strings.Contains(known, "packet") {
			return fmt.Sprintf("r%d is read here: it is %s", w.reg, known), true
		}
		return fmt.Sprintf("r%d is loaded from memory: of what memory holds nothing is known", w.reg), true
	}
	if m := branchCode.find(e.code); m != nil {
		other := m[3]
		if other != "" {
			other = "r" + other
		} else {
			other = m[4]
		}
		switch {
		case is(m[1]):
			return fmt.Sprintf("r%d is compared with %s", w.reg, other), false
		case is(m[3]):
			return fmt.Sprintf("r%d is compared with r%s", w.reg, m[1]), false
		}
		return "", false
	}
	if m := callCode.find(e.code); m != nil && w.reg <= 5 && m[1] != "pc" {
		if w.reg == 0 {
			return "r0 is what " + m[1] + " returned", true
		}
		return fmt.Sprintf("the call makes r%d unusable", w.reg), true
	}
	return "", false
}

// stored tells what an instruction has to do with bytes of the stack.
func (e *event) stored(w *wanted) (text string, done bool) {
	m := storeCode.find(e.code)
	if m == nil || m[2] != "10" {
		return "", false
	}
	off, size := number(m[3]+m[4]), number(m[1])/8
	switch {
	case off == w.off && size == w.size && m[5] == "":
		return "it was stored in the stack here", true
	case off == w.off && size == w.size:
		w.reg, w.size = number(m[5]), 0
		return "it was stored in the stack here", false
	case off < w.off+w.size && w.off < off+size:
		return fmt.Sprintf("%d bytes at offset %d of the stack are stored, of %d at offset %d that are read", size, off, w.size, w.off), true
	}
	return "", false
}

// branches are the last branches of the path, back to where something was acquired.
func (l *parsed) branches(i, from int) (all []Cause) {
	next := l.events[i].insn
	for i = l.before(i); i >= 0 && len(all) < 5; i = l.before(i) {
		e := &l.events[i]
		if branchCode.matches(e.code) {
			way := "takes"
			if next == e.insn+1 {
				way = "goes on behind"
			}
			all = append(all, Cause{l.place(i), "the path " + way + " this branch"})
		}
		if m := callCode.find(e.code); m != nil && (e.insn == from || from < 0 && strings.Contains(m[1], "lock")) {
			return append(all, Cause{l.place(i), m[1] + " gives what must be given back"})
		}
		next = e.insn
	}
	return all
}

// known is what the log last said of a register before an event, in words.
func (l *parsed) known(i, reg int) string {
	depth := l.events[i].depth
	for i = l.before(i); i >= 0; i = l.before(i) {
		if text := l.events[i].regs[reg]; text != "" && l.events[i].depth == depth {
			return describe(text)
		}
	}
	return ""
}
