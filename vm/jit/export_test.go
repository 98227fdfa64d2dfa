//go:build (linux || darwin) && (amd64 || arm64)

package jit

import (
	"skep/vm/code"
	"skep/vm/engine"
)

// NewPlain compiles for a processor that has nothing but what all of its kind have.
func NewPlain(p *code.Program, helpers []engine.Helper, checked bool) (*Image, error) {
	c := compiler{p: p, checked: checked}
	return c.image(helpers)
}
