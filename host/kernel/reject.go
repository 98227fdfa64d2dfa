package kernel

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
)

// The verifier's log starts at a size that most logs fit into.
const (
	logStart = 256 << 10
	logMost  = 16 << 20
)

// What the log has (BPF_LOG_LEVEL1, BPF_LOG_STATS).
const (
	logInstructions = 1
	logStatistics   = 4
)

// explainProgram finds out why a program was not loaded: it is loaded again with a log.
func (s *session) explainProgram(p *program, attr *progLoadAttr, err error) error {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return noBPF(err)
	case errors.Is(err, unix.E2BIG) && attr.insnCount > 1_000_000:
		return &host.Rejected{Program: p.name, Insn: -1, Reason: "it has more than a million instructions", Err: err}
	}
	// Of a program that the verifier gives up after a million instructions each look costs seconds, and only the end of the log tells
	// something. Since Linux 6.4 that is what a small buffer keeps; before, the log of the statistics has the reason at least.
	level, most := uint32(logInstructions), logMost
	if errors.Is(err, unix.E2BIG) {
		if most = logStart; version() < 6<<16|4<<8 {
			level = logStatistics
		}
	}
	log, fd, again := verifierLog(attr, level, most)
	if again == nil {
		// The first time it was a passing shortage, such as of memory.
		unix.Close(fd)
		return fmt.Errorf("loading program %s: %w", p.name, err)
	}
	if log == "" {
		if errors.Is(err, unix.EPERM) {
			return denied("loading programs", err)
		}
		if errors.Is(err, unix.EINVAL) && (p.spec.Type == ebpf.Tracing) {
			return &host.Missing{What: "a program of type " + p.spec.Type.String(), Why: "the kernel does not take it: " + err.Error()}
		}
		return fmt.Errorf("loading program %s: %w", p.name, err)
	}
	r := &host.Rejected{Program: p.name, Log: log, Err: err}
	r.Insn, r.Reason = readLog(log)
	if r.Insn >= 0 {
		r.Insn -= p.gate
	}
	if unknownHelper(log) && lockdown() == "confidentiality" {
		return &host.Missing{What: "reading kernel memory", Why: "lockdown=confidentiality"}
	}
	return r
}

// verifierLog loads a program for its log, of at most so many bytes. If it loads this time, fd is its descriptor.
func verifierLog(attr *progLoadAttr, level uint32, most int) (log string, fd int, err error) {
	again := *attr
	again.logLevel = level
	for size := logStart; ; size *= 4 {
		buf := make([]byte, size)
		again.log, again.logSize = &buf[0], uint32(size)
		fd, err = bpf(unix.BPF_PROG_LOAD, &again)
		log = unix.ByteSliceToString(buf)
		if errors.Is(err, unix.ENOSPC) && size < most {
			continue
		}
		return strings.TrimRight(log, "\n"), fd, err
	}
}

// The forms of lines, compiled only for a log.
func compileLog() (insn, noise, place *regexp.Regexp) {
	return regexp.MustCompile(`^(\d+): (?:\(|R\d)`),
		// Statistics, states and notes between the instructions and at the end.
		regexp.MustCompile(`^(processed \d+ insns|verification time|stack depth|mark_precise:|last_idx|regs=|parent |cur state:|old state:|; |\d+: |from \d+ to |func#|R\d+(_w)?=)`),
		regexp.MustCompile(`\binsn (\d+)`)
}

// readLog finds the instruction at which the verifier stopped, and what it said after it: usually a line or two.
func readLog(log string) (insn int, reason string) {
	logInsn, logNoise, logPlace := compileLog()
	insn = -1
	var said []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if m := logInsn.FindStringSubmatch(line); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				insn = n
			}
			said = nil
			continue
		}
		if line != "" && len(said) < 2 && !logNoise.MatchString(line) {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		const loop = "infinite loop detected" // stands behind the instruction, on its line
		if strings.Contains(log, loop) {
			return insn, loop
		}
		return insn, "no reason given"
	}
	if m := logPlace.FindStringSubmatch(said[0]); m != nil && insn < 0 {
		insn, _ = strconv.Atoi(m[1])
	}
	return insn, strings.Join(said, "; ")
}

// unknownHelper: "unknown func bpf_x#12", "program of this type cannot use helper bpf_x#12", "invalid func unknown#12".
func unknownHelper(log string) bool {
	return strings.Contains(log, "unknown func ") || strings.Contains(log, "invalid func ") || strings.Contains(log, "cannot use helper ")
}
