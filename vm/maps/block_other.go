//go:build !linux

package maps

import "skep/vm/memory"

func hugePages(*memory.Block) {}
