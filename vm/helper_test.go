package vm

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm/helper"
	"skep/vm/maps"
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

// TestMissing asks for a reason for each helper that kernels have and the machine has not, unless no pointer is an answer.
func TestMissing(t *testing.T) {
	for i := int32(1); i <= helper.Max(); i++ {
		has, null, why := implementation(i) != nil, mayBeNull(helper.ByNumber(i).Ret), missing(i)
		if (has || null) == (why != "") {
			t.Errorf("%s (%d): the machine has it: %v, it may be null: %v, and %q", helper.ByNumber(i).Name, i, has, null, why)
		}
	}
}

// TestSequence has a program of an iterator write to its file.
func TestSequence(t *testing.T) {
	text := ""
	m := machine(t, Options{Host: Host{Sequence: func(_ *Thread, file uint64, b []byte) error {
		if file != 99 {
			return errors.New("no such file")
		}
		text += string(b)
		return nil
	}}})
	ctx, err := m.NewWords(99)
	if err != nil {
		t.Fatal(err)
	}
	format := int64(binary.NativeEndian.Uint64([]byte("<%d>\n\x00\x00\x00")))
	write := func(file asm.Instruction) uint64 {
		return single(t, m, thread(t, m), ebpf.Tracing, ctx,
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadImm(asm.R2, format, asm.DWord), asm.StoreMem(asm.R10, -8, asm.R2, asm.DWord), asm.Mov.Imm(asm.R2, 42), asm.StoreMem(asm.R10, -16, asm.R2, asm.DWord),
			file, asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8), asm.Mov.Imm(asm.R3, 6), asm.Mov.Reg(asm.R4, asm.R10), asm.Add.Imm(asm.R4, -16), asm.Mov.Imm(asm.R5, 8),
			asm.FnSeqPrintf.Call(), asm.JNE.Imm(asm.R0, 0, "end"),
			asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8), asm.Mov.Imm(asm.R3, 2), asm.FnSeqWrite.Call(),
			asm.Mov.Reg(asm.R0, asm.R0).WithSymbol("end"))
	}
	if got := write(asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord)); got != 0 || text != "<42>\n<%" {
		t.Errorf("%d, %q", int64(got), text)
	}
	if got := write(asm.Mov.Imm(asm.R1, 5)); int64(got) != -75 {
		t.Errorf("what cannot be written returns %d", int64(got))
	}
}

// TestUnderCgroup asks whether the current task and a packet are in a cgroup of an array.
func TestUnderCgroup(t *testing.T) {
	m := machine(t, Options{Host: Host{Task: func(*Thread) Task { return Task{Cgroups: []uint64{1, 5, 9}} }}})
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{"groups": {Name: "groups", Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 4}},
		Programs: map[string]*ebpf.ProgramSpec{
			"packet": {Name: "packet", Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
				asm.LoadMem(asm.R3, asm.R1, 8, asm.Word), asm.LoadMapPtr(asm.R2, 0).WithReference("groups"), asm.FnSkbUnderCgroup.Call(), asm.Return()}},
			"task": {Name: "task", Type: ebpf.Kprobe, License: "GPL", Instructions: asm.Instructions{
				asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), asm.LoadMapPtr(asm.R1, 0).WithReference("groups"), asm.FnCurrentTaskUnderCgroup.Call(), asm.Return()}},
		},
	}
	c, err := m.Load(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	groups := c.Maps["groups"].(*maps.CgroupArray)
	for i, id := range []uint64{5, 7} {
		if err := groups.Put(uint32(i), id); err != nil {
			t.Fatal(err)
		}
	}
	ctx, err := m.NewContext(ebpf.Kprobe, nil)
	if err != nil {
		t.Fatal(err)
	}
	packet := newPacket(t, m, make([]byte, 60))
	packet.Cgroups = []uint64{1, 5}
	th := thread(t, m)
	for i, want := range []int64{1, 0, -11, -11, -7} { // EAGAIN, E2BIG
		ctx.Bytes()[0] = byte(i)
		packet.Fields()[8] = byte(i)
		for name, context := range map[string]Context{"task": ctx, "packet": packet} {
			if r0, err := th.Run(c.Programs[name], context); err != nil || int64(r0) != want {
				t.Errorf("%s: cgroup %d: %d, %v", name, i, int64(r0), err)
			}
		}
	}
}
