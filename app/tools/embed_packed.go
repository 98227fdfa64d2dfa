//go:build packed

package tools

import _ "embed"

//go:embed scripts.packed
var packed string

func scriptNames() []string { return packedNames(packed) }

func scriptText(name string) (string, bool) { return unpack(packed, name) }
