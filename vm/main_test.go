package vm

import (
	"testing"

	"skep/internal/ktest"
)

func TestMain(m *testing.M) { ktest.LiveOnly(m) }
