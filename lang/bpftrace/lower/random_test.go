package lower

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cilium/ebpf/rlimit"

	"skep/internal/ktest"
	"skep/ir"
)

var (
	randomScripts = flag.Int("random", 25, "how many random scripts to load")
	randomSeed    = flag.Uint64("seed", 1, "of the first random script")
)

// TestRandomScriptsLoad makes scripts of everything that the language has: what check accepts, the verifier must accept.
func TestRandomScriptsLoad(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.BTF)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	live := liveTarget(t)
	old := &ir.Target{Kernel: 5<<16 | 10<<8, Arch: live.Arch, CPUs: live.CPUs}
	accepted, scripts := 0, *randomScripts
	if ktest.Emulated() {
		scripts = min(scripts, 5)
	}
	for i := range uint64(scripts) {
		g := &generator{Rand: rand.New(rand.NewPCG(*randomSeed+i, 0)), vars: map[string][]string{}}
		text := g.script()
		if _, err := compileScript(text, live, Options{}); err != nil {
			t.Logf("seed %d: %v", *randomSeed+i, err)
			continue // the kinds of values do not fit together
		}
		accepted++
		t.Run(fmt.Sprint(*randomSeed+i), func(t *testing.T) {
			loadScript(t, text, live, Options{HelperErrors: i%5 == 0, OtherPIDNS: i%7 == 0})
			if _, err := compileScript(text, old, Options{}); err == nil {
				loadScript(t, text, old, Options{})
			}
		})
	}
	if accepted < scripts/2 && live.Supports(ir.ForEachMapElem) {
		t.Errorf("only %d of %d scripts were accepted", accepted, scripts)
	}
}

// generator makes random scripts.
type generator struct {
	*rand.Rand
	vars  map[string][]string // by kind: "int", "str", "tuple"
	loops int
	next  int
	depth int
	probe string
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) script() string {
	var b strings.Builder
	// All maps have their types from here.
	b.WriteString(`BEGIN { @i[(int64)1] = (int64)1; @s["x"] = "y"; @t["a", (int64)1] = ((int64)1, "b"); @n = (int64)0; @h["a"] = hist(1); }` + "\n")
	for range 1 + g.IntN(2) {
		g.vars = map[string][]string{}
		g.probe = g.pick("BEGIN", "END", "interval:s:1", "profile:hz:99", "software:faults:100", "tracepoint:syscalls:sys_enter_openat",
			"tracepoint:syscalls:sys_exit_read", "tracepoint:sched:sched_switch", "tracepoint:raw_syscalls:sys_enter", "rawtracepoint:sched_switch")
		b.WriteString(g.probe)
		if g.IntN(3) == 0 {
			b.WriteString(" /" + g.cond() + "/")
		}
		b.WriteString(" " + g.block(3+g.IntN(6)) + "\n")
	}
	return b.String()
}

func (g *generator) block(n int) string {
	saved := map[string][]string{}
	for k, v := range g.vars {
		saved[k] = v[:len(v):len(v)]
	}
	var b strings.Builder
	b.WriteString("{ ")
	for range n {
		b.WriteString(g.stmt() + " ")
	}
	b.WriteString("}")
	g.vars = saved
	return b.String()
}

func (g *generator) fresh(kind string) string {
	g.next++
	name := fmt.Sprintf("$%s%d", kind[:1], g.next)
	g.vars[kind] = append(g.vars[kind], name)
	return name
}

