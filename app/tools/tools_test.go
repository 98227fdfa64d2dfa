package tools

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/diag"
	"skep/internal/golden"
	"skep/lang/bpftrace/syntax"
)

// TestGolden runs testdata/*.txtar. An archive has a tool NAME.bt and perhaps
//
//	-- calls --          command lines of it, without its name
//	-- /PATH --          files of the machine on which it is called
//
// What comes out is either what is wrong with the header (errors), or the manual and what each call means (parameters).
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		out := map[string]string{}
		m := &Machine{Root: t.TempDir(), PID: 4242}
		var tool *Tool
		calls := ""
		for _, f := range ar.Files {
			switch {
			case strings.HasSuffix(f.Name, ".bt"):
				var err error
				if tool, err = Parse(f.Name, string(f.Data)); err != nil {
					out["errors"] = err.Error()
					return out
				}
			case f.Name == "calls":
				calls = string(f.Data)
			case strings.HasPrefix(f.Name, "/"):
				path := filepath.Join(m.Root, f.Name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
		}
		out["manual"] = tool.Manual()
		var b strings.Builder
		for line := range strings.Lines(calls) {
			b.WriteString(strings.ReplaceAll(describe(tool, m, strings.TrimSpace(line)), m.Root, ""))
		}
		out["parameters"] = b.String()
		return out
	})
}

func describe(tool *Tool, m *Machine, line string) string {
	call, err := tool.Command(m, strings.Fields(line))
	text := line + "\n"
	if err != nil {
		return text + "    ERROR: " + err.Error() + "\n"
	}
	for _, name := range slices.Sorted(maps.Keys(call.Params)) {
		text += fmt.Sprintf("    %s=%s\n", name, call.Params[name])
	}
	for _, own := range []struct {
		name string
		set  bool
	}{{"help", call.Help}, {"show", call.Show}, {"explain", call.Explain}, {"json", call.JSON}, {"verbose", call.Verbose}, {"version", call.Version}} {
		if own.set {
			text += "    (" + own.name + ")\n"
		}
	}
	if call.PID != 0 {
		text += fmt.Sprintf("    (process %d)\n", call.PID)
	}
	if call.Command != nil {
		text += fmt.Sprintf("    (command %q)\n", call.Command)
	}
	if call.Output != "" {
		text += "    (output " + call.Output + ")\n"
	}
	return text
}

var (
	getopt    = regexp.MustCompile(`getopt\("([^"]+)"(?:, (-?\w+|"[^"]*"))?`)
	condition = regexp.MustCompile(`\[(!?[a-z][a-z0-9_|&!]*)\][A-Za-z=]`)
	matching  = regexp.MustCompile(`[A-Za-z)]~([a-z_]+)[:/]`)
	word      = regexp.MustCompile(`'[^']*'|\S+`)
	inConfig  = regexp.MustCompile(`(?m)^config = .* = \$([a-z_]+)`)
	inProbe   = regexp.MustCompile(`\$([a-z_]+)`)
)

