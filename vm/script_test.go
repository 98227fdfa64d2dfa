package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/internal/diag"
	"skep/internal/ktest"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/vm/maps"
)

// compileScript makes a unit of a script, whose tracepoints become raw ones without types: the kernel runs those in a test, too.
func compileScript(t *testing.T, text string) *lower.Unit {
	t.Helper()
	target := &ir.Target{Kernel: 6<<16 | 12<<8, Arch: "amd64", CPUs: ebpf.MustPossibleCPU()}
	target.Has = func(f ir.Feature) bool { return f != ir.BTFTracepoint && f.Since() <= target.Kernel }
	script, list := syntax.Parse(&diag.Source{Name: "script", Text: text}, syntax.Options{})
	if list.HasErrors() {
		t.Fatal(list)
	}
	catalog := &probe.Catalog{}
	checked, list := check.Check(script, check.Options{Catalog: catalog, Target: target, Unsafe: true, Env: func(string) string { return "" }})
	if list.HasErrors() {
		t.Fatal(list)
	}
	unit, err := lower.Lower(checked, lower.Options{Target: target, Types: catalog.Types})
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

// TestScripts runs what skep's compiler makes of scripts on all engines and on the kernel, and compares the maps and the events.
func TestScripts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	if runtime.GOARCH != "amd64" {
		t.Skip("the scripts are compiled for amd64")
	}
	if err := rlimit.RemoveMemlock(); err != nil { // maps are counted there before Linux 5.11
		t.Fatal(err)
	}
	for _, text := range []string{
		`rawtracepoint:sys_enter { @n[arg1] = count(); @ += arg1; }`,
		`rawtracepoint:sys_enter /arg1 > 2/ { @s = sum(arg1); @h = hist(arg1); @l = lhist(arg1, 0, 10, 2); @m = max(arg1); @i = min(arg1); @a = avg(arg1); }`,
		`rawtracepoint:sys_enter { @[comm, pid, tid, uid] = count(); if (arg1 % 2 == 0) { @even++; } else { @odd--; } }`,
		`rawtracepoint:sys_enter { printf("%d %s %x\n", arg1, comm, arg1 * 16); @last = arg1; }`,
		`rawtracepoint:sys_enter { $i = 0; while ($i < 10 && $i < arg1) { @sum += $i * $i; $i++; } @t[arg1, $i] = (arg1, "text", $i); }`,
		`rawtracepoint:sys_enter { @x[arg1] = arg1; if (@x[3]) { delete(@x, 3); } for ($kv : @x) { @total += $kv.1; } }`,
		`rawtracepoint:sys_enter { @s[str("abc")] = strncmp(comm, "none", 4); @d = (int64)arg1 / 3 - (int64)arg1 % 3; }`,
	} {
		t.Run(text, func(t *testing.T) {
			// The current task is this thread, in the kernel and in the machine.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			unit := compileScript(t, text)
			want := kernelScript(t, unit.Spec.Copy())
			if !strings.Contains(want, "AT_") {
				t.Fatalf("there is nothing to compare: %s", want)
			}
			for _, v := range variants() {
				if diff := cmp.Diff(want, machineScript(t, unit.Spec.Copy(), v)); diff != "" {
					t.Errorf("the kernel (-) and %s (+) differ:\n%s", v.name, diff)
				}
			}
		})
	}
}

// arguments are what the tracepoint is hit with.
var arguments = []uint64{1, 2, 3, 5, 8, 3, 200, 7}

func machineScript(t *testing.T, spec *ebpf.CollectionSpec, v variant) string {
	t.Helper()
	m := machine(t, Options{CPUs: ebpf.MustPossibleCPU(), Host: Host{Task: currentThread}})
	c, err := m.Load(spec, &v.options)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range sortedPrograms(spec) {
		th := thread(t, m)
		for _, n := range arguments {
			ctx, err := m.NewWords(0, n)
			if err != nil {
				t.Fatal(err)
			}
			r0, err := th.Run(c.Programs[name], ctx)
			var fault *Fault
			if errors.As(err, &fault) {
				t.Fatalf("%s: %s", v.name, fault.Dump())
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "AT_%d %d\n", n, uint32(r0))
		}
	}
	for name, x := range c.Maps {
		if ring, ok := x.(*maps.RingBuf); ok {
			Drain(ring, func(record []byte) { fmt.Fprintf(&b, "%s: %x\n", name, record) })
			continue
		}
		var entries []string
		_ = maps.User{Map: x}.Each(func(key, value []byte) bool {
			entries = append(entries, entry(name, x.Type(), x.ValueSize(), key, value))
			return true
		})
		show(&b, entries)
	}
	return sortedText(b.String())
}

// entry shows an entry; of a per-CPU one, the sum of the CPUs' words, since the kernel chooses the CPU.
func entry(name string, kind ebpf.MapType, size int, key, value []byte) string {
	if len(value) <= size {
		return fmt.Sprintf("%s[%x] = %x", name, key, value)
	}
	step := (size + 7) &^ 7
	sums := make([]uint64, step/8)
	for at := 0; at+step <= len(value); at += step {
		for i := range sums {
			sums[i] += binary.NativeEndian.Uint64(value[at+i*8:])
		}
	}
	return fmt.Sprintf("%s[%x] = %x (sums)", name, key, sums)
}

func sortedPrograms(spec *ebpf.CollectionSpec) []string {
	var names []string
	for name := range spec.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func sortedText(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func currentThread(*Thread) Task {
	comm, _ := os.ReadFile("/proc/thread-self/comm")
	return Task{TID: uint32(unix.Gettid()), PID: uint32(unix.Getpid()), Comm: string(bytes.TrimSpace(comm))}
}

// kernelScript runs the programs in the kernel, on this thread.
func kernelScript(t *testing.T, spec *ebpf.CollectionSpec) string {
	t.Helper()
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var b strings.Builder
	for _, name := range sortedPrograms(spec) {
		for _, n := range arguments {
			r0, err := c.Programs[name].Run(&ebpf.RunOptions{Context: []uint64{0, n}})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "AT_%d %d\n", n, r0)
		}
	}
	for name, m := range c.Maps {
		if m.Type() == ebpf.RingBuf {
			drainKernel(t, &b, name, m)
			continue
		}
		var entries []string
		var key []byte
		it := m.Iterate()
		if m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.LRUCPUHash {
			var values [][]byte
			for it.Next(&key, &values) {
				var all []byte
				for _, v := range values {
					all = append(all, v...)
					all = append(all, make([]byte, (len(v)+7)&^7-len(v))...)
				}
				entries = append(entries, entry(name, m.Type(), int(m.ValueSize()), key, all))
			}
		} else {
			var value []byte
			for it.Next(&key, &value) {
				entries = append(entries, entry(name, m.Type(), int(m.ValueSize()), key, value))
			}
		}
		show(&b, entries)
	}
	return sortedText(b.String())
}