func (g *generator) stmt() string {
	g.depth++
	defer func() { g.depth-- }()
	n := g.IntN(24)
	if g.depth > 3 && n >= 18 {
		n -= 18
	}
	switch n {
	case 0, 1:
		x := g.int()
		return g.fresh("int") + " = (int64)(" + x + ");"
	case 2:
		x := g.str()
		return g.fresh("str") + " = " + x + ";"
	case 3:
		x := fmt.Sprintf("((int64)%s, %s)", g.int(), g.str())
		return g.fresh("tuple") + " = " + x + ";"
	case 4:
		if v := g.vars["int"]; len(v) > 0 {
			return fmt.Sprintf("%s %s %s;", v[g.IntN(len(v))], g.pick("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="), g.int())
		}
	case 5:
		if v := g.vars["str"]; len(v) > 0 {
			return fmt.Sprintf("%s = %s;", v[g.IntN(len(v))], g.str())
		}
	case 6:
		return fmt.Sprintf("@i[(int64)%s] = (int64)%s;", g.int(), g.int())
	case 7:
		return fmt.Sprintf("@s[%s] = %s;", g.str(), g.str())
	case 8:
		return fmt.Sprintf("@t[%s, (int64)%s] = ((int64)%s, %s);", g.str(), g.int(), g.int(), g.str())
	case 9:
		return fmt.Sprintf("@h[%s] = %s;", g.str(), g.pick("hist("+g.int()+")", "hist("+g.int()+")"))
	case 10:
		return g.pick("@c = count();", "@k[comm] = count();", "@sum[pid] = sum("+g.int()+");", "@av = avg("+g.int()+");",
			"@mi[cpu] = min("+g.int()+");", "@ma = max("+g.int()+");", "@st[comm] = stats("+g.int()+");", "@l = lhist("+g.int()+", 0, 100, 7);",
			"@hh = hist("+g.int()+", 2);")
	case 11:
		return g.pick("@i[1]++;", "@n++;", "@n += "+g.int()+";", "delete(@i, (int64)"+g.int()+");", "delete(@s, "+g.str()+");", "@n--;")
	case 12, 13:
		return fmt.Sprintf(`printf("%%d %%s %%d\n", %s, %s, %s);`, g.int(), g.str(), g.int())
	case 14:
		return fmt.Sprintf("print((%s, %s));", g.int(), g.str())
	case 15:
		return g.pick("print(@i);", "clear(@h);", "print(@i[1]);", "time();", "print("+g.str()+");", "print("+g.int()+");")
	case 16:
		return g.pick("@ks = kstack(3);", "@u[ustack(4)] = count();", "@dw[dw_ustack(4)] = count();", "@left[tid] = (nsecs, dw_ustack);")
	case 17:
		if g.loops > 0 {
			return "if (" + g.cond() + ") { " + g.pick("break", "continue", "return") + "; }"
		}
		return "if (" + g.cond() + ") { " + g.pick("return;", "exit();") + " }"
	case 18, 19:
		s := "if (" + g.cond() + ") " + g.block(1+g.IntN(3))
		if g.IntN(2) == 0 {
			s += " else " + g.block(1+g.IntN(2))
		}
		return s
	case 20:
		return "unroll(2) " + g.block(1)
	case 21:
		g.loops++
		defer func() { g.loops-- }()
		g.next++
		v := fmt.Sprintf("$r%d", g.next)
		to := g.pick("3", "40", "cpu")
		saved := g.vars["const"]
		g.vars["const"] = append(saved[:len(saved):len(saved)], v)
		body := g.block(1 + g.IntN(3))
		g.vars["const"] = saved
		return fmt.Sprintf("for %s : 0..%s %s", v, to, body)
	case 22:
		g.loops++
		defer func() { g.loops-- }()
		g.next++
		v := fmt.Sprintf("$kv%d", g.next)
		use := g.pick("print("+v+");", fmt.Sprintf("@n += %s.1;", v), fmt.Sprintf("@i[%s.0] = %s.1 + 1;", v, v))
		body := g.block(1 + g.IntN(3))
		return fmt.Sprintf("for (%s : @i) { %s %s", v, use, body[1:])
	case 23:
		return fmt.Sprintf("if (has_key(@i, (int64)%s)) { %s }", g.int(), "@n++;")
	}
	return "@z = count();"
}

