package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"skep/internal/ktest/archive"
	"skep/internal/ktest/boot"
)

func TestUnknownKernel(t *testing.T) {
	for _, name := range []string{"6.2", "all", "6.2+debug", ""} {
		m := Matrix{Kernels: []string{"6.1", name}, Patterns: []string{"skep/internal/ktest"}}
		outcome, err := m.Do(t.Context())
		if want := fmt.Sprintf("no kernel %q: have 5.10, 6.1, 6.12, newest, live", strings.TrimSuffix(name, "+debug")); err == nil || err.Error() != want {
			t.Errorf("%q: outcome %v, error %v, want %s", name, outcome, err, want)
		}
	}
}

// TestUnable tells a missing archive, which fails only in CI, from what must never be passed over.
func TestUnable(t *testing.T) {
	for _, c := range []struct {
		name       string
		err        error
		wantFailed bool
		wantInCI   bool
		wantAction string // of the package's last event
	}{
		{name: "archive", err: fmt.Errorf("fetching: %w", archive.ErrUnavailable), wantInCI: true, wantAction: "skip"},
		{name: "emulator", err: fmt.Errorf("%w (too old)", boot.ErrNoEmulator), wantInCI: true, wantAction: "skip"},
		{name: "disk", err: errors.New("no space left on device"), wantFailed: true, wantInCI: true, wantAction: "fail"},
		{name: "interrupt", err: context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events bytes.Buffer
			w := &workspace{
				Matrix:   Matrix{Events: &events},
				packages: []Package{{Path: "skep/x"}},
				outcome:  &Outcome{Kernels: []string{"6.1"}, NotRun: map[string]string{}},
			}
			w.unable("6.1", c.err)
			if failed, inCI := w.outcome.Failed(false), w.outcome.Failed(true); failed != c.wantFailed || inCI != c.wantInCI {
				t.Errorf("failed %v, in CI %v; want %v, %v", failed, inCI, c.wantFailed, c.wantInCI)
			}
			if c.wantAction == "" {
				return
			}
			lines := strings.Split(strings.TrimSpace(events.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, `"Action":"`+c.wantAction+`","Package":"skep/x"`) {
				t.Errorf("the last event is %s, want %s", last, c.wantAction)
			}
			var printed strings.Builder
			w.outcome.Print(&printed)
			for text, where := range map[string]string{"events": events.String(), "table": printed.String()} {
				if !strings.Contains(where, c.err.Error()) {
					t.Errorf("the %s do not say %q: %s", text, c.err, where)
				}
			}
		})
	}
}

func TestOptionsOfAVariant(t *testing.T) {
	w := &workspace{packages: []Package{{Path: "skep/unbuilt"}, {Path: "skep/all", Binary: "matrix_test.go"}, {Path: "skep/one", Binary: "build_test.go"}}}
	var paths []string
	for _, p := range w.packagesFor("lockdown=confidentiality+debug") {
		paths = append(paths, p.Path)
	}
	if got := strings.Join(paths, " "); got != "skep/unbuilt skep/all" {
		t.Errorf("packages for two options: %s", got)
	}
}
