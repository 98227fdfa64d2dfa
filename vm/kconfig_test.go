package vm

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// TestKconfig compares variables of the kernel's configuration with those that a program sees in the running kernel.
func TestKconfig(t *testing.T) {
	file, err := os.Open("/proc/config.gz")
	if err != nil {
		t.Skipf("the kernel does not tell its configuration: %v", err)
	}
	defer file.Close()
	config, err := ReadKconfig(file)
	if err != nil {
		t.Fatal(err)
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	spec := readObject(t, "kconfig")
	if !NeedsKconfig(spec) || NeedsKconfig(readObject(t, "xdp")) {
		t.Error("what needs the configuration is not found out")
	}
	var want []byte
	if ktest.Has(ktest.Root) {
		c, err := ebpf.NewCollection(spec.Copy())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Programs["options"].Run(&ebpf.RunOptions{Data: make([]byte, 60)}); err != nil {
			t.Fatal(err)
		}
		if want, err = c.Maps[".bss"].LookupBytes(uint32(0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range variants() {
		m := machine(t, Options{Kconfig: config, KernelVersion: version})
		c, err := m.Load(spec, &v.options)
		if err != nil {
			t.Fatal(err)
		}
		packet, err := m.NewXDP(60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := thread(t, m).Run(c.Programs["options"], packet); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, c.Maps[".bss"].ValueSize())
		if err := userLookup(c.Maps[".bss"], got); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
	}
}

func TestReadKconfig(t *testing.T) {
	got, err := ReadKconfig(strings.NewReader("# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"a=b\"\n\nCONFIG_D=0x10\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": `"a=b"`, "CONFIG_D": "0x10"}, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "nothing\n", "\x1f\x8bgarbage"} {
		if _, err := ReadKconfig(strings.NewReader(text)); err == nil {
			t.Errorf("%q is a configuration", text)
		}
	}
}

// TestKconfigRange stores numbers that fit their variables, and others.
func TestKconfigRange(t *testing.T) {
	letter := make([]byte, 1)
	for _, value := range []string{"y", "n", "m", "42"} {
		want := value[0]
		if value == "42" {
			want = 42
		}
		if err := putKconfig(letter, &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}, value); err != nil || letter[0] != want {
			t.Errorf("%s in a char: %d, %v", value, letter[0], err)
		}
	}
	for _, c := range []struct {
		value string
		bytes int
		fits  bool
	}{{"255", 1, true}, {"256", 1, false}, {"-128", 1, true}, {"-129", 1, false}, {"65536", 2, false}, {"0xffffffff", 4, true}, {"-1", 8, true}, {"1", 0, false}, {"1", 3, false}} {
		if err := putKconfig(make([]byte, c.bytes), nil, c.value); (err == nil) != c.fits {
			t.Errorf("%s in %d bytes: %v", c.value, c.bytes, err)
		}
	}
}
