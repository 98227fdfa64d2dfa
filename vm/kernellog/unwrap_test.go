package kernellog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestWrapped asks that each log is explained in the same way with what journals, containers, terminals and strings put around it.
func TestWrapped(t *testing.T) {
	each := func(f func(i int, line string) string) func(string) string {
		return func(log string) string {
			lines := strings.Split(strings.TrimSpace(log), "\n")
			for i, line := range lines {
				lines[i] = f(i, line)
			}
			return strings.Join(lines, "\n") + "\n"
		}
	}
	wraps := map[string]func(string) string{
		"journal": each(func(_ int, l string) string { return "Nov 30 22:00:01 host loader[123]: " + l }),
		"compose": each(func(_ int, l string) string { return "agent-1  | 2026-11-30T22:00:01.5Z ERROR " + l }),
		"runtime": each(func(_ int, l string) string { return "2026-11-30T22:00:01.123456789Z stderr F " + l }),
		"dmesg":   each(func(i int, l string) string { return "[  12." + strconv.Itoa(100+i) + "] " + l }),
		"own":     each(func(_ int, l string) string { return "loader: bpf: " + l }),
		"colours": each(func(_ int, l string) string { return "\x1b[31m" + l + "\x1b[0m" }),
		"quoted":  strconv.Quote,
		"repr": func(log string) string {
			return "b'" + strings.NewReplacer("\\", `\\`, "'", `\'`, "\n", `\n`).Replace(log) + "'"
		},
		"markdown": each(func(_ int, l string) string { return "> " + l }),
		"json": func(log string) string {
			b, _ := json.Marshal(map[string]string{"level": "error", "msg": log})
			return string(b)
		},
	}
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		log := string(txtar.Parse(text).Files[0].Data)
		want, err := Explain(log)
		if err != nil {
			t.Fatal(err)
		}
		for how, wrap := range wraps {
			got, err := Explain(wrap(log))
			if err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
			} else if got.String() != want.String() {
				t.Errorf("%s, %s:\n%s\ninstead of\n%s", name, how, got, want)
			}
		}
	}
}

// TestOneLine explains errors that have the log's last lines in them.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]struct {
		rule, kernel string
		insn         int
	}{
		"field Exec: program handle_exec: load program: permission denied: 12: (71) r1 = *(u8 *)(r6 +5): R6 invalid mem access 'map_value_or_null' (5 line(s) omitted)": {"null", "R6 invalid mem access 'map_value_or_null'", 12},
		"2026/11/30 22:00:01 loading: load program: invalid argument: last insn is not an exit or jmp":                                                                  {"fall through", "last insn is not an exit or jmp", -1},
		"load program: argument list too long: BPF program is too large. Processed 1000001 insn (120 lines omitted)":                                                    {"complexity", "BPF program is too large. Processed 1000001 insn", -1},
	} {
		e, err := Explain(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if e.Rule != want.rule || e.Kernel != want.kernel || e.At.Insn != want.insn {
			t.Errorf("%s: %q %q at %d", text, e.Rule, e.Kernel, e.At.Insn)
		}
	}
}

// TestGlobal asks for the rule of a message that is about a function, and not about the program.
func TestGlobal(t *testing.T) {
	e, err := Explain("Global function f() doesn't return scalar. Only those are supported.")
	if err != nil || !strings.HasPrefix(e.Required(), "a global function returns a number") {
		t.Errorf("%+v %v", e, err)
	}
}
