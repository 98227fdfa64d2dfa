package verifier

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var walkedInsn = regexp.MustCompile(`^(\d+): \(`)

// compareWalks tells where the walk of a program parts from the kernel's, which writes a log of its own.
func (k *kernelUnderTest) compareWalks(t *testing.T, s sample) {
	var mine []int
	var regs [][11]reg
	var text []string
	o := k.options()
	o.trace = func(v *verifier) {
		mine = append(mine, v.insn)
		regs = append(regs, *v.regs())
		line := fmt.Sprintf("%d: frame %d", v.insn, v.cur.top)
		for i := range v.regs() {
			if x := &v.regs()[i]; x.kind != notInit {
				line += fmt.Sprintf(" r%d=%s", i, x.debug())
			}
		}
		for i := range v.cur.frame().stack {
			if sl := &v.cur.frame().stack[i]; sl.fill != [8]fill{} {
				line += fmt.Sprintf(" fp-%d=%v", 8*i+8, sl.fill)
				if sl.spilled() {
					line += sl.reg.debug()
				}
			}
		}
		text = append(text, line)
	}
	r := verify(s.prog, k.version, o)
	a := k.load(s.prog, true)
	n := 0
	for i, line := range strings.Split(a.log, "\n") {
		m := walkedInsn.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, _ := strconv.Atoi(m[1])
		if n >= len(mine) || mine[n] != at {
			lines := strings.Split(a.log, "\n")
			t.Logf("parts at step %d: kernel\n%s", n, strings.Join(lines[max(0, i-40):min(len(lines), i+8)], "\n"))
			t.Logf("here:\n%s", strings.Join(text[max(0, n-12):min(len(text), n+3)], "\n"))
			break
		}
		n++
		if n < len(regs) && mine[n] == at+s.prog.insns[at].width() {
			if d := registerDifference(line, &regs[n]); d != "" {
				t.Logf("step %d: kernel: %s\n%s", n, line, d)
			}
		}
	}
	if n < len(mine) {
		t.Logf("kernel ends at step %d:\n%s\nhere:\n%s", n, tail(a.log, 60), strings.Join(text[max(0, n-6):min(len(text), n+3)], "\n"))
	}
	t.Logf("%s: kernel %v %d insns %s; here %v %d insns %v", s.name, a.accepted, a.insns, a.reason(), r.Verdict, r.Cost.Insns, r.Rejection)
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
func (r *reg) debug() string {
	s := fmt.Sprintf("%d/%d", r.kind, r.flags)
	if r.precise {
		s += "P"
	}
	return fmt.Sprintf("%s(id=%x,off=%d,size=%d,%v,s[%d,%d],u[%d,%d],s32[%d,%d],u32[%d,%d])", s, r.id, r.off, r.size, r.bits, r.smin, r.smax, r.umin, r.umax, r.s32min, r.s32max, r.u32min, r.u32max)
}
