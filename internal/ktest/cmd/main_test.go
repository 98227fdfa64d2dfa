package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKernelList(t *testing.T) {
	otherwise := []string{"a", "b"}
	for text, want := range map[string][]string{
		"":             otherwise,
		"all":          otherwise,
		"6.1":          {"6.1"},
		"5.10 6.1":     {"5.10", "6.1"},
		"5.10, live":   {"5.10", "live"},
		"6.12+x=y,6.1": {"6.12+x=y", "6.1"},
	} {
		if diff := cmp.Diff(want, kernelList(text, otherwise)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}
