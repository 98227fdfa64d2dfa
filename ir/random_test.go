package ir

import (
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

var randomPrograms = flag.Int("random", 0, "number of random programs to compare with the evaluator")
var randomSeed = flag.Uint64("seed", 0, "only this random program")

func TestKernelRandom(t *testing.T) {
	ktest.Need(t, ktest.Root)
	if err := rlimit.RemoveMemlock(); err != nil { // 5.10 counts programs and maps against it
		t.Fatal(err)
	}
	first, last := uint64(1), uint64(200)
	if k := os.Getenv("SKEP_KERNEL"); k != "" && k != "live" {
		last = 50 // emulated
	}
	if *randomPrograms > 0 {
		last = uint64(*randomPrograms)
	}
	if *randomSeed > 0 {
		first, last = *randomSeed, *randomSeed
	}
	fixed := map[string]*ebpf.Map{}
	for name, spec := range map[string]*ebpf.MapSpec{
		"input": fixedArray(8 * randomInputs), "result": fixedArray(8 * randomVars), "memory": fixedArray(64),
		"source": fixedArray(256),
		"array":  {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 5}, "zero": fixedArray(4096),
		"scratch": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 4096, MaxEntries: 2},
	} {
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		fixed[name] = m
	}
	targets := runningTargets(t)
	for seed := first; seed <= last; seed++ {
		if !compareRandom(t, seed, targets[seed%uint64(len(targets))], fixed) {
			return
		}
	}
}

func fixedArray(size uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1}
}

// compareRandom runs the program of a seed in the kernel and in the evaluator.
func compareRandom(t *testing.T, seed uint64, target *Target, maps map[string]*ebpf.Map) bool {
	m := randomModule(seed, target)
	r := rand.New(rand.NewPCG(seed, 2))
	for _, f := range m.Funcs {
		f.finishVars()
		dropUnreachable(f)
	}
	source := m.String()
	eval := &machine{m: m, vals: map[string][]byte{}, array: map[string]map[uint32][]byte{"array": {}}}
	for name, size := range map[string]int{"result": 8 * randomVars, "input": 8 * randomInputs, "memory": 64, "source": 256} {
		eval.vals[name] = make([]byte, size)
	}
	for i := range randomInputs {
		n := int64(r.Uint64()) >> r.IntN(63)
		binary.LittleEndian.PutUint64(eval.vals["input"][8*i:], uint64(n))
	}
	for i := range eval.vals["source"] {
		eval.vals["source"][i] = byte(i + 1)
	}
	for i := range uint32(5) {
		eval.array["array"][i] = binary.LittleEndian.AppendUint64(nil, uint64(i)*1000)
		if err := maps["array"].Put(i, eval.array["array"][i]); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range eval.vals {
		if err := maps[name].Put(uint32(0), value); err != nil {
			t.Fatal(err)
		}
	}
	want := uint32(eval.call(m.Funcs[0], []word{{}}))

	var optimised string
	o, err := Compile(m, Options{Target: target, Check: true, ScratchMap: "scratch", ScratchIndex: 1, ZeroMap: "zero", ZeroSize: 4096,
		Dump: func(stage, text string) {
			if stage == "ir-opt" {
				optimised = text
			}
		}})
	if err != nil {
		t.Errorf("seed %d: %v\n%s", seed, err, source)
		return false
	}
	insns := append(asm.Instructions(nil), o.Instructions...)
	for i := range insns {
		if insns[i].IsLoadFromMap() {
			if err := insns[i].AssociateMap(maps[insns[i].Reference()]); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "random", Type: ebpf.SocketFilter, Instructions: insns, License: "GPL"})
	if err != nil {
		var ve *ebpf.VerifierError
		log := err.Error()
		if errors.As(err, &ve) {
			log = strings.Join(ve.Log[max(0, len(ve.Log)-40):], "\n")
		}
		t.Errorf("seed %d: %s\n%s\n%s", seed, log, optimised, o.Listing())
		return false
	}
	defer p.Close()
	got, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]byte{}
	for name := range eval.vals {
		values[name], _ = maps[name].LookupBytes(uint32(0))
	}
	elements := map[uint32][]byte{}
	for i := range uint32(5) {
		elements[i], _ = maps["array"].LookupBytes(i)
	}
	diff := cmp.Diff(eval.vals, values) + cmp.Diff(eval.array["array"], elements) + cmp.Diff(want, got)
	if diff != "" {
		t.Errorf("seed %d, kernel %x (-evaluated +run):\n%s\n%s\n%s\n%s", seed, target.Kernel, diff, source, optimised, o.Listing())
		return false
	}
	return true
}

// FuzzCompile compiles what the generator makes of any seed, for an old and a new kernel, checked after each pass.
func FuzzCompile(f *testing.F) {
	f.Add(uint64(1), uint16(30))
	f.Add(uint64(2), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, statements uint16) {
		for _, m := range []*Module{randomModule(seed, liveTarget()), hugeModule(seed, int(statements%1000))} {
			if _, err := Compile(m, Options{Target: liveTarget(), Check: true, ScratchMap: "scratch"}); err != nil {
				t.Fatal(err)
			}
		}
		old := &Target{Kernel: version(5, 10), Arch: "amd64", CPUs: 1}
		if _, err := Compile(randomModule(seed, old), Options{Target: old, Check: true, ScratchMap: "scratch", ZeroMap: "zero", ZeroSize: 64}); err != nil {
			t.Fatal(err)
		}
	})
}
