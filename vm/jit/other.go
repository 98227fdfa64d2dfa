//go:build !((linux || darwin) && (amd64 || arm64))

// Package jit runs eBPF programs as machine code.
package jit

import (
	"errors"

	"skep/vm/code"
	"skep/vm/engine"
)

// Supported tells whether there is machine code for this machine.
const Supported = false

// An Image is a program as machine code. There is none here.
type Image struct{}

var errNone = errors.New("there is no compiler to machine code for this machine")

// New is an error on this machine: the interpreter runs programs here.
func New(*code.Program, []engine.Helper, bool) (*Image, error) { return nil, errNone }

// Run implements [engine.Image].
func (*Image) Run(*engine.Thread, int, engine.Args) (uint64, error) { return 0, errNone }

// Close implements [engine.Image].
func (*Image) Close() error { return nil }
