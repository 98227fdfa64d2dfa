package symbol

import (
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// Longest mangled name that is demangled, and (as a power of two) longest result: hostile names can grow without bound.
const (
	maxMangled      = 8 << 10
	maxDemangledPow = 14
)

// Demangle returns the C++ or Rust (legacy or v0) name in the form that people write, with parameters, or name
// unchanged if it is not mangled.
func Demangle(name string) string {
	if !isMangled(name) {
		return name
	}
	return demangle.Filter(name, demangle.MaxLength(maxDemangledPow))
}

// demangleBare is [Demangle] without the parameters of the function itself: what a cpp:"…" probe is matched with.
func demangleBare(name string) string {
	if !isMangled(name) {
		return name
	}
	return demangle.Filter(name, demangle.NoParams, demangle.MaxLength(maxDemangledPow))
}

func isMangled(name string) bool {
	if len(name) > maxMangled {
		return false
	}
	return strings.HasPrefix(name, "_Z") || strings.HasPrefix(name, "_R") || strings.HasPrefix(name, "__Z") ||
		strings.HasPrefix(name, "___Z")
}
