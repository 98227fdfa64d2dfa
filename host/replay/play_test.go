package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"skep/host"
	"skep/internal/diag"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/recording"
	"skep/trace"
)

// recorded makes a recording of a system call, a tracepoint and the begin.
func recorded(t testing.TB) (header *recording.Header, file []byte) {
	t.Helper()
	point := func(category, event string) probe.Point {
		return probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:" + category + ":" + event, Category: category, Event: event}
	}
	header = &recording.Header{
		Script: "…", Host: "kernel", Arch: "amd64", CPUs: 2, Zone: "CET", ZoneOffset: 3600,
		Probes: []recording.Probe{
			{Point: probe.Point{Kind: probe.Begin, Name: "begin"}},
			{Point: point("syscalls", "sys_enter_openat"), Form: recording.Syscall},
			{Point: point("sched", "sched_process_exec"), Form: recording.Record},
		},
		Formats: map[string]*probe.Format{
			"syscalls:sys_enter_openat": {Fields: []probe.FormatField{
				{Name: "dfd", Type: "int", Offset: 16, Size: 8}, {Name: "filename", Type: "const char *", Offset: 24, Size: 8}}},
			"sched:sched_process_exec": {Fields: []probe.FormatField{
				{Name: "filename", Type: "__data_loc char[]", Offset: 8, Size: 4}, {Name: "pid", Type: "pid_t", Offset: 12, Size: 4, Signed: true}}},
		},
	}
	var b bytes.Buffer
	w, err := recording.NewWriter(&b, header, nil)
	if err != nil {
		t.Fatal(err)
	}
	regs := make([]byte, 8+168)
	regs[0], regs[8+136] = 1, 0x33 // openat is 257; cs of a 64-bit process
	regs[1] = 1
	regs[8+105] = 0x10 // rsi: the second argument, 0x1000
	task := recording.Task{TID: 8, PID: 7, Comm: "bee", ParentPID: 1, ParentComm: "hive"}
	exec := append([]byte{0, 0, 0, 0, 8, 0, 0, 0, 20, 0, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0}, "/b/x"...)
	for i, e := range []*recording.Event{
		{Probe: 0, Task: recording.Task{TID: 2, PID: 2, Comm: "skep"}},
		{Probe: 1, Task: task, CPU: 1, Context: regs, Results: []recording.Result{
			{Kind: recording.ReadUser, Addr: 0x1000, Data: []byte("/etc/hive\x00")}, {Kind: recording.Boot, Value: 77}}},
		{Probe: 2, Task: task, Context: exec},
		{Probe: 1, Task: task, Context: regs},
	} {
		e.Boot = uint64(i+1) * uint64(time.Second)
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Begin(&recording.Start{Boot: uint64(time.Second), State: []uint64{0, 0, uint64(time.Second)}, Wall: 1_000_000_000 * int64(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(recording.End{Boot: uint64(6 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	return header, b.Bytes()
}

// run runs a script on a recording.
func run(file io.ReadSeeker, script string) (stdout, stderr string, err error) {
	r, err := recording.Open(file)
	if err != nil {
		return "", "", err
	}
	parsed, list := syntax.Parse(&diag.Source{Name: "test", Text: script}, syntax.Options{})
	if list.HasErrors() {
		return "", "", list
	}
	h := &Host{Reader: r}
	target, err := h.Target()
	if err != nil {
		return "", "", err
	}
	catalog := NewCatalog(r)
	tree, list := check.Check(parsed, check.Options{Catalog: catalog, Target: target})
	if list.HasErrors() {
		return "", "", list
	}
	unit, err := lower.Lower(tree, lower.Options{
		Target: target, Types: catalog.Types, HelperErrors: true, HasRawTracepoint: func(probe.Point) bool { return false },
	})
	if err != nil {
		return "", "", err
	}
	var out, errs bytes.Buffer
	session, err := h.Load(unit.Spec, unit.Attach, host.Options{
		RingMap: lower.MapEvents, ControlMap: lower.MapControl, StateMap: lower.MapState, Notice: func(line string) { errs.WriteString(line + "\n") },
	})
	if err != nil {
		return "", "", err
	}
	_, err = trace.Run(context.Background(), session, unit, trace.Options{Output: &out, Errors: &errs, Quiet: true, Bare: true, Answers: NewAsked(r.Answers)})
	return out.String(), errs.String(), err
}

func TestPlay(t *testing.T) {
	_, file := recorded(t)
	for _, c := range []struct{ name, script, want, errs string }{
		{"begin", `BEGIN { printf("%d %s\n", pid, comm); }`, "2 skep\n", ""},
		{"call", `tracepoint:syscalls:sys_enter_openat /cpu == 1/ { printf("%s %d %d %s %d\n", comm, pid, tid, str(args.filename), nsecs); }`,
			"bee 7 8 /etc/hive 77\n", ""},
		{"record", `tracepoint:sched:* { printf("%s %d %s\n", str(args.filename), args.pid, strftime("%H:%M:%S", nsecs)); }`, "/b/x 8 02:46:43\n", ""},
		{"ticks", `interval:s:2 { printf("%d\n", elapsed / 1000000000); } tracepoint:sched:* { printf("exec\n"); }`, "2\nexec\n4\n", ""},
		{"not read", `tracepoint:syscalls:sys_enter_openat /cpu == 0/ { printf("<%s>\n", str(args.filename)); }`, "<>\n",
			"test:1:68-85: WARNING: the recording does not have what is read here: nobody read it then\nAdditional Info - helper: probe_read_user_str, retcode: -61\n"},
		{"end", `tracepoint:sched:* { @++; } END { printf("%d\n", @); clear(@); }`, "1\n", ""},
		{"exit", `tracepoint:syscalls:* { exit(); } tracepoint:sched:* { printf("no\n"); }`, "", ""},
	} {
		out, errs, err := run(bytes.NewReader(file), c.script)
		if err != nil || out != c.want || len(errs) < len(c.errs) || errs[:len(c.errs)] != c.errs || c.errs == "" && errs != "" {
			t.Errorf("%s: %q, want %q; %q, %v", c.name, out, c.want, errs, err)
		}
	}
}

// TestPlayForged has a recording that ends centuries after its last event.
func TestPlayForged(t *testing.T) {
	header, _ := recorded(t)
	var b bytes.Buffer
	w, err := recording.NewWriter(&b, header, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(&recording.Start{Boot: uint64(time.Second), State: []uint64{0, 0, uint64(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(recording.End{Boot: 1<<64 - 2}); err != nil {
		t.Fatal(err)
	}
	const want = "ERROR: the recorded time goes forward by 583 years at once, for which intervals cannot tick\n"
	if out, errs, _ := run(bytes.NewReader(b.Bytes()), `interval:s:1 { @++; }`); out != "" || errs != want {
		t.Errorf("%q, %q, want %q", out, errs, want)
	}
}

// FuzzPlay plays hostile events under hostile headers.
func FuzzPlay(f *testing.F) {
	header, _ := recorded(f)
	text, err := json.Marshal(header)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), uint64(1), []byte("context"), uint64(0x1000), []byte("/etc/hive\x00"))
	f.Fuzz(func(t *testing.T, text string, number uint64, content []byte, addr uint64, data []byte) {
		var h recording.Header
		if json.Unmarshal([]byte(text), &h) != nil || h.CPUs > 64 || len(h.Probes) == 0 {
			return
		}
		var b bytes.Buffer
		w, err := recording.NewWriter(&b, &h, data)
		if err != nil {
			return
		}
		for i := range 4 {
			_ = w.Event(&recording.Event{
				Probe: int(number>>i) & 3, Boot: number, CPU: int(number>>i) & 1, Context: content, Task: recording.Task{Comm: string(data), TID: uint32(addr)},
				Results: []recording.Result{{Kind: recording.ReadUser, Addr: addr, Data: data}, {Kind: recording.UserStack, Frames: []uint64{addr, number}}},
			})
		}
		_ = w.Begin(&recording.Start{Boot: number, State: []uint64{addr, number, addr}, Wall: int64(addr)})
		_ = w.Close(recording.End{Boot: min(number, 1<<40)})
		_, _, _ = run(bytes.NewReader(b.Bytes()),
			`tracepoint:*:* { @[comm, str(args.filename), ustack(2)] = count(); printf("%s %d %r", probe, nsecs, buf(args.filename, 8)); } BEGIN { printf("%d", rand); }`)
	})
}

// TestNamesOfFiles: a script may call a library as programs do that are linked with it, or by the end of its path.
func TestNamesOfFiles(t *testing.T) {
	const path = "/lib/x86_64-linux-gnu/libc.so.6"
	for name, same := range map[string]bool{
		"libc": true, "c": true, "libc.so.6": true, path: true, "lib": false, "libc.so": false, "gnu": false, "x86_64-linux-gnu/libc.so.6": true,
	} {
		if calls(name, path) != same {
			t.Errorf("%s for %s: %t", name, path, !same)
		}
	}
}
