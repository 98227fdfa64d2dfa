package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"skep/internal/ktest"
)

// badObject compiles programs with one mistake each.
func badObject(t *testing.T) string {
	t.Helper()
	ktest.NeedTool(t, "clang")
	object := filepath.Join(t.TempDir(), "bad.o")
	if text, err := exec.Command("clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-c", "-o", object, "testdata/verify/bad.c").CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	return object
}

// verifyOutput runs "skep verify" and returns what it prints.
func verifyOutput(t *testing.T, code int, args ...string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := runVerify(&environment{stdout: &output{file: file}, stderr: os.Stderr}, args); got != code {
		t.Fatalf("exit code %d", got)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestVerifyRejections asks of each program that its place, an input that was run and an edit that was verified are shown.
func TestVerifyRejections(t *testing.T) {
	object := badObject(t)
	for _, test := range []struct{ program, line, message, input, edit string }{
		{"null_check", "v->hits++;", "r0 may be null", "nothing in counts", "if (r0 == 0) return 0;"},
		{"bounds", "return v->data[i];", "an access of 1 bytes at offset 64", "the value found in counts at offset 0: 3c", "> 59) return 0;"},
		{"packet", "if (data[12] == 8 && data[23] == 6)", "1 bytes of the packet at offset 23", "the packet at offset 12: 08", "+= 24;"},
		{"leak", "", "what was acquired at instruction ", "bpf_get_prandom_u32 returns 1 (call 1)", "bpf_ringbuf_discard("},
	} {
		t.Run(test.program, func(t *testing.T) {
			out := verifyOutput(t, 1, "--kernel", "6.12", "--program", test.program, "--json", object)
			var got struct {
				Verdict, Line, Place, Message, Required string
				Input                                   struct {
					Given []string
					Insn  *int
				}
				Edits []struct{ Text, Place string }
				Path  []struct{ Text, Place string }
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			given := strings.Join(got.Input.Given, ", ")
			switch {
			case got.Verdict != "rejected", !strings.Contains(got.Message, test.message), got.Required == "", !strings.Contains(got.Place, "bad.c:"),
				test.line != "" && got.Line != test.line, len(got.Path) == 0 || !strings.Contains(got.Path[0].Place, "bad.c:"):
				t.Errorf("the rejection is %s", out)
			case got.Input.Insn == nil || !strings.Contains(given, test.input):
				t.Errorf("the input is %q", given)
			case len(got.Edits) != 1 || !strings.Contains(got.Edits[0].Text, test.edit):
				t.Errorf("the edits are %+v", got.Edits)
			}
			out = verifyOutput(t, 1, "--kernel", "6.12", "--program", test.program, object)
			for _, want := range []string{"rejected\n  ", test.message, "\n    at     instruction ", "\n    input  ", test.input, "\n    ran    it ", "\n    edit   ", "verified again with that: accepted"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
}

// TestVerifyWords gives command lines that are wrong, or name a kernel twice.
func TestVerifyWords(t *testing.T) {
	run := func(args ...string) (code int, stdout, stderr string) {
		dir := t.TempDir()
		var files [2]*os.File
		var texts [2]string
		for i, name := range []string{"out", "err"} {
			var err error
			if files[i], err = os.Create(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			defer files[i].Close()
		}
		code = runVerify(&environment{stdout: &output{file: files[0]}, stderr: files[1]}, args)
		for i, f := range files {
			text, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(text)
		}
		return code, texts[0], texts[1]
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--kernel", "9.9", "x.o"}, "the rules of Linux 9.9 are not known; known are 5.10, 5.11,"},
		{[]string{"--kernel", "5.4", "x.o"}, "6.17, 6.18 and up to 7.2"},
		{[]string{"--kernel", "", "x.o"}, "--kernel names nothing"},
		{[]string{"--program", "", "x.o"}, "--program names nothing"},
		{[]string{"--kernel", "6.12,", "x.o"}, "is no version of Linux"},
		{[]string{"--log", ""}, "--log names nothing"},
	} {
		if code, _, stderr := run(test.args...); code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: exit code %d, %s", test.args, code, stderr)
		}
	}
	script := filepath.Join(t.TempDir(), "a.bt")
	if err := os.WriteFile(script, []byte("BEGIN { printf(\"x\\n\"); }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := run("--kernel", "6.18,6.18.3", script); code != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
}

// TestVerifyProfile asks which lines and values made a program too complex.
func TestVerifyProfile(t *testing.T) {
	out := verifyOutput(t, 1, "--kernel", "6.18", "--program", "heavy", badObject(t))
	for _, want := range []string{"too complex", "\n    walked ", "sum += v->hits;", "\n    states ", "from being covered: it was "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// TestRefusedScript asks that a script whose loop has no end for the verifier is explained, whoever refuses it.
func TestRefusedScript(t *testing.T) {
	if ktest.Emulated() {
		t.Skip("a million instructions are walked several times")
	}
	const script = "BEGIN { $i = 0; while ($i < 10000000) { $i++; } }"
	for _, host := range []string{"user", "kernel"} {
		t.Run(host, func(t *testing.T) {
			words := []string{"skep", "--host", "user", "-c", "/bin/true", "-e", script}
			if host == "kernel" {
				ktest.Need(t, ktest.Root, ktest.RingBuf)
				words = []string{"skep", "-v", "-e", script}
			}
			var stdout, stderr bytes.Buffer
			if code := runSkep(t, t.TempDir(), words, &stdout, &stderr); code == 0 {
				t.Error("the script runs")
			}
			wants := []string{"finds no end of this loop", "the program is too complex", "\n    walked ", "\n    states r"}
			if host == "kernel" {
				wants = append(wants, "\nBPF program is too large. Processed 1000001 insn")
			}
			for _, want := range wants {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not in\n%s", want, stderr.String())
				}
			}
		})
	}
}
