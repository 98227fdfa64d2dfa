package symbol

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const listing = `0000000000000000 A fixed_percpu_data
0000000000002000 a percpu_thing
ffffffff81000000 T srso_alias
ffffffff81000000 T _text
ffffffff81000100 t foo
ffffffff81000180 W bar
ffffffff81000200 T _etext
ffffffff82000000 D jiffies
nonsense

ffffffffc0300000 t mod_two	[two]
ffffffffc0200040 t mod_one_b	[one]
ffffffffc0200000 T mod_one_a	[one]
ffffffffc0500000 t bpf_prog_6deef7357e7b4530_x	[bpf]
`

func kernelOf(t testing.TB, text string) *Kernel {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kallsyms")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Kernel{path: path}
}

func TestKernelSymbol(t *testing.T) {
	tests := []struct {
		addr    uint64
		want    string
		module  string
		comment string
	}{
		{0, "0x0", "", ""},
		{0x2010, "0x2010", "", "behind an absolute symbol"},
		{0x7f0000001000, "0x7f0000001000", "", "of a process"},
		{0xffffffff81000000, "srso_alias+0", "", "the first of two"},
		{0xffffffff810000ff, "srso_alias+255", "", ""},
		{0xffffffff81000100, "foo+0", "", ""},
		{0xffffffff810001ff, "bar+127", "", ""},
		{0xffffffff81000201, "0xffffffff81000201", "", "behind the text"},
		{0xffffffff82000004, "jiffies+4", "", ""},
		{0xffffffffc0200003, "mod_one_a+3", "one", "modules are not sorted"},
		{0xffffffffc0200043, "mod_one_b+3", "one", ""},
		{0xffffffffc0300001, "mod_two+1", "two", ""},
		{0xffffffffc0500011, "bpf_prog_6deef7357e7b4530_x+17", "bpf", ""},
		{0xfffffffff0000000, "0xfffffffff0000000", "", "far behind everything"},
	}
	single := kernelOf(t, listing)
	var addrs []uint64
	for _, tt := range tests {
		addrs = append(addrs, tt.addr)
		got, err := single.Symbol(tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != tt.want || got.Module != tt.module || got.Addr != tt.addr {
			t.Errorf("Symbol(%#x) = %v, module %q; want %s, %q (%s)", tt.addr, got, got.Module, tt.want, tt.module, tt.comment)
		}
	}
	// However the questions are grouped, the answers are the same.
	for range 50 {
		perm := rand.Perm(len(addrs))[:1+rand.IntN(len(addrs))]
		asked := make([]uint64, len(perm))
		for i, p := range perm {
			asked[i] = addrs[p]
		}
		k := kernelOf(t, listing)
		got, err := k.Symbols(asked)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := k.Symbols(append([]uint64{0xffffffff81000111}, asked...))
		if again[0].String() != "foo+17" {
			t.Errorf("second batch: %v", again[0])
		}
		if d := cmp.Diff(got, again[1:]); d != "" {
			t.Errorf("second batch differs (-first +second):\n%s", d)
		}
		for i, p := range perm {
			if got[i].String() != tests[p].want || got[i].Module != tests[p].module {
				t.Errorf("Symbols(%#x)[%d] = %v, module %q; want %s, %q", asked, i, got[i], got[i].Module, tests[p].want, tests[p].module)
			}
		}
	}
}

func TestKernelAddress(t *testing.T) {
	k := kernelOf(t, listing)
	got, err := k.Addresses("foo", "mod_two", "nothing", "jiffies")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"foo": 0xffffffff81000100, "mod_two": 0xffffffffc0300000, "jiffies": 0xffffffff82000000}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := k.Address("nothing"); err == nil || err.Error() != `the kernel has no symbol "nothing"` {
		t.Error(err)
	}
}

func TestKernelHidden(t *testing.T) {
	zeros := "0000000000000000 T _text\n0000000000000000 t foo\n0000000000000000 t bar\t[one]\n"
	for name, ask := range map[string]func(k *Kernel) error{
		"Symbol":  func(k *Kernel) error { _, err := k.Symbol(0xffffffff81000000); return err },
		"Symbols": func(k *Kernel) error { _, err := k.Symbols([]uint64{0xffffffff81000000}); return err },
		"Address": func(k *Kernel) error { _, err := k.Address("foo"); return err },
	} {
		err := ask(kernelOf(t, zeros))
		if _, ok := err.(*HiddenError); !ok || !strings.Contains(err.Error(), "kallsyms shows only zeros") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The running kernel's own list, asked in all three ways.
func TestKernelLive(t *testing.T) {
	k := NewKernel()
	addr, err := k.Address("vfs_read")
	if err != nil {
		t.Skip(err)
	}
	one, err := k.Symbol(addr + 4)
	if err != nil {
		t.Fatal(err)
	}
	many, err := NewKernel().Symbols([]uint64{1, addr + 4})
	if err != nil {
		t.Fatal(err)
	}
	if one.String() != "vfs_read+4" || many[1] != one || many[0].Found() {
		t.Errorf("%v, %v", one, many)
	}
	n := 0
	k.Each(func(addr uint64, kind byte, name, module []byte) bool { n++; return n < 1000 })
	if n != 1000 {
		t.Errorf("%d lines", n)
	}
}

func FuzzKallsyms(f *testing.F) {
	f.Add(listing, uint64(0xffffffff81000111))
	f.Fuzz(func(t *testing.T, text string, addr uint64) {
		x, _, err := newKernelIndex(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		pass := newKernelStream([]uint64{addr})
		err = scanKallsyms(strings.NewReader(text), func(addr uint64, kind byte, rest []byte) bool {
			pass.line(addr, kind, rest) // without its early end, which relies on the kernel's order
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		one, many := x.symbol(addr), pass.symbols()[0]
		if one != many {
			t.Errorf("index says %v, stream says %v", one, many)
		}
	})
}

// synthetic is a listing of n symbols as a kernel with modules has it.
func synthetic(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%016x t some_function_of_the_kernel_%d\n", 0xffffffff81000000+uint64(i)*96, i)
	}
	return b.String()
}

func BenchmarkKernelIndex(b *testing.B) {
	text := synthetic(300_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := newKernelIndex(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKernelStream(b *testing.B) {
	text := synthetic(300_000)
	addrs := make([]uint64, 1000)
	for i := range addrs {
		addrs[i] = 0xffffffff81000000 + uint64(i)*28_000
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		pass := newKernelStream(addrs)
		if err := scanKallsyms(strings.NewReader(text), pass.line); err != nil {
			b.Fatal(err)
		}
		pass.symbols()
	}
}

// Most of this is the kernel, printing its list.
func BenchmarkKernelLive(b *testing.B) {
	addr, err := NewKernel().Address("vfs_read")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewKernel().Symbols([]uint64{addr, addr + 100}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKernelSymbol(b *testing.B) {
	k := NewKernel()
	addr, err := k.Address("vfs_read")
	if err != nil {
		b.Skip(err)
	}
	k.Symbol(addr)
	b.ReportAllocs()
	for b.Loop() {
		k.Symbol(addr + 5)
	}
	runtime.KeepAlive(k)
}

// TestKernelPrepared: what was read in advance is not read again.
func TestKernelPrepared(t *testing.T) {
	k := kernelOf(t, listing)
	if err := k.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	got, err := k.Symbols([]uint64{0xffffffff81000180, 0xffffffffc0300000})
	if err != nil || len(got) != 2 || got[0].Name != "bar" || got[1].Name != "mod_two" {
		t.Errorf("%v, %v", got, err)
	}
}
