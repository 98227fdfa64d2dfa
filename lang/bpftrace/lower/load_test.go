package lower

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"skep/internal/diag"
	"skep/internal/ktest"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// catalog is shared by all tests, since loading the kernel's types takes long.
var catalog = &probe.Catalog{}

func compileScript(text string, target *ir.Target, opt Options) (*Unit, error) {
	src := &diag.Source{Name: "script", Text: text}
	script, list := syntax.Parse(src, syntax.Options{})
	if list.HasErrors() {
		return nil, list
	}
	t, list := check.Check(script, check.Options{Catalog: catalog, Target: target, Unsafe: true, Env: func(string) string { return "" }})
	if list.HasErrors() {
		return nil, list
	}
	opt.Target, opt.Types = target, catalog.Types
	return Lower(t, opt)
}

func liveTarget(t testing.TB) *ir.Target {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Skip(err)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return &ir.Target{Kernel: major<<16 | minor<<8, Arch: runtime.GOARCH, CPUs: ebpf.MustPossibleCPU()}
}

type scriptLine struct {
	line  int
	needs []ktest.Feature
	isNew bool // it needs a newer kernel than the oldest
	text  string
}

// need is the feature that a word in the list of scripts stands for: a kind of probe, or a kernel's version.
func need(t testing.TB, word string) ktest.Feature {
	switch word {
	case "btf":
		return ktest.BTF
	case "kprobe":
		return ktest.Kprobe
	case "fentry":
		return ktest.Fentry
	case "tracefs":
		return ktest.Tracefs
	}
	if word[0] < '0' || word[0] > '9' {
		t.Fatalf("testdata/scripts.txt: unknown need %q", word)
	}
	return ktest.Release(word)
}

func scriptLines(t testing.TB) []scriptLine {
	file, err := os.Open("testdata/scripts.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []scriptLine
	s := bufio.NewScanner(file)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		l := scriptLine{line: n, text: text}
		if needs, rest, ok := strings.Cut(text, "] "); ok && text[0] == '[' {
			for _, word := range strings.Split(needs[1:], ",") {
				l.needs = append(l.needs, need(t, word))
				l.isNew = l.isNew || word[0] >= '0' && word[0] <= '9'
			}
			l.text = rest
		}
		lines = append(lines, l)
	}
	return lines
}

// excerpt is the listing of a script's programs, unless it is too long to be read. It is made for those alone that the kernel refuses.
func excerpt(text string, target *ir.Target, opt Options) string {
	var asm strings.Builder
	opt.Dump = func(stage, text string) {
		if stage == "asm" {
			asm.WriteString(text)
		}
	}
	if _, err := compileScript(text, target, opt); err != nil {
		return err.Error()
	}
	if asm.Len() > 6000 {
		return "(a long program)"
	}
	return asm.String()
}

// TestScriptsLoad gives every script of the list to the kernel's verifier, compiled for this kernel, for the oldest one (its
// programs are valid on all), and with every check of -k in them as in a container.
func TestScriptsLoad(t *testing.T) {
	eachScript(t, func(t *testing.T, s scriptLine, live *ir.Target) {
		loadScript(t, s.text, live, Options{})
		if ktest.Emulated() {
			return
		}
		loadScript(t, s.text, live, Options{HelperErrors: true, OtherPIDNS: true})
		if !s.isNew {
			loadScript(t, s.text, &ir.Target{Kernel: 5<<16 | 10<<8, Arch: live.Arch, CPUs: live.CPUs}, Options{})
		}
	})
}

// TestRecordedScriptsLoad loads the programs as they are recorded, if they can be: typed arguments and copied stacks cannot.
func TestRecordedScriptsLoad(t *testing.T) {
	ktest.Oldest(t)
	eachScript(t, func(t *testing.T, s scriptLine, live *ir.Target) {
		if strings.Contains(s.text, "dw_ustack") {
			return
		}
		opt := Options{Record: 1, OtherPIDNS: len(s.text)%3 == 0, HasRawTracepoint: func(probe.Point) bool { return false }}
		u, err := compileScript(s.text, RecordTarget(live), opt)
		if err != nil && strings.Contains(err.Error(), "is not available on this kernel") {
			return
		}
		if err != nil {
			t.Fatalf("%s\n%v", s.text, err)
		}
		loadUnit(t, u, s.text, RecordTarget(live), opt)
	})
}

// eachScript calls f with the scripts of the list that this kernel can have.
func eachScript(t *testing.T, f func(t *testing.T, s scriptLine, live *ir.Target)) {
	t.Helper()
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	live := liveTarget(t)
	for _, s := range scriptLines(t) {
		t.Run(fmt.Sprint(s.line), func(t *testing.T) {
			ktest.Need(t, s.needs...)
			f(t, s, live)
		})
	}
}

// loadScript loads the programs of a script, without attaching them.
func loadScript(t *testing.T, text string, target *ir.Target, opt Options) {
	t.Helper()
	u, err := compileScript(text, target, opt)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	loadUnit(t, u, text, target, opt)
}

// loadUnit loads what a script has become.
func loadUnit(t *testing.T, u *Unit, text string, target *ir.Target, opt Options) {
	t.Helper()
	c, err := ebpf.NewCollection(u.Spec)
	if err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			log := v.Log[max(0, len(v.Log)-12):]
			t.Fatalf("%s\n%v\n%s\n%s", text, err, strings.Join(log, "\n"), excerpt(text, target, opt))
		}
		t.Fatalf("%s\n%v", text, err)
	}
	c.Close()
}