// TestScripts checks every tool: the header, and that header and script speak of the same parameters.
func TestScripts(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			tool, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			script, list := syntax.Parse(tool.Source(), syntax.Options{})
			if list.HasErrors() {
				t.Fatal(list)
			}
			used := map[string]string{}
			for _, m := range getopt.FindAllStringSubmatch(withMacros(tool, script), -1) {
				used[m[1]] = m[2]
			}
			for _, m := range condition.FindAllStringSubmatch(tool.Text, -1) {
				for _, word := range strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune("!|&", r) }) {
					used[word] += ""
				}
			}
			for _, m := range inConfig.FindAllStringSubmatch(tool.Text, -1) {
				used[m[1]] += ""
			}
			for _, m := range matching.FindAllStringSubmatch(tool.Text, -1) {
				used[m[1]] += ""
			}
			for _, p := range script.Probes {
				for _, point := range p.Points {
					for _, m := range inProbe.FindAllStringSubmatch(point.Text, -1) {
						used[m[1]] += ""
					}
				}
			}
			declared := map[string]string{"self": "", "cgroup": "", "mntns": "", "cgroupmap": "", "mntnsmap": "", "pid": "", "tid": "", "uid": ""}
			for _, f := range tool.Flags {
				if f.ignored() || f.Kind == Addition || f.Kind == Distribution || f.refused() || f.Param == regexpFlag && tool.takesProbe() || f.Param == selfFlag {
					continue
				}
				declared[f.Param] = f.Default
			}
			for _, a := range tool.Args {
				declared[a.Name] = a.Default
				if a.Value.Kind == Probe || a.Value.Kind == Function {
					declared[a.Name+"_entry"], declared[a.Name+"_return"] = "", ""
				}
			}
			for name := range used {
				if _, ok := declared[name]; !ok {
					t.Errorf("the script has a parameter %q that the header does not declare", name)
				}
			}
			for name, value := range declared {
				inScript, ok := used[name]
				if isFilter := name == "self" || name == "cgroup" || name == "mntns" || name == "cgroupmap" || name == "mntnsmap"; !ok && name != "json" && name != tool.Header.Command && (tool.flag(name) != nil || isFilter && tool.filters()) {
					t.Errorf("the header declares %q, which the script does not use", name)
				}
				if f := tool.flag(name); f != nil && value != "" && inScript != "" && strings.Trim(inScript, `"`) != value {
					t.Errorf("%s is %s in the header and %s in the script if it is not given", name, value, inScript)
				}
			}
			shown := false // what a real run has printed
			for _, s := range tool.Sections {
				if s.Title != "examples" {
					continue
				}
				for _, line := range s.Lines {
					shown = shown || strings.HasPrefix(line, "        ")
					words := word.FindAllString(line, -1)
					for i := range words {
						words[i] = strings.Trim(words[i], "'")
					}
					if strings.HasPrefix(line, " ") || line == "" {
						continue
					}
					if words[0] != name {
						t.Errorf("example %q does not call %s", line, name)
					} else if _, err := tool.Command(&Machine{Root: t.TempDir()}, words[1:]); err != nil && !machineDecides(err) {
						t.Errorf("example %q: %v", line, err)
					}
				}
			}
			if !shown {
				t.Errorf("no example shows what a real run has printed")
			}
		})
	}
}

// withMacros is the text of a tool and of the shared macros that it uses.
func withMacros(tool *Tool, script *syntax.Script) string {
	source := tool.Source()
	text := tool.Text
	if _, probes, ok := strings.Cut(source.Text, "// Which sockets belong"); ok { // the part whose probes are the tool's, too
		text += probes
	}
	taken := map[*syntax.Macro]bool{}
	for more := true; more; {
		more = false
		for _, m := range script.Macros {
			if !taken[m] && int(m.Span.Start) >= len(tool.Text) && regexp.MustCompile(`\b`+m.Name+`\(`).MatchString(text) {
				taken[m], more = true, true
				text += source.Text[m.Span.Start:m.Span.End]
			}
		}
	}
	return text
}

