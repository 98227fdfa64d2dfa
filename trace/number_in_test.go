package trace

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNumberIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers")
	if err := os.WriteFile(path, []byte("MemTotal:  100 kB\nCached:\t 25 kB\nCachedToo: 1\nctxt 7\nhalf 0.5\nword x\nnothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"MemTotal": 100, "Cached": 25, "ctxt": 7, "half": 0.5, "word": 0, "nothing": 0, "Cache": 0} {
		if got := numberIn(path, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := numberIn(filepath.Join(t.TempDir(), "none"), "x"); got != 0 {
		t.Errorf("a file that is not there: %v", got)
	}
}
