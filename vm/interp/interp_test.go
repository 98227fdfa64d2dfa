package interp_test

import "testing"

func TestArithmetic(t *testing.T) { interpreter.Arithmetic(t, testing.Short()) }
