package recording

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/probe"
)

// sample is a recording with one of everything.
func sample(t testing.TB) (file []byte, events []*Event) {
	t.Helper()
	open := probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:syscalls:sys_enter_openat", Category: "syscalls", Event: "sys_enter_openat"}
	header := &Header{Script: "tracepoint:syscalls:sys_enter_openat { }", Host: "user", Arch: "amd64", CPUs: 2, Zone: "UTC", Probes: []Probe{{Point: open, Form: Syscall}}}
	task := Task{TID: 12, PID: 11, UID: 1000, GID: 100, Comm: "cat", Address: 1 << 63, Cgroups: []uint64{1, 77}, ParentPID: 10, ParentComm: "sh", OwnTID: 2, OwnPID: 1}
	frames := []uint64{0x7f0000001234, 0x7f0000000000, 0xffffffff81000000}
	events = []*Event{
		{Boot: 100, CPU: 1, Task: task, Context: []byte{1, 0, 2}, Results: []Result{
			{Kind: ReadUser, Addr: 0x7f0000005000, Data: []byte("/etc/hostname\x00")},
			{Kind: ReadKernel, Addr: 1<<64 - 8, Errno: 14, Value: 8},
			{Kind: UserStack, Frames: frames}, {Kind: Boot, Value: 101}, {Kind: Random, Value: 1<<32 - 1}, {Kind: Signal, Errno: 1},
		}},
		{Boot: 200, Task: task, Context: []byte{}, Incomplete: true, Results: []Result{{Kind: UserStack, Frames: frames}, {Kind: KernelStack}}},
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, header, []byte("types"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(&Start{Attached: 1, State: []uint64{0, 7}, Self: Task{PID: 5, Comm: "skep"}, Boot: 90, Wall: 1e18}); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Answer(Answer{About: "user", Question: "1000", Text: "bee"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(End{Boot: 300, Lost: 3}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), events
}

// readAll gives the events that can be read.
func readAll(r *Reader) (events []*Event, err error) {
	for {
		e, err := r.Next()
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

func TestRoundTrip(t *testing.T) {
	file, want := sample(t)
	r, err := Open(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if err != nil || r.Broken != nil {
		t.Fatal(err, r.Broken)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events written (-) and read (+) differ:\n%s", diff)
	}
	if !r.Ended || r.End != (End{Boot: 300, Events: 2, Lost: 3}) || !r.Started || r.Start.Self.Comm != "skep" || string(r.Types) != "types" || r.Header.CPUs != 2 {
		t.Errorf("read %+v, %+v, %q, %+v", r.Header, r.Start, r.Types, r.End)
	}
	if diff := cmp.Diff([]Answer{{"user", "1000", "bee"}}, r.Answers); diff != "" {
		t.Error(diff)
	}
}

// TestCut reads all beginnings of a file: each gives the events of its whole blocks, and says where it ends.
func TestCut(t *testing.T) {
	file, _ := sample(t)
	whole := 0
	for n := range file {
		r, err := Open(bytes.NewReader(file[:n]))
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("%d bytes: %v is no *Error", n, err)
			}
			continue
		}
		whole++
		if r.Ended || r.Broken != nil && !r.Broken.Cut {
			t.Fatalf("%d of %d bytes: ended %v, %v", n, len(file), r.Ended, r.Broken)
		}
		if got, err := readAll(r); err != nil || len(got) != r.Events {
			t.Fatalf("%d bytes: %d of %d events, %v", n, len(got), r.Events, err)
		}
	}
	if whole == 0 {
		t.Error("no cut file can be read")
	}
}

func TestWrong(t *testing.T) {
	file, _ := sample(t)
	damaged := bytes.Clone(file)
	damaged[len(damaged)-3] ^= 1
	newer := bytes.Clone(file)
	newer[len(magic)] = 9
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "at byte 0: this is not a recording of skep"},
		{"other file", []byte("#!/bin/sh\necho hello\n"), "at byte 0: this is not a recording of skep"},
		{"newer", newer, "at byte 8: the recording has version 9 of the format, and this skep reads version 1"},
		{"no header", file[:fileHeader], "at byte 12: the recording ends before its header"},
		{"damaged", damaged, "a block is damaged: its checksum is another one"},
		{"long", append(bytes.Clone(file[:fileHeader]), 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0), "at byte 12: a block of 4294967295 bytes, and at most 16777216 are possible"},
	} {
		r, err := Open(bytes.NewReader(c.file))
		if err == nil && r.Broken != nil {
			err = r.Broken
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// FuzzOpen reads hostile files: as they are, and as the content of a block, which a checksum protects from chance only.
func FuzzOpen(f *testing.F) {
	file, _ := sample(f)
	f.Add(file, false)
	r, err := Open(bytes.NewReader(file))
	if err != nil {
		f.Fatal(err)
	}
	var content []byte
	for r.readBlock() == nil {
		content = append(content, r.content...)
	}
	f.Add(content, true)
	f.Fuzz(func(t *testing.T, data []byte, content bool) {
		if content {
			w := &Writer{}
			var b bytes.Buffer
			b.WriteString(magic + "\x01\x00\x00\x00")
			w.w, w.content = &b, data
			w.flate = newFlate()
			w.flush()
			data = b.Bytes()
		}
		r, err := Open(bytes.NewReader(data))
		if err != nil {
			return
		}
		got, err := readAll(r)
		if err != nil || len(got) != r.Events {
			t.Errorf("%d of %d events: %v", len(got), r.Events, err)
		}
	})
}
