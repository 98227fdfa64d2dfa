package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"skep/internal/ktest"
)

// TestReadme runs every command of the README. Blocks of "console" have commands after "# "; a word behind it is what they
// need of the kernel.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for block := range strings.SplitSeq(string(text), "\n```console") {
		block, _, ok := strings.Cut(block, "\n```")
		if !ok || commands == 0 && !strings.Contains(block, "\n# skep ") {
			continue
		}
		need, body, _ := strings.Cut(block, "\n")
		need = strings.TrimSpace(need)
		for line := range strings.Lines(body) {
			line, ok := strings.CutPrefix(strings.TrimSpace(line), "# ")
			if !ok {
				continue
			}
			commands++
			if need == "" && ktest.Emulated() {
				continue // the live kernel runs these
			}
			t.Run(line[:min(len(line), 60)], func(t *testing.T) {
				needs := []ktest.Feature{ktest.Root, ktest.RingBuf, ktest.BTF}
				if need != "" {
					needs = append(needs, ktest.Feature(need))
				}
				ktest.Need(t, needs...)
				words, err := splitWords(line)
				if err != nil {
					t.Fatal(err)
				}
				var stdout, stderr bytes.Buffer
				if code := runSkep(t, t.TempDir(), words, &stdout, &stderr); code != 0 || strings.Contains(stderr.String(), "ERROR") {
					t.Errorf("exit code %d\n%s", code, stderr.String())
				}
			})
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands found", commands)
	}
}
