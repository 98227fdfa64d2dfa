package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRootIsReadByBusybox unpacks an archive with another implementation of the format.
func TestRootIsReadByBusybox(t *testing.T) {
	busybox := needTool(t, "busybox")
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "source"), []byte("12345"), 0o640); err != nil {
		t.Fatal(err)
	}
	r := NewRoot()
	r.Bytes("/src/pkg/testdata/a", 0o600, []byte("hello"))
	r.Bytes("/lib/x86_64-linux-gnu/libx.so", 0o755, nil)
	r.Symlink("/bin/sh", "busybox")
	if err := r.File("/bin/copy", filepath.Join(host, "source")); err != nil {
		t.Fatal(err)
	}
	if err := r.Tree("/tree", host); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := r.write(&archive); err != nil {
		t.Fatal(err)
	}
	if archive.Len()%4 != 0 {
		t.Errorf("%d bytes are not a multiple of 4", archive.Len())
	}
	out := t.TempDir()
	cmd := exec.Command(busybox, "cpio", "-idm")
	cmd.Dir = out
	cmd.Stdin = bytes.NewReader(archive.Bytes())
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, msg)
	}
	got := map[string]string{}
	for _, name := range []string{"src/pkg/testdata/a", "usr/lib/x86_64-linux-gnu/libx.so", "lib/x86_64-linux-gnu/libx.so",
		"usr/bin/sh", "bin", "usr/bin/copy", "tree/source", "dev/console"} {
		path := filepath.Join(out, name)
		st, err := os.Lstat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		got[name] = st.Mode().String()
		if target, err := os.Readlink(path); err == nil {
			got[name] = "-> " + target
		} else if st.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			got[name] += " " + string(b)
		}
	}
	want := map[string]string{
		"src/pkg/testdata/a":               "-rw------- hello",
		"usr/lib/x86_64-linux-gnu/libx.so": "-rwxr-xr-x ",
		"lib/x86_64-linux-gnu/libx.so":     "-rwxr-xr-x ",
		"usr/bin/sh":                       "-> busybox",
		"bin":                              "-> usr/bin",
		"usr/bin/copy":                     "-rw-r----- 12345",
		"tree/source":                      "-rw-r----- 12345",
		"dev/console":                      "Dcrw-------",
	}
	if os.Geteuid() != 0 {
		delete(want, "dev/console")
		delete(got, "dev/console")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTooBigForAnArchive(t *testing.T) {
	c := newCpioWriter(&bytes.Buffer{})
	c.header("huge", modeFile, 1<<32, 0, 0)
	if err := c.close(); err == nil || !strings.Contains(err.Error(), "huge") {
		t.Errorf("4 GiB were accepted: %v", err)
	}
}

func TestProgramBringsItsLibraries(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("no bash here: ", err)
	}
	r := NewRoot()
	if err := r.Program("/bin/bash", "/bin/bash"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/usr/bin/bash", "/usr/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"} {
		if _, ok := r.entries[want]; !ok {
			t.Errorf("no %s in the root", want)
		}
	}
}

func TestMarks(t *testing.T) {
	mark := Mark{Kind: "exit", Program: "skep/ir", Code: 2, TimedOut: true}
	output, got, ok := cutMark(append([]byte("no newline before"), mark.Line()...))
	if !ok || string(output) != "no newline before" || got != mark {
		t.Errorf("got %q, %+v, %v", output, got, ok)
	}
	for _, line := range []string{"", "\n", "text\n", "\x1eskep no json\n", "\x1e\n"} {
		if output, _, ok := cutMark([]byte(line)); ok || string(output) != line {
			t.Errorf("%q: got %q, %v", line, output, ok)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	for printed, good := range map[string]bool{
		"QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright\n": true,
		"QEMU emulator version 8.1.0\n":                                    true,
		"QEMU emulator version 8.0.5\n":                                    false,
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n":             false,
		"something else": false,
		"":               false,
	} {
		if err := checkVersion(printed); (err == nil) != good {
			t.Errorf("%q: %v", printed, err)
		}
	}
}

// needTool skips the test without the tool, but not in CI, where it is installed.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
