package kernel

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/internal/ktest"
	"skep/probe"
)

// TestPrivileges takes capabilities from its thread and looks for the reason that is given.
func TestPrivileges(t *testing.T) {
	ktest.Need(t, ktest.Root)
	if err := Privileges(); err != nil {
		t.Errorf("as root: %v", err)
	}
	for _, test := range []struct {
		name string
		drop []uint
		want string // capability
	}{
		{name: "nothing", drop: []uint{unix.CAP_SYS_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON}, want: "CAP_BPF"},
		{name: "no CAP_PERFMON", drop: []uint{unix.CAP_SYS_ADMIN, unix.CAP_PERFMON}, want: "CAP_PERFMON"},
		{name: "no CAP_SYS_ADMIN", drop: []uint{unix.CAP_SYS_ADMIN}},
	} {
		t.Run(test.name, func(t *testing.T) {
			withoutCapabilities(t, test.drop)
			var early, late *host.Privilege
			err := Privileges()
			_, loadErr := New().Load(&ebpf.CollectionSpec{Maps: testMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.RawTracepoint, 0, 0)}}, nil, testOptions())
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &early) || early.Capability != test.want {
				t.Errorf("early: %v", err)
			}
			if test.want == "CAP_BPF" && (!errors.As(loadErr, &late) || late.Capability != test.want) {
				t.Errorf("loading: %v", loadErr)
			}
		})
	}
}

// withoutCapabilities drops capabilities from the test's thread, which then ends with the test.
func withoutCapabilities(t *testing.T, drop []uint) {
	t.Helper()
	runtime.LockOSThread() // and not unlocked: the runtime ends the thread
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range drop {
		data[c/32].Effective &^= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// TestLockdown: a kernel in lockdown says so, and not that a right is missing.
func TestLockdown(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Option("lockdown=confidentiality"))
	if got := lockdown(); got != "confidentiality" {
		t.Fatalf("lockdown is %q", got)
	}
	readKernel := asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnProbeReadKernel.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	_, err := New().Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.RawTracepoint, License: "GPL", Instructions: readKernel}}}, nil, host.Options{})
	isLockdown(t, "reading memory", err)
	s, err := New().Load(&ebpf.CollectionSpec{Maps: testMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": countProgram(ebpf.TracePoint, os.Getpid(), 0)}},
		[]probe.Attach{{Program: "p", How: probe.TracepointPerf, Points: syscallPoint("sys_enter_getppid")}}, testOptions())
	if err == nil {
		defer s.Close()
		_, _, err = s.Attach(context.Background())
	}
	isLockdown(t, "a tracepoint", err)
}

func isLockdown(t *testing.T, what string, err error) {
	t.Helper()
	var missing *host.Missing
	if !errors.As(err, &missing) || !strings.Contains(missing.Why, "lockdown=confidentiality") {
		t.Errorf("%s: %v", what, err)
	}
}
