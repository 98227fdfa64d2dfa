package maps

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// face is what bpf(2) offers, on the kernel's map and on ours.
type face interface {
	Lookup(key, value []byte, flags uint64) error
	Update(key, value []byte, flags uint64) error
	Delete(key []byte) error
	LookupAndDelete(key, value []byte, flags uint64) error
	NextKey(key, next []byte) error
	Freeze() error
}

// A subject is a kind of map to compare, with what can be compared of it.
type subject struct {
	attr
	label    string
	key      func(*rand.Rand) []byte // nil for kinds without keys
	value    func(*rand.Rand, []byte)
	ordered  bool // next keys come in an order that can be known
	listless bool // keys cannot be listed
	create   func(*createArgs)
	options  func(*Options)

	succeeded int // operations
}

// effort is how long random tests go on: a short time, or what SKEP_MAPS_SECONDS says for each subject.
func effort() time.Duration {
	if s, err := strconv.Atoi(os.Getenv("SKEP_MAPS_SECONDS")); err == nil {
		return time.Duration(s) * time.Second
	}
	return 100 * time.Millisecond
}

func seed(t *testing.T) *rand.Rand {
	s, err := strconv.ParseUint(os.Getenv("SKEP_MAPS_SEED"), 10, 64)
	if err != nil {
		s = rand.Uint64()
	}
	t.Logf("SKEP_MAPS_SEED=%d", s)
	return rand.New(rand.NewPCG(s, 1))
}

// TestKernelOperations makes random sequences of system calls on a real map and on ours, and compares all results.
func TestKernelOperations(t *testing.T) {
	known(t)
	total := 0
	for _, s := range subjects(t) {
		t.Run(s.label, func(t *testing.T) {
			r := seed(t)
			n := 0
			for end := time.Now().Add(effort()); time.Now().Before(end) && !t.Failed(); {
				n += compareOnce(t, s, r, 400)
			}
			t.Logf("%d operations compared, of which %d succeeded", n, s.succeeded)
			total += n
		})
	}
	t.Logf("%d operations compared in all", total)
}

func options(s *subject) Options {
	o := Options{CPUs: ebpf.MustPossibleCPU()}
	if s.options != nil {
		s.options(&o)
	}
	return o
}

func compareOnce(t *testing.T, s *subject, r *rand.Rand, operations int) int {
	k, err := inKernel(t, &s.attr, s.create)
	if err != nil {
		t.Fatalf("the kernel's map: %v", err)
	}
	defer k.close()
	m, err := create(&s.attr, options(s))
	if err != nil {
		t.Fatalf("our map: %v", err)
	}
	defer m.Close()
	u := User{m}
	if u.ValueSize() != k.valueSize {
		t.Fatalf("values of user space have %d bytes, not %d", u.ValueSize(), k.valueSize)
	}
	var log bytes.Buffer
	for i := range operations {
		o := s.operation(r)
		want, got := o.on(k, k.valueSize), o.on(u, k.valueSize)
		fmt.Fprintf(&log, "%v: %s\n", o, want)
		if want.err == nil {
			s.succeeded++
		}
		if !s.same(o, want, got) {
			text := log.Bytes()
			t.Errorf("after\n%s\nours: %s", text[max(0, len(text)-1500):], got)
			return i
		}
	}
	if s.key != nil && !s.listless {
		want, got := s.contents(k, k.valueSize), s.contents(u, k.valueSize)
		if !maps.Equal(want, got) {
			t.Errorf("after\n%s\ncontents are\n%x\nnot\n%x", log.Bytes(), got, want)
		}
		maps.DeleteFunc(want, func(_, value string) bool { return strings.HasPrefix(value, noValue) })
		if each := s.eachContents(t, u); each != nil && !maps.Equal(want, each) {
			t.Errorf("Each gives\n%x\nnot\n%x", each, want)
		}
	}
	return operations
}

type operation struct {
	name       string
	key, value []byte
	flags      uint64
}

func (o operation) String() string {
	return fmt.Sprintf("%s %x %x %#x", o.name, o.key, o.value, o.flags)
}

type outcome struct {
	err error
	out []byte
}

