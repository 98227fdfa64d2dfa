//go:build !((linux || darwin) && amd64)

package vm

import (
	"errors"

	"skep/vm/code"
	"skep/vm/engine"
)

// hasJIT says whether there is a JIT for this computer.
const hasJIT = false

func compile(*code.Program, []engine.Helper, bool) (engine.Image, error) {
	return nil, errors.New("there is no JIT for this computer")
}
