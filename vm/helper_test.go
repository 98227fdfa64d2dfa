package vm

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm/helper"
)

// TestImplementations looks for functions without a row, and for wrappers that could not check their arguments.
func TestImplementations(t *testing.T) {
	for i, f := range implementations {
		if f != nil && helper.ByNumber(int32(i)) == nil {
			t.Errorf("helper %d has a function and no row", i)
		}
	}
	for i := int32(1); i <= helper.Max(); i++ {
		h := helper.ByNumber(i)
		for j, a := range h.Args {
			switch a.Kind() {
			case helper.MapKey, helper.MapValue:
				if h.Args[0].Kind() != helper.ConstMap && h.Args[1].Kind() != helper.ConstMap {
					t.Errorf("%s: argument %d is of no map", h.Name, j+1)
				}
			}
		}
	}
}

// single runs instructions that end with r0, as a program of the type on the context.
func single(t *testing.T, m *Machine, th *Thread, kind ebpf.ProgramType, c Context, insns ...asm.Instruction) uint64 {
	t.Helper()
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Name: "p", Type: kind, License: "GPL", Instructions: append(insns, asm.Return()),
	}}}
	loaded, err := m.Load(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	r0, err := th.Run(loaded.Programs["p"], c)
	if err != nil {
		t.Fatal(err)
	}
	return r0
}

// TestTask has programs see the task that the host tells of.
func TestTask(t *testing.T) {
	m := machine(t, Options{
		Clock: &ManualClock{now: 123}, Random: func() uint32 { return 4 },
		Host: Host{
			Task: func(t *Thread) Task {
				return Task{TID: 12, PID: 11, UID: 1, GID: 2, Comm: "a rather long name", Address: 0x1234, Cgroups: []uint64{1, 5, 9}}
			},
			Signal: func(_ *Thread, signal uint32, wholeProcess bool) error { return nil },
		},
	})
	th := thread(t, m)
	th.Cookie, th.FuncIP = 77, 88
	ctx, err := m.NewContext(ebpf.Kprobe, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		call asm.BuiltinFunc
		arg  int32
		want uint64
	}{
		{"pid and tgid", asm.FnGetCurrentPidTgid, 0, 11<<32 | 12},
		{"uid and gid", asm.FnGetCurrentUidGid, 0, 2<<32 | 1},
		{"task", asm.FnGetCurrentTask, 0, 0x1234},
		{"cgroup", asm.FnGetCurrentCgroupId, 0, 9},
		{"ancestor", asm.FnGetCurrentAncestorCgroupId, 1, 5},
		{"no ancestor", asm.FnGetCurrentAncestorCgroupId, 3, 0},
		{"time", asm.FnKtimeGetNs, 0, 123},
		{"random", asm.FnGetPrandomU32, 0, 4},
		{"signal", asm.FnSendSignal, 9, 0},
		{"cpu", asm.FnGetSmpProcessorId, 0, 0},
	} {
		if got := single(t, m, th, ebpf.Kprobe, ctx, asm.Mov.Imm(asm.R1, c.arg), c.call.Call()); got != c.want {
			t.Errorf("%s: %#x, not %#x", c.name, got, c.want)
		}
	}
	if got := single(t, m, th, ebpf.Kprobe, ctx, asm.FnGetAttachCookie.Call()); got != 77 {
		t.Errorf("the cookie is %d", got)
	}
	if got := single(t, m, th, ebpf.Kprobe, ctx, asm.FnGetFuncIp.Call()); got != 88 {
		t.Errorf("the function is at %d", got)
	}
	single(t, m, th, ebpf.Kprobe, ctx, asm.Mov.Imm(asm.R2, 5), asm.FnOverrideReturn.Call())
	if !th.Overridden || th.Override != 5 {
		t.Error("override_return is not noticed")
	}
	// The last 8 bytes of the name, which is cut so that it ends.
	name := single(t, m, th, ebpf.Kprobe, ctx,
		asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -16), asm.Mov.Imm(asm.R2, 16), asm.FnGetCurrentComm.Call(),
		asm.LoadMem(asm.R0, asm.R10, -8, asm.DWord))
	if got := string(binary.NativeEndian.AppendUint64(nil, name)); got != " long n\x00" {
		t.Errorf("the name ends with %q", got)
	}
}

// TestUnknownHelpers has the host answer what the machine does not have.
func TestUnknownHelpers(t *testing.T) {
	m := machine(t, Options{Host: Host{Unknown: func(_ *Thread, name string, args *[5]uint64) (uint64, error) {
		if name != "skc_to_tcp_sock" {
			t.Errorf("the host is asked for %s", name)
		}
		return args[1] + 1, nil
	}}})
	packet, err := m.NewXDP(60)
	if err != nil {
		t.Fatal(err)
	}
	lookup := []asm.Instruction{asm.Mov.Imm(asm.R2, 5), asm.FnSkcToTcpSock.Call()}
	if got := single(t, m, thread(t, m), ebpf.XDP, packet, lookup...); got != 6 {
		t.Errorf("the host's answer is %d", got)
	}
	m = machine(t, Options{})
	if packet, err = m.NewXDP(60); err != nil {
		t.Fatal(err)
	}
	if got := single(t, m, thread(t, m), ebpf.XDP, packet, lookup...); got != 0 {
		t.Errorf("a socket is found: %#x", got)
	}
}

// TestTrace formats lines of trace_printk.
func TestTrace(t *testing.T) {
	var lines []string
	m := machine(t, Options{Host: Host{Trace: func(_ *Thread, line string) { lines = append(lines, line) }}})
	ctx, err := m.NewContext(ebpf.Kprobe, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := binary.NativeEndian.Uint64([]byte("%d %x\n\x00\x00"))
	got := single(t, m, thread(t, m), ebpf.Kprobe, ctx,
		asm.LoadImm(asm.R1, int64(text), asm.DWord), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 7), asm.Mov.Imm(asm.R3, -5), asm.Mov.Imm(asm.R4, 255),
		asm.FnTracePrintk.Call())
	if got != 6 || strings.Join(lines, "|") != "-5 ff" {
		t.Errorf("%d bytes, %q", got, lines)
	}
}