func (o outcome) String() string {
	if o.err != nil {
		var n Errno
		errors.As(o.err, &n)
		return fmt.Sprintf("error %d", int(n))
	}
	return fmt.Sprintf("%x", o.out)
}

func (s *subject) operation(r *rand.Rand) operation {
	var o operation
	if s.key != nil {
		o.key = s.key(r)
	} else if r.IntN(50) == 0 {
		o.key = []byte{1, 2, 3, 4}
	}
	flags := []uint64{0, 0, 0, 0, 0, 0, NoExist, Exist, Lock, Lock | NoExist, Lock | Exist, 3, 7, 8, 1 << 32, 1 << 63}
	switch n := r.IntN(1000); {
	case n < 400:
		o.name, o.flags = "update", flags[r.IntN(len(flags))]
		o.value = make([]byte, max(s.userValueSize(), 1))
		for i := range o.value {
			o.value[i] = byte(r.IntN(4))
		}
		if s.value != nil {
			s.value(r, o.value)
		}
	case n < 600:
		o.name = "lookup"
		if r.IntN(10) == 0 {
			o.flags = flags[r.IntN(len(flags))]
		}
	case n < 750:
		o.name = "delete"
	case n < 850:
		o.name = "take"
		if r.IntN(10) == 0 {
			o.flags = flags[r.IntN(len(flags))]
		}
	case n < 999:
		o.name = "next"
		if r.IntN(5) == 0 {
			o.key = nil
		}
	case r.IntN(20) == 0:
		o.name = "freeze"
	default:
		o.name = "lookup"
	}
	return o
}

func (s *subject) userValueSize() int {
	switch s.kind {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		return roundUp8(int(s.attr.valueSize)) * ebpf.MustPossibleCPU()
	}
	return int(s.attr.valueSize)
}

func (o operation) on(f face, valueSize int) outcome {
	out := bytes.Repeat([]byte{0xaa}, max(valueSize, len(o.key), 4))
	switch o.name {
	case "update":
		return outcome{err: f.Update(o.key, o.value[:valueSize], o.flags)}
	case "lookup":
		return outcome{f.Lookup(o.key, out[:valueSize], o.flags), out[:valueSize]}
	case "delete":
		return outcome{err: f.Delete(o.key)}
	case "take":
		return outcome{f.LookupAndDelete(o.key, out[:valueSize], o.flags), out[:valueSize]}
	case "next":
		var size int
		if k, ok := f.(*kernelMap); ok {
			size = k.keySize
		} else {
			size = f.(User).Map.KeySize()
		}
		next := make([]byte, size)
		return outcome{f.NextKey(o.key, next), next}
	case "freeze":
		return outcome{err: f.Freeze()}
	}
	panic(o.name)
}

func (s *subject) same(o operation, want, got outcome) bool {
	if want.err != nil || got.err != nil {
		if o.name == "next" && !s.ordered && !s.listless && o.key != nil {
			return got.err == nil || errors.Is(got.err, ENOENT) || got.err == want.err
		}
		return got.err == want.err
	}
	if o.name == "next" && !s.ordered {
		return true
	}
	return bytes.Equal(want.out, got.out)
}

// noValue is before the error of a key that has no value: arrays of what may be missing list all keys.
const noValue = "no value: "

// contents lists a map as user space does.
func (s *subject) contents(f face, valueSize int) map[string]string {
	all := map[string]string{}
	var key []byte
	for range 100000 {
		next := make([]byte, s.keySize)
		if f.NextKey(key, next) != nil {
			return all
		}
		key = next
		value := make([]byte, valueSize)
		if err := f.Lookup(key, value, 0); err != nil {
			value = []byte(noValue + err.Error())
		}
		all[string(key)] = string(value)
	}
	all["endless"] = ""
	return all
}

func (s *subject) eachContents(t *testing.T, u User) map[string]string {
	all := map[string]string{}
	err := u.Each(func(key, value []byte) bool {
		if _, twice := all[string(key)]; twice {
			t.Errorf("Each gives %x twice", key)
		}
		all[string(key)] = string(value)
		return true
	})
	if err != nil {
		return nil
	}
	return all
}
