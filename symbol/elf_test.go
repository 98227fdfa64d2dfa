package symbol

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const librarySource = `
static __attribute__((noinline)) int local(int n) { return n * 3; }
int global(int n) { return local(n) + 1; }
int tail_global(int n) { return local(n) + 2; }
int _alias(int n) __attribute__((alias("global")));
static int chosen(int n) { return n; }
static void *resolve(void) { return chosen; }
int indirect(int n) __attribute__((ifunc("resolve")));
int variable = 7;
int empty;
extern int elsewhere(int);
int calls(void) { return elsewhere(1); }
`

// nm is what debug/elf says of a file: function name → address.
func nm(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := make(map[string]uint64)
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if kind := elf.ST_TYPE(s.Info); (kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC) && s.Section != elf.SHN_UNDEF {
			out[s.Name] = s.Value
		}
	}
	return out
}

func TestLookup(t *testing.T) {
	path := compile(t, "gcc", ".c", librarySource, "-shared", "-fPIC", "-O1")
	want := nm(t, path)
	open := func(path string) *ELF {
		t.Helper()
		e, err := OpenELF(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		return e
	}
	stripped := path + ".stripped"
	run(t, "strip", "-o", stripped, path)
	linked := filepath.Join(filepath.Dir(path), "linked")
	run(t, "objcopy", "--only-keep-debug", path, linked+".debug")
	run(t, "objcopy", "--strip-all", "--add-gnu-debuglink="+linked+".debug", path, linked)

	for _, tt := range []struct {
		path  string
		local bool
	}{
		{path, true}, {stripped, false}, {linked, true}, {withoutSections(t, stripped), false},
	} {
		e := open(tt.path)
		names := []string{"global", "tail_global", "_alias", "indirect"}
		if tt.local {
			names = append(names, "local")
		}
		for _, name := range names {
			f, err := e.Lookup(name)
			if err != nil {
				t.Error(err)
				continue
			}
			if f.Name != name || f.Addr != want[name] || f.Offset == 0 || f.Size == 0 ||
				f.Local != (name == "local") || f.Indirect != (name == "indirect") {
				t.Errorf("%s: %+v; want address %#x", tt.path, f, want[name])
			}
			if off, err := e.Offset(f.Addr); err != nil || off != f.Offset {
				t.Errorf("Offset(%#x) = %#x, %v", f.Addr, off, err)
			}
			if _, err := e.OffsetIn(f, f.Size); err == nil || !strings.Contains(err.Error(), "outside the function") {
				t.Errorf("OffsetIn: %v", err)
			}
		}
		for _, name := range []string{"elsewhere", "variable", "glob", "lobal", ""} {
			if f, err := e.Lookup(name); !errors.Is(err, ErrNoFunction) {
				t.Errorf("Lookup(%q) = %+v, %v", name, f, err)
			}
		}
		var listed []string
		for f := range e.Functions() {
			if slices.Contains(names, f.Name) {
				listed = append(listed, f.Name)
			}
		}
		slices.Sort(listed)
		slices.Sort(names)
		if d := cmp.Diff(names, slices.Compact(listed)); d != "" {
			t.Errorf("%s: listed: %s", tt.path, d)
		}
		// Of two global names for one place the one with fewer underscores.
		f, _ := e.Lookup("_alias")
		if s := e.Symbol(f.Offset); s.String() != "global+0" {
			t.Errorf("%s: %v", tt.path, s)
		}
		if tt.path != path {
			continue
		}
		v, err := e.LookupVariable("variable")
		if err != nil || v.Size != 4 || v.Offset == 0 {
			t.Errorf("%+v, %v", v, err)
		}
		if v, err := e.LookupVariable("empty"); err != nil || v.Addr == 0 || v.Offset != 0 {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := e.Offset(v.Addr); err == nil {
			t.Error("a variable is no place for a probe")
		}
	}
}

// All functions of a big library with symbol versions, against debug/elf.
func TestLookupVersions(t *testing.T) {
	path, err := FindLibrary("libc")
	if err != nil {
		t.Skip(err)
	}
	e, err := OpenELF(path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF || elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.VersionIndex.IsHidden() {
			continue
		}
		if n++; n > 200 {
			break
		}
		if got, err := e.Lookup(s.Name); err != nil || got.Addr != s.Value {
			t.Errorf("Lookup(%s) = %+v, %v; want %#x", s.Name, got, err, s.Value)
		}
	}
	if n < 100 {
		t.Errorf("only %d functions", n)
	}
}

func TestMatchCPP(t *testing.T) {
	path := compile(t, "g++", ".cc", `
namespace ns {
template <class T> struct tmpl { void f(); };
template <class T> void tmpl<T>::f() {}
template struct tmpl<long>;
struct box { void operator+(int); void put(int); void put(long); void get(); ~box(); };
void box::put(int) {} void box::put(long) {} void box::get() {} void box::operator+(int) {} box::~box() {}
}
namespace std {
template <class T> struct char_traits; template <class T> struct allocator;
template <class T, class U = char_traits<T>, class V = allocator<T> > struct basic_string { void mine() {} };
typedef basic_string<char> string;
template struct basic_string<char>;
}
extern "C" int plain(void) { return 1; }
`, "-shared", "-fPIC")
	e, err := OpenELF(path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"ns::box::put", []string{"ns::box::put(int)", "ns::box::put(long)"}},
		{"ns::box::*et", []string{"ns::box::get()"}},
		{"ns::box::~box", []string{"ns::box::~box()"}},
		{"ns::box::operator*", []string{"ns::box::operator+(int)"}},
		{"ns::b*::*t", []string{"ns::box::get()", "ns::box::put(int)", "ns::box::put(long)"}},
		{"std::string::*", []string{"std::string::mine()"}},
		{"ns::tmpl<long>::f", []string{"ns::tmpl<long>::f()"}},
		{"plain", nil},
		{"box::put", nil},
	} {
		var got []string
		for _, f := range e.MatchCPP(tt.pattern) {
			got = append(got, Demangle(f.Name))
		}
		slices.Sort(got)
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.pattern, d)
		}
	}
}

func TestGlobMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acd", false}, {"*", "", true}, {"**b*", "abc", true},
		{"a*b*c", "a-b-b-c", true}, {"", "", true}, {"", "a", false}, {"abc", "ab", false},
	} {
		if got := globMatch(tt.pattern, tt.name); got != tt.want {
			t.Errorf("globMatch(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

// FindLibrary agrees with the dynamic linker's own tool.
func TestFindLibrary(t *testing.T) {
	ldconfig, err := exec.LookPath("/sbin/ldconfig")
	if err != nil {
		t.Skip("needs ldconfig")
	}
	out, err := exec.Command(ldconfig, "-p").Output()
	if err != nil {
		t.Skip(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		// \tlibz3.so.4 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz3.so.4
		f := strings.Fields(line)
		if len(f) != 4 || f[1] != "(libc6,x86-64)" || !isELF(0, f[3]) {
			continue
		}
		n++
		got, err := FindLibrary(f[0])
		if err != nil || !sameFile(got, f[3]) {
			t.Errorf("FindLibrary(%s) = %s, %v; want %s", f[0], got, err, f[3])
		}
	}
	if n == 0 {
		t.Skip("ldconfig lists none for this machine")
	}
	if path, err := FindLibrary("libc"); err != nil || !strings.HasPrefix(filepath.Base(path), "libc.so.") {
		t.Error(path, err)
	}
	if path, err := FindLibrary("lib"); !errors.Is(err, ErrNoLibrary) {
		t.Error(path, err)
	}
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func TestNewerVersion(t *testing.T) {
	for _, tt := range []struct{ newer, older string }{
		{"libx.so.10", "libx.so.9"}, {"libx.so.1.2", "libx.so.1"}, {"libx.so.2", "libx.so.1.9"}, {"libx.so.010", "libx.so.9"},
	} {
		if !newerVersion(tt.newer, tt.older) || newerVersion(tt.older, tt.newer) {
			t.Errorf("%+v", tt)
		}
	}
}

func TestFindExecutable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "program"), "#!/bin/sh\n")
	t.Setenv("PATH", "/nowhere:"+dir)
	if got, err := FindExecutable("program"); got != filepath.Join(dir, "program") || err != nil {
		t.Error(got, err)
	}
	if got, err := FindExecutable("a/b"); got != "a/b" || err != nil {
		t.Error(got, err)
	}
	if got, err := FindExecutable("nothing"); err == nil {
		t.Error(got)
	}
}
