//go:build (linux || darwin) && amd64

package vm

import (
	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/jit"
)

// hasJIT says whether there is a JIT for this computer.
const hasJIT = true

func compile(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
	return jit.New(p, helpers, checked)
}
