package main

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"skep/internal/ktest"
)

// TestUSDT probes a program with USDT probes by scripts and by the tools that take specifiers. Main.bee has its arguments in registers
// that are those of Go: i, and 2*i. It needs no stack: at the start of others one may come by twice, when Go makes the stack grow.
func TestUSDT(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Work)
	if runtime.GOARCH != "amd64" {
		t.Skip("the notes name registers of amd64")
	}
	program := ktest.WithUSDT(t, ktest.WorkPath(t),
		ktest.USDTNote{Provider: "hive", Name: "bee", Function: "main.bee", Args: "8@%rax -4@%ebx 8@$42 -1@$-3 8f@%xmm0"},
		ktest.USDTNote{Provider: "hive", Name: "queen", Function: "main.bee", Args: "8@%rax"})
	t.Setenv("SKEP_WORK", program)
	u := "usdt:" + program + ":"
	runToolLines(t, `
trace -p $PID 'u:$WORK:bee (arg1 > 0) "%d %d %d %d", arg1, arg2, arg3, arg4' | call 3
trace -p $PID 'u:$WORK:hive:quee? (arg1 == 2) "%d", arg1' --json | call 3
argdist -p $PID -n 1 -i 1000 -C 'u:$WORK:bee():int:arg4' --json | call 3
funccount -p $PID 'u:$WORK:*' | call 3
-p $PID --no-warnings -e 'usdt:$WORK:hive:bee /arg0 == 2/ { printf("%s %d %d\n", target(), arg1, arg3) }' | call 3
`[1:], `
PID     TID     COMM            FUNC             -
~\d+ +\d+ +work            bee              1 2 42 -3
~\d+ +\d+ +work            bee              2 4 42 -3
~{"pid":\d+,"tid":\d+,"comm":"work","func":"hive:queen","message":"2"}
~.*"count":3,.*-3.*
~Tracing 2 functions for "u:.*"\.\.\. Hit Ctrl-C to end\.

FUNC                                    COUNT
~hive:(queen|bee) +3
~hive:(queen|bee) +3
hive:bee 4 -3


`[1:], "Attached 1 probe\n")
	for probe, message := range map[string]string{
		u + "bee { print(arg4) }":    "arg4",
		u + "bee { print(arg5) }":    "arg5 does not exist: " + u + "hive:bee has 5 arguments",
		u + "wasp { print(1) }":      "there is no USDT probe wasp",
		u + "hive:beee { print(1) }": "did you mean",
		"usdt:/no/file:x { exit() }": "there is no file /no/file",
	} {
		var stdout, stderr bytes.Buffer
		if code := runSkep(t, t.TempDir(), []string{"skep", "-e", probe}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), message) {
			t.Errorf("%s: exit code %d, want the message %q:\n%s", probe, code, message, stderr.String())
		}
	}
}