// machineDecides reports whether an example names something that only some machines have.
func machineDecides(err error) bool {
	for _, words := range []string{"there is no user", "there is no disk", "looking up the user", "container", "control group", "--mntns"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// TestComplete adds the shared macros to tools only, and once.
func TestComplete(t *testing.T) {
	src := &diag.Source{Name: "x.bt", Text: "BEGIN { filtered() }"}
	if Complete(src); src.Parts != nil {
		t.Error("an ordinary script got macros")
	}
	src.Text = "/*\nx: does x\ngroup: files\n*/\nBEGIN { filtered() }\n"
	Complete(src)
	script, list := syntax.Parse(src, syntax.Options{})
	if len(script.Macros) == 0 || list.HasErrors() || src.File(script.Macros[0].Span.Start) != "prelude.bt" {
		t.Errorf("%d macros, %v", len(script.Macros), list)
	}
	again := &diag.Source{Text: src.Text}
	if Complete(again); again.Parts != nil {
		t.Error("what has the macros got them again")
	}
}

// TestInstead wants to be told of another tool where the kernel lacks a hook, and only there.
func TestInstead(t *testing.T) {
	tool, err := Load("tcptop")
	if err != nil || tool.Instead == "" {
		t.Fatalf("%q, %v", tool.Instead, err)
	}
	for message, want := range map[string]string{
		"this kernel has none of the hooks that the script can use":   "looked for\n" + tool.Instead,
		"attaching to x: a kprobe is not available on this kernel: y": "looked for\n" + tool.Instead,
		"unknown field": "looked for",
	} {
		list := &diag.List{Source: tool.Source()}
		list.Errorf(diag.Span{}, "%s", message).Hint = "looked for"
		if Trace(list); list.All[0].Hint != want {
			t.Errorf("%s: %q, want %q", message, list.All[0].Hint, want)
		}
	}
}

// TestPack has the scripts come back as they were.
func TestPack(t *testing.T) {
	var b strings.Builder
	if err := Pack(&b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(scriptNames(), packedNames(b.String())); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, name := range scriptNames() {
		want, _ := scriptText(name)
		if got, ok := unpack(b.String(), name); got != want || !ok {
			t.Errorf("%s has changed", name)
		}
	}
	if text, ok := unpack(b.String(), "nothing"); ok {
		t.Errorf("there is a script nothing: %q", text)
	}
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	binary, taken, old := filepath.Join(dir, "skep"), filepath.Join(dir, Names()[0]), filepath.Join(dir, Names()[0]+"-bpfcc")
	for _, err := range []error{os.WriteFile(binary, nil, 0o755), os.WriteFile(taken, []byte("mine"), 0o755), os.Symlink("/nowhere/skep", old)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := 2 * len(Names())
	for _, want := range []string{
		fmt.Sprintf("left alone: %s is something else\n%d links to %s made in %s, 1 names were taken\n", taken, all-1, binary, dir),
		fmt.Sprintf("left alone: %s is something else\n0 links to %s made in %s, %d were there, 1 names were taken\n", taken, binary, dir, all-1),
	} {
		var b bytes.Buffer
		if err := Link(&b, dir, binary); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	if text, err := os.ReadFile(taken); err != nil || string(text) != "mine" {
		t.Errorf("a file of another was touched: %q, %v", text, err)
	}
	if target, err := os.Readlink(old); err != nil || target != binary {
		t.Errorf("the old link leads to %q, %v", target, err)
	}
}

func TestCalled(t *testing.T) {
	name := Names()[0]
	for program, want := range map[string]string{name: name, name + "-bpfcc": name, name + "-libbpf": name, "skep": "", "bpftrace": "", "-bpfcc": "", "prelude": "", "../" + name: ""} {
		if got, ok := Called(program); got != want || ok != (want != "") {
			t.Errorf("Called(%q) = %q, %v, want %q", program, got, ok, want)
		}
	}
}

// TestCompletion runs the completion in a real bash; the others are read by their shells, if they are here.
func TestCompletion(t *testing.T) {
	commands := []string{"help", "tools"}
	name := Names()[0]
	tool, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	long := tool.Flags[0].all()[len(tool.Flags[0].all())-1]
	script := func(shell string) string {
		text, err := Completion(shell, commands)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	t.Run("bash", func(t *testing.T) {
		bash := lookPath(t, "bash")
		for _, c := range []struct{ line, want string }{
			{"skep to", "tools"},
			{"skep " + name[:len(name)-1], name},
			{"skep help " + name[:len(name)-1], name},
			{"skep " + name + " " + long[:len(long)-1], long},
			{name + " " + long[:len(long)-1], long},
			{"/usr/sbin/" + name + "-bpfcc " + long[:len(long)-1], long},
			{"skep completion fi", "fish"},
			{"skep " + name + " --no-such", ""},
		} {
			words := strings.Fields(c.line)
			cmd := exec.Command(bash, "--norc", "-c", fmt.Sprintf("%s\nCOMP_WORDS=(%s) COMP_CWORD=%d; _skep; printf '%%s\\n' \"${COMPREPLY[@]}\"",
				script("bash"), strings.Join(words, " "), len(words)-1))
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
				t.Errorf("%q is completed by %q, want %q; %v", c.line, got, c.want, err)
			}
		}
	})
	for _, shell := range []string{"zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			text := script(shell)
			if !strings.Contains(text, name) {
				t.Errorf("%s is not in the completion", name)
			}
			cmd := exec.Command(lookPath(t, shell), "--no-execute")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func lookPath(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func TestBufferFlag(t *testing.T) {
	for name, want := range map[string]string{"opensnoop": "-b/--buffer-pages", "trace": "-b/--buffer-pages", "execsnoop": ""} {
		tool, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := tool.BufferFlag(); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestEmptyValues: a variable that is not set must not make a filter disappear.
func TestEmptyValues(t *testing.T) {
	tool, err := Load("opensnoop")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--cgroup", "--container", "--mntns", "--cgroupmap", "--mntnsmap", "-n", "-p", "-o"} {
		if _, err := tool.Command(ThisMachine(), []string{flag, ""}); err == nil || !strings.HasSuffix(err.Error(), "its value is empty") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
