package user

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/probe"
)

// TestTracepoints reads the generated formats.
func TestTracepoints(t *testing.T) {
	var got []string
	for name, f := range tracepoints() {
		for _, field := range f.Fields {
			if field.Offset+field.Size > recordSize || field.Size == 0 {
				t.Errorf("%s: field %+v", name, field)
			}
		}
		got = append(got, name)
	}
	if len(got) != 6 {
		t.Errorf("%d tracepoints: %v", len(got), got)
	}
	for _, f := range tracepoints()["signal:signal_deliver"].Fields {
		if strings.HasPrefix(f.Name, "sa_") {
			t.Errorf("%s is offered, which nobody can know", f.Name)
		}
	}
}

// TestFill writes a record with numbers, a text of fixed size and texts behind the fixed part.
func TestFill(t *testing.T) {
	f, err := probe.ParseFormat("\tfield:__data_loc char[] a;\toffset:8;\tsize:4;\tsigned:0;\n\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n" +
		"\tfield:char name[4];\toffset:16;\tsize:4;\tsigned:0;\n\tfield:__data_loc char[] b;\toffset:20;\tsize:4;\tsigned:0;\n\tfield:bool last;\toffset:24;\tsize:1;\tsigned:0;\n")
	if err != nil {
		t.Fatal(err)
	}
	record := make([]byte, 64)
	fill(record, f, &task{tid: 7}, map[string]any{"a": "one", "pid": -2, "name": "long", "b": "", "last": 1})
	want := make([]byte, 64)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(want[at:], v) }
	put(4, 7)
	put(8, 4<<16|25)
	put(12, 0xfffffffe)
	copy(want[16:], "lon")
	put(20, 1<<16|29)
	want[24] = 1
	copy(want[25:], "one")
	if diff := cmp.Diff(want, record); diff != "" {
		t.Error(diff)
	}
}

// TestFilter reads a filter as the kernel does.
func TestFilter(t *testing.T) {
	filter := filterProgram(auditArch, []int{257, 0, 257, 39}, []int{39}, true)
	for _, c := range []struct {
		arch, nr, first, third uint32
		stops                  bool
	}{
		{auditArch, 257, 0, 0, true}, {auditArch, 0, 0, 0, true}, {auditArch, 1, 0, 0, false}, {0x40000003, 257, 0, 0, false},
		{auditArch, unix.SYS_MMAP, 0, unix.PROT_READ | unix.PROT_EXEC, true}, {auditArch, unix.SYS_MMAP, 0, unix.PROT_READ, false},
		{auditArch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_UNTRACED, 0, true}, {auditArch, unix.SYS_CLONE, unix.CLONE_VM, 0, false},
		{auditArch, unix.SYS_CLONE, unix.SYS_MMAP, unix.PROT_EXEC, false}, {auditArch, unix.SYS_CLONE3, 0, 0, true},
		{auditArch, unix.SYS_SECCOMP, 0, 0, true}, {auditArch, unix.SYS_PRCTL, unix.PR_SET_SECCOMP, 0, true}, {auditArch, unix.SYS_PRCTL, unix.PR_SET_NAME, 0, false},
	} {
		words := map[uint32]uint32{seccompArch: c.arch, seccompNr: c.nr, seccompArgs: c.first, seccompProt: c.third}
		if got := evaluate(t, filter, words)&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_TRACE; got != c.stops {
			t.Errorf("%+v stops: %v", c, got)
		}
	}
}

