package probe

import _ "embed"

//go:generate unshare -m sh -c "mount -t tracefs tracefs /sys/kernel/tracing; go run ./gensyscalls"

// syscallTable has a line per system call: see gensyscalls. It is searched as text, so that it costs nothing until it is used.
//
//go:embed syscalls_amd64.txt
var syscallTable string
