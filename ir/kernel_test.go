package ir

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// loadTest loads a compiled module with the maps that it names.
func loadTest(t *testing.T, o *Object, kind ebpf.ProgramType, maps map[string]*ebpf.MapSpec) *ebpf.Collection {
	t.Helper()
	ktest.Need(t, ktest.Root)
	if err := rlimit.RemoveMemlock(); err != nil { // 5.10 counts programs and maps against it
		t.Fatal(err)
	}
	spec := &ebpf.CollectionSpec{
		Maps: maps,
		Programs: map[string]*ebpf.ProgramSpec{"main": {
			Name: "main", Type: kind, Instructions: o.Instructions, License: "GPL"}},
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			t.Fatalf("%s\n%s", strings.Join(ve.Log, "\n"), o.Listing())
		}
		t.Fatalf("%v\n%s", err, o.Listing())
	}
	t.Cleanup(c.Close)
	return c
}

func run(t *testing.T, c *ebpf.Collection) uint32 {
	t.Helper()
	got, err := c.Programs["main"].Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// resultMap is an array of one element in which test programs leave what they computed.
func resultMap(size uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "result", Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1}
}

func liveTarget() *Target {
	return &Target{Kernel: 6<<16 | 18<<8, Arch: "amd64", CPUs: 2}
}

// runningTargets returns targets whose programs the running kernel must take: itself, and older ones.
func runningTargets(t *testing.T) []*Target {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	var list []*Target
	for _, v := range []uint32{version(5, 10), version(6, 1), version(6, 12)} {
		if v < version(major, minor) {
			list = append(list, &Target{Kernel: v, Arch: runtime.GOARCH, CPUs: 2})
		}
	}
	return append(list, &Target{Kernel: version(major, minor), Arch: runtime.GOARCH, CPUs: 2})
}

// TestKernelLoads gives each case of testdata that says which maps it has to the verifier, compiled for this kernel and for
// older ones.
func TestKernelLoads(t *testing.T) {
	ktest.Need(t, ktest.Root)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]string{}
		for _, f := range a.Files {
			sections[f.Name] = string(f.Data)
		}
		if sections["maps"] == "" {
			continue
		}
		loaded++
		for _, target := range runningTargets(t) {
			if strings.Contains(sections["in"], "FnForEachMapElem") && !target.Supports(ForEachMapElem) {
				continue
			}
			m, err := readModule(file, sections["in"])
			if err != nil {
				t.Fatal(err)
			}
			o, err := Compile(m, Options{Target: target, Check: true, ScratchMap: "scratch", ScratchIndex: 1, ZeroMap: "zero", ZeroSize: 4096})
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%s for %x", filepath.Base(file), target.Kernel), func(t *testing.T) {
				loadTest(t, o, ebpf.RawTracepoint, mapsOf(t, sections["maps"]))
			})
		}
	}
	if loaded == 0 {
		t.Error("no cases")
	}
}

// mapsOf reads lines of a map's name, type, and sizes of key and value.
func mapsOf(t *testing.T, text string) map[string]*ebpf.MapSpec {
	maps := map[string]*ebpf.MapSpec{
		"scratch": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 4096, MaxEntries: 2},
		"zero":    fixedArray(4096),
	}
	for line := range strings.Lines(text) {
		var name, kind string
		s := &ebpf.MapSpec{MaxEntries: 16}
		if _, err := fmt.Sscan(line, &name, &kind, &s.KeySize, &s.ValueSize); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch kind {
		case "hash":
			s.Type = ebpf.Hash
		case "percpuhash":
			s.Type = ebpf.PerCPUHash
		case "array":
			s.Type, s.MaxEntries = ebpf.Array, 1
		case "ringbuf":
			s.Type, s.MaxEntries = ebpf.RingBuf, 4096
		}
		maps[name] = s
	}
	return maps
}

func TestKernelCount(t *testing.T) {
	m, err := readModule("count", `
func main ptr
slot key 8 8 auto
b0:
  store8 [&key] 7
  v1:null = call FnMapLookupElem map:counts &key reads
  if v1 b1 b2 likely
b1:
  atomicadd8 [v1] 1
  jump b3
b2:
  jump b3
b3:
  v5 = load8 [val:result]
  v6 = add v5 5
  store8 [val:result] v6
  return v6
`)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Compile(m, Options{Target: liveTarget(), Check: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + o.Listing())
	c := loadTest(t, o, ebpf.SocketFilter, map[string]*ebpf.MapSpec{"result": resultMap(8),
		"counts": {Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4}})
	run(t, c)
	if got := run(t, c); got != 10 {
		t.Errorf("got %d", got)
	}
}