func evaluate(t *testing.T, filter []unix.SockFilter, words map[uint32]uint32) uint32 {
	a := uint32(0)
	for at := 0; at < len(filter); at++ {
		f := filter[at]
		var is bool
		switch f.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = words[f.K]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return f.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			is = a == f.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			is = a&f.K != 0
		}
		if is {
			at += int(f.Jt)
		} else {
			at += int(f.Jf)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

// TestMoved has instructions as they are done in another place.
func TestMoved(t *testing.T) {
	for _, c := range []struct{ code, moved, err string }{
		{"4883ec10", "4883ec10", ""},                          // sub $16, %rsp
		{"803d1122334400", "80be1122334400", ""},              // cmpb $0, 0x44332211(%rip): by rsi
		{"488b3511223344", "488bb711223344", ""},              // mov 0x44332211(%rip), %rsi: by rdi
		{"4c8b2d11223344", "4c8bae11223344", ""},              // mov …(%rip), %r13
		{"ff1511223344", "ff9611223344", ""},                  // call *…(%rip)
		{"c5fa6f0511223344", "", "refers to its own address"}, // vmovdqu …(%rip), %xmm0
		{"0f05", "", "another place"},                         // syscall
		{"cc", "", "another tracer"},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		i, err := decode(append(code, make([]byte, maxInstruction-len(code))...), 8)
		switch {
		case err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", c.code, err)
		case err == nil && hex.EncodeToString(i.moved[:i.length]) != c.moved:
			t.Errorf("%s is %x in another place, want %s, %q", c.code, i.moved[:i.length], c.moved, c.err)
		}
	}
}

// TestEmulated has those that are done without the process.
func TestEmulated(t *testing.T) {
	for _, c := range []struct {
		code    string
		flags   uint64
		rip     uint64
		pushed  uint64
		changed uint64 // of rsp
	}{
		{"f30f1efa", 0, 0x1004, 0, 0},          // endbr64
		{"4154", 0, 0x1002, 12, 8},             // push %r12
		{"55", 0, 0x1001, 5, 8},                // push %rbp
		{"e8fbffffff", 0, 0x1000, 0x1005, 8},   // call to itself
		{"ebfe", 0, 0x1000, 0, 0},              // jmp to itself
		{"7410", 1 << 6, 0x1012, 0, 0},         // je, equal
		{"7510", 1 << 6, 0x1002, 0, 0},         // jne, equal
		{"0f8f00010000", 0, 0x1106, 0, 0},      // jg, greater
		{"0f8f00010000", 1 << 7, 0x1006, 0, 0}, // jg, less
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		i, err := decode(append(code, make([]byte, maxInstruction-len(code))...), 8)
		if err != nil {
			t.Fatal(err)
		}
		regs := unix.PtraceRegs{Rip: 0x1000, Rsp: 0x8000, Rbp: 5, R12: 12, Eflags: c.flags}
		var pushed uint64
		done := i.emulate(&regs, func(addr, value uint64) error {
			if addr != 0x8000-8 {
				t.Errorf("%s writes to %#x", c.code, addr)
			}
			pushed = value
			return nil
		})
		if !done || regs.Rip != c.rip || pushed != c.pushed || regs.Rsp != 0x8000-c.changed {
			t.Errorf("%s: done %v, rip %#x, rsp %#x, pushed %#x", c.code, done, regs.Rip, regs.Rsp, pushed)
		}
	}
}

// TestExpand has what is offered and what is refused.
func TestExpand(t *testing.T) {
	c := NewCatalog()
	for pattern, want := range map[string]string{
		"tracepoint:sched:*":                    "sched_process_exec sched_process_exit sched_process_fork",
		"tracepoint:syscalls:sys_enter_getppid": "sys_enter_getppid",
		"tracepoint:*:sys_exit":                 "sys_exit",
		"tracepoint:block:*":                    "error: the others need the kernel",
		"kprobe:vfs_read":                       "error: kprobe probes need the kernel",
	} {
		points, err := c.Expand(pattern, probe.ExpandOptions{})
		var got []string
		for _, p := range points {
			got = append(got, p.Event)
		}
		if wantErr, is := strings.CutPrefix(want, "error: "); is {
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("%s: %v, want %s", pattern, err, wantErr)
			}
		} else if want != "" && (err != nil || strings.Join(got, " ") != want) {
			t.Errorf("%s: %v, %v", pattern, got, err)
		}
	}
}
