//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"testing"

	"skep/vm/enginetest"
)

func TestRandom(t *testing.T) {
	contenders := []enginetest.Contender{interpreter.Contend(t, true), interpreter.Contend(t, false), compiler.Contend(t, false), compiler.Contend(t, true), plain.Contend(t, true)}
	first := enginetest.Seed(t)
	for i := range uint64(enginetest.Programs(t, 5000)) {
		if refused, differ := enginetest.Compare(first+i, 8, contenders); refused != nil || differ != nil {
			t.Fatal(refused, differ)
		}
	}
}
