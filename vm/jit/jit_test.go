//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/enginetest"
	"skep/vm/jit"
)

var compiler = enginetest.Engine{Name: "jit", New: func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
	return jit.New(p, helpers, checked)
}}

var plain = enginetest.Engine{Name: "jit, plain", New: func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
	return jit.NewPlain(p, helpers, checked)
}}

func TestArithmetic(t *testing.T) {
	compiler.Arithmetic(t, testing.Short())
	plain.Arithmetic(t, testing.Short())
}

func TestMemory(t *testing.T) { compiler.Memory(t, testing.Short()) }

func TestAtomics(t *testing.T) {
	compiler.Atomics(t, testing.Short())
	plain.Atomics(t, testing.Short())
}

func TestControl(t *testing.T) { compiler.Control(t) }

func TestTailCalls(t *testing.T) {
	compiler.TailCalls(t, compiler)
	compiler.TailCalls(t, interpreter)
	interpreter.TailCalls(t, compiler)
}
