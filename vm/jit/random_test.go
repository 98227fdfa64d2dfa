//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"os"
	"strconv"
	"testing"

	"skep/vm/enginetest"
)

// programs is how many random programs a test compares: SKEP_PROGRAMS, or not many.
func programs(t *testing.T, usual int) int {
	if text := os.Getenv("SKEP_PROGRAMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

// seed is the first one: SKEP_SEED, or always the same.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("SKEP_SEED"), 10, 64)
	if err != nil {
		return 1
	}
	t.Logf("from seed %d on", n)
	return n
}

func TestRandom(t *testing.T) {
	contenders := []enginetest.Contender{interpreter.Contend(t, true), interpreter.Contend(t, false), compiler.Contend(t, false), compiler.Contend(t, true), plain.Contend(t, true)}
	first := seed(t)
	for i := range uint64(programs(t, 5000)) {
		if refused, differ := enginetest.Compare(first+i, 8, contenders); refused != nil || differ != nil {
			t.Fatal(refused, differ)
		}
	}
}