func (g *generator) cond() string {
	switch g.IntN(7) {
	case 0:
		return fmt.Sprintf("%s == %s", g.str(), g.str())
	case 1:
		return fmt.Sprintf("%s && %s", g.int(), g.int())
	case 2:
		return fmt.Sprintf("!(%s || %s)", g.int(), g.int())
	case 3:
		return fmt.Sprintf("strncmp(%s, %s, 5) == 0", g.str(), g.str())
	case 4:
		return fmt.Sprintf("strcontains(%s, %q)", g.str(), "ab")
	}
	return fmt.Sprintf("%s %s %s", g.int(), g.pick("<", "<=", ">", ">=", "==", "!="), g.int())
}

func (g *generator) int() string {
	g.depth++
	defer func() { g.depth-- }()
	n := g.IntN(20)
	if g.depth > 5 {
		n %= 10
	}
	switch n {
	case 0, 1:
		return fmt.Sprint(g.IntN(300))
	case 2:
		return g.pick("pid", "tid", "uid", "gid", "cpu", "nsecs", "elapsed", "rand", "ncpus", "cgroup", "jiffies")
	case 3, 4, 5:
		if v := append(g.vars["const"][:len(g.vars["const"]):len(g.vars["const"])], g.vars["int"]...); len(v) > 0 {
			return v[g.IntN(len(v))]
		}
		return "7"
	case 6:
		return g.pick("@n", "@i[1]", "@i[(int64)pid]")
	case 7:
		if v := g.vars["tuple"]; len(v) > 0 {
			return v[g.IntN(len(v))] + ".0"
		}
		return "-3"
	case 8:
		return g.arg()
	case 9:
		return g.pick("((struct task_struct *)curtask)->pid", "curtask->real_parent->tgid", "curtask->cred->uid.val", "curtask->in_iowait")
	case 10:
		return fmt.Sprintf("(%s ? %s : %s)", g.cond(), g.int(), g.int())
	case 11:
		return fmt.Sprintf("(%s)(%s)", g.pick("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"), g.int())
	case 12:
		return fmt.Sprintf("%s(%s)", g.pick("-", "~"), g.int())
	case 13:
		return fmt.Sprintf("@t[%s, (int64)%s].0", g.str(), g.int())
	case 14:
		return "strlen(" + g.str() + ")"
	}
	return fmt.Sprintf("((int64)%s %s (int64)%s)", g.int(), g.pick("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"), g.int())
}

func (g *generator) arg() string {
	switch g.probe {
	case "tracepoint:syscalls:sys_enter_openat":
		return g.pick("args.flags", "args.dfd", "args.mode")
	case "tracepoint:syscalls:sys_exit_read":
		return "args.ret"
	case "tracepoint:sched:sched_switch":
		return g.pick("args.prev_pid", "args.next_prio", "args.prev_state")
	case "tracepoint:raw_syscalls:sys_enter":
		return g.pick("args.id", "args.args[1]", "args.args[pid % 6]")
	case "rawtracepoint:sched_switch":
		return g.pick("args.prev.pid", "args.next.real_parent.tgid", "args.preempt")
	}
	return "5"
}

func (g *generator) str() string {
	switch g.IntN(9) {
	case 0:
		return `"ab"`
	case 1:
		return `"a much longer string than the others are"`
	case 2, 3:
		return "comm"
	case 4, 5:
		if v := g.vars["str"]; len(v) > 0 {
			return v[g.IntN(len(v))]
		}
	case 6:
		return g.pick("@s[comm]", `@s["x"]`, "@t[comm, 1].1")
	case 7:
		if v := g.vars["tuple"]; len(v) > 0 {
			return v[g.IntN(len(v))] + ".1"
		}
	case 8:
		switch g.probe {
		case "tracepoint:syscalls:sys_enter_openat":
			return g.pick("str(args.filename)", "str(args.filename, 40)")
		case "tracepoint:sched:sched_switch":
			return "args.next_comm"
		case "rawtracepoint:sched_switch":
			return "args.next.comm"
		}
		return g.pick("str(pid)", "curtask.comm", "curtask->real_parent->comm")
	}
	return `"c"`
}
