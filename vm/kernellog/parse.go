package kernellog

import (
	"strconv"
	"strings"
)

// A parsed log is the instructions in the order in which the kernel walked them.
type parsed struct {
	events   []event
	messages []string
	walked   string
}

// An event is an instruction that was walked.
type event struct {
	insn  int
	code  string
	from  int // a branch is walked now that was left at this instruction; -1 if it follows on the one before
	regs  map[int]string
	src   string
	file  string
	depth int
}

var (
	insnLine  = pattern{text: `^(\d+): \(([0-9a-f]{2})\) (.*)$`}
	fromLine  = pattern{text: `^from (\d+) to (\d+)(?: \(speculative execution\))?: ?(.*)$`}
	stateLine = pattern{text: `^(?:\d+: )?(?:frame\d+: )?(R\d+.*)$`}
	sourceAt  = pattern{text: `^(.*) @ (\S+:\d+)(?::\d+)?$`}
	register  = pattern{text: `R(\d+)(?:_[a-z]+)?=(?:([^\s(]*)\(([^)]*(?:\([^)]*\)[^)]*)*)\)|(\S+))`}
	noise     = pattern{text: `^(?:processed \d+ insns|verification time|stack depth|mark_precise|\d+: BUG_|last_idx|regs=|parent |returning from|caller:|callee:|propagating|Func#|func#|Validating|arg#\d+ type is not|Unrecognized arg#|old state|cur state|live regs|max_states|peak_states|total_states|-- (BEGIN|END)|libbpf:|Live regs|\(\d+ line|load program: [a-z ]+:$|Error|error|BTF_KIND|\.\.\.|\.{3})`}
	// branchState stands behind a branch of which one way is taken: "goto pc+4 19: R0=1".
	branchState = pattern{text: ` \d+: (?:frame\d+: )?`}
	liveLine    = pattern{text: `^\d+: [.0-9]{10} \(`}
)

// parse finds instructions and messages in a text.
func parse(text string) *parsed {
	l := &parsed{}
	src, file, from, fresh := "", "", -1, false
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "verification time ") // it may stand behind a message without an end
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "|"))
		switch m := insnLine.find(line); {
		case line == "" || liveLine.matches(line):
		case strings.HasPrefix(line, "processed "):
			l.walked = line
		case m != nil:
			at, _ := strconv.Atoi(m[1])
			code, state, _ := strings.Cut(m[3], ";")
			if at := branchState.compiled().FindStringIndex(code); at != nil {
				code, state = code[:at[0]], code[at[1]:] // what the branch taken knows
			}
			if last := len(l.events) - 1; !fresh && last >= 0 && at != l.events[last].insn+1 && at != l.events[last].insn+2 {
				src, file = l.source(at) // a jump has led there, and the kernel is silent about lines that it thinks known
			}
			fresh = false
			l.events = append(l.events, event{insn: at, code: strings.TrimSpace(code), from: from, regs: registers(state), src: src, file: file})
			l.messages, from = nil, -1
		case strings.HasPrefix(line, "; "):
			src, file, fresh = line[2:], "", true
			if m := sourceAt.find(src); m != nil {
				src, file = m[1], m[2]
			}
		case strings.HasPrefix(line, "from "):
			if m := fromLine.find(line); m != nil {
				from, _ = strconv.Atoi(m[1])
				l.messages = nil
				l.learn(registers(m[3]))
			}
		case stateLine.matches(line) && register.matches(line) && strings.Contains(line, "="):
			if !looksLikeMessage(line) {
				l.learn(registers(line))
				break
			}
			l.messages = append(l.messages, line)
		case noise.matches(line):
		default:
			l.messages = append(l.messages, line)
		}
	}
	l.trim()
	l.nest()
	return l
}

// source is what an earlier walk has said of an instruction's line.
func (l *parsed) source(insn int) (src, file string) {
	if i := l.lastAt(insn, len(l.events)-1); i >= 0 {
		return l.events[i].src, l.events[i].file
	}
	return "", ""
}

// trim takes out of the messages what a loader has added: anything before or after what is known.
func (l *parsed) trim() {
	for i, m := range l.messages {
		if f := recognise([]string{m}); f.rule != "" {
			end := i + 1
			for end < len(l.messages) && end < i+3 && recognise(l.messages[end:end+1]).rule != "" {
				end++
			}
			l.messages = l.messages[i:end]
			return
		}
	}
	if n := len(l.messages); n > 2 {
		l.messages = l.messages[:2]
	}
}

// looksLikeMessage tells messages that begin with a register from states.
func looksLikeMessage(line string) bool {
	_, rest, ok := strings.Cut(line, " ")
	return ok && !strings.Contains(strings.SplitN(line, " ", 2)[0], "=") && rest != "" && !strings.HasPrefix(rest, "R")
}

// learn adds what a line of its own says to the last instruction: what is known after it.
func (l *parsed) learn(regs map[int]string) {
	if len(l.events) == 0 || len(regs) == 0 {
		return
	}
	e := &l.events[len(l.events)-1]
	if e.regs == nil {
		e.regs = map[int]string{}
	}
	for n, text := range regs {
		e.regs[n] = text
	}
}

func registers(text string) map[int]string {
	var all map[int]string
	for _, m := range register.findAll(text) {
		n, _ := strconv.Atoi(m[1])
		if all == nil {
			all = map[int]string{}
		}
		switch {
		case m[4] != "":
			all[n] = m[4]
		default:
			all[n] = m[2] + "(" + m[3] + ")"
		}
	}
	return all
}

// nest counts the calls of functions, so that a register is told from the same one of another function.
func (l *parsed) nest() {
	depth := 0
	for i := range l.events {
		e := &l.events[i]
		if e.from >= 0 {
			if at := l.lastAt(e.from, i-1); at >= 0 {
				depth = l.events[at].depth
			}
		}
		e.depth = depth
		switch {
		case strings.HasPrefix(e.code, "call pc"):
			depth++
		case e.code == "exit" && depth > 0:
			depth--
		}
	}
}

// lastAt is the last walk of an instruction up to an event, -1 if there is none.
func (l *parsed) lastAt(insn, i int) int {
	for ; i >= 0; i-- {
		if l.events[i].insn == insn {
			return i
		}
	}
	return -1
}

// before is the event before another one on its path, -1 if the log does not have it.
func (l *parsed) before(i int) int {
	if from := l.events[i].from; from >= 0 {
		return l.lastAt(from, i-1)
	}
	return i - 1
}

func (l *parsed) place(i int) Place {
	e := &l.events[i]
	return Place{e.insn, e.code, e.src, e.file}
}

func itoa(n int) string { return strconv.Itoa(n) }
