package interp_test

import "testing"

func TestArithmetic(t *testing.T) { interpreter.Arithmetic(t, testing.Short()) }

func TestMemory(t *testing.T) { interpreter.Memory(t, testing.Short()) }

func TestAtomics(t *testing.T) { interpreter.Atomics(t, testing.Short()) }

func TestControl(t *testing.T) { interpreter.Control(t) }

func TestTailCalls(t *testing.T) { interpreter.TailCalls(t, interpreter) }
