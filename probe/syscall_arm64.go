package probe

import _ "embed"

// syscallTable has a line per system call: see gensyscalls. It is searched as text, so that it costs nothing until it is used.
//
//go:embed syscalls_arm64.txt
var syscallTable string
