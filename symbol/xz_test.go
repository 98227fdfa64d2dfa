package symbol

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func pack(t testing.TB, b []byte, flags ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("needs xz")
	}
	cmd := exec.Command("xz", append([]string{"-c"}, flags...)...)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestXZ(t *testing.T) {
	noise := make([]byte, 100_000)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	executable, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "one byte": {7}, "zeros": make([]byte, 1<<20), "noise": noise,
		"code": executable[:min(len(executable), 400_000)],
		"mix":  append(append(bytes.Repeat([]byte("some text, "), 9000), noise...), executable[:100_000]...),
	} {
		for _, flags := range [][]string{
			{"-6"}, {"-0"}, {"-9e", "--check=none"}, {"--check=sha256", "--block-size=65536"},
			{"--lzma2=dict=4096,lc=0,lp=2,pb=0"}, {"--lzma2=dict=64KiB,lc=2,lp=2,pb=4"},
		} {
			packed := pack(t, b, flags...)
			got, err := xz(packed, len(b))
			if err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s %v: %d bytes of %d, %v", name, flags, len(got), len(b), err)
			}
			if len(b) > 0 {
				if got, err := xz(packed, len(b)-1); err != errXZLarge || len(got) >= len(b) {
					t.Errorf("%s %v: with too little room: %d bytes, %v", name, flags, len(got), err)
				}
			}
		}
	}
	if _, err := xz(pack(t, noise, "--x86", "--lzma2"), 1<<20); err != errXZ {
		t.Errorf("another filter: %v", err)
	}
}

func FuzzXZ(f *testing.F) {
	f.Add(pack(f, []byte("abcabcabcabcabcabc hello hello")))
	f.Add(pack(f, bytes.Repeat([]byte{1, 2, 3, 4}, 1000), "--block-size=1024"))
	f.Fuzz(func(t *testing.T, b []byte) {
		limitMemory(t, len(b), func() {
			if out, _ := xz(b, 1<<20); len(out) > 1<<20 {
				t.Errorf("%d bytes", len(out))
			}
		})
	})
}

// A stripped program with MiniDebugInfo, made as distributions make it, names its static functions.
func TestMiniDebug(t *testing.T) {
	full := compile(t, "gcc", ".c", cProgram, "-O1", "-rdynamic")
	dir := filepath.Dir(full)
	debug, stripped := filepath.Join(dir, "mini"), filepath.Join(dir, "stripped")
	run(t, "objcopy", "-S", "--keep-symbol=hidden", "--only-keep-debug", full, debug)
	b, err := os.ReadFile(debug)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(debug+".xz", pack(t, b), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "strip", "-o", stripped, full)
	run(t, "objcopy", "--add-section", ".gnu_debugdata="+debug+".xz", stripped)

	reference, err := OpenELF(full)
	if err != nil {
		t.Fatal(err)
	}
	defer reference.Close()
	e, err := OpenELF(stripped)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, name := range []string{"hidden", "visible"} {
		want, err := reference.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Lookup(name)
		if err != nil || got.Addr != want.Addr || got.Size != want.Size || got.Offset != want.Offset {
			t.Errorf("Lookup(%s) = %+v, %v; want %+v", name, got, err, want)
		}
		if s := e.Symbol(want.Offset + 1); s.String() != name+"+1" {
			t.Errorf("%v", s)
		}
	}
}
