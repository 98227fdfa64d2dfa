package symbol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoLibrary says that no library of that name was found.
var ErrNoLibrary = errors.New("no such library")

// FindLibrary returns the path of a shared library as the dynamic linker would find it: "libc", "libc.so" and
// "libc.so.6" all give /lib/x86_64-linux-gnu/libc.so.6 or the like. The error wraps [ErrNoLibrary] if there is none.
func FindLibrary(name string) (string, error) { return FindLibraryIn(0, name) }

// FindLibraryIn is [FindLibrary] in the root directory of a process; the path is as that process sees it.
func FindLibraryIn(pid int, name string) (string, error) {
	if f, err := openIn(pid, "/etc/ld.so.cache"); err == nil {
		b, err := io.ReadAll(io.LimitReader(f, maxLibraryCache))
		f.Close()
		if err == nil {
			if path := searchLibraryCache(b, name); path != "" && isELF(pid, path) {
				return path, nil
			}
		}
	}
	for _, dir := range libraryDirs() {
		if path := searchLibraryDir(pid, dir, name); path != "" {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNoLibrary, name)
}

// FindExecutable returns the path of a program: name itself if it has a slash, else as $PATH gives it.
func FindExecutable(name string) (string, error) { return FindExecutableIn(0, name) }

// FindExecutableIn is [FindExecutable] in the root directory of a process.
func FindExecutableIn(pid int, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(cmpPath(os.Getenv("PATH"))) {
		if dir == "" || name == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if f, err := openIn(pid, path); err == nil {
			st, err := f.Stat()
			f.Close()
			if err == nil && st.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("no program %q in $PATH", name)
}

func cmpPath(path string) string {
	if path == "" {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return path
}

const (
	maxLibraryCache = 16 << 20
	oldCacheMagic   = "ld.so-1.7.0\x00"
	newCacheMagic   = "glibc-ld.so.cache1.1"
)

// searchLibraryCache finds a library for this machine in the content of ld.so.cache:
//
//	magic and version (20 bytes) · number of libraries (4) · bytes of strings (4) · flags (4) · unused (16)
//	per library: flags (4) · position of the name (4) · position of the path (4) · OS version (4) · hwcap (8)
//
// An old-format cache may precede it, then it begins at the next multiple of 8. Positions are from its own start. The
// linker takes the first that fits; a name that asks for any version takes the first of the highest.
func searchLibraryCache(b []byte, name string) string {
	if bytes.HasPrefix(b, []byte(oldCacheMagic)) {
		i := bytes.Index(b, []byte(newCacheMagic))
		if i < 0 {
			return ""
		}
		b = b[i:]
	}
	const head, entry = 48, 24
	if len(b) < head || !bytes.HasPrefix(b, []byte(newCacheMagic)) {
		return ""
	}
	order := binary.ByteOrder(binary.NativeEndian)
	if b[28]&3 == 3 {
		order = binary.BigEndian
	} else if b[28]&3 == 2 {
		order = binary.LittleEndian
	}
	count := order.Uint32(b[20:])
	text := func(pos uint32) string {
		if uint64(pos) >= uint64(len(b)) {
			return ""
		}
		s := b[pos:]
		if end := bytes.IndexByte(s, 0); end >= 0 && end < unix.PathMax {
			return string(s[:end])
		}
		return ""
	}
	best, bestName := "", ""
	for i := range uint64(count) {
		at := head + i*entry
		if at+entry > uint64(len(b)) {
			break
		}
		e := b[at:]
		if order.Uint32(e) != libraryABI() {
			continue
		}
		library := text(order.Uint32(e[4:]))
		if !libraryFits(library, name) {
			continue
		}
		path := text(order.Uint32(e[8:]))
		if !filepath.IsAbs(path) {
			continue
		}
		if library == name {
			return path
		}
		if best == "" || newerVersion(library, bestName) {
			best, bestName = path, library
		}
	}
	return best
}

// libraryFits reports whether a file name is the library that people mean by name: itself, or with .so and a version.
func libraryFits(file, name string) bool {
	rest, ok := strings.CutPrefix(file, name)
	if !ok || name == "" {
		return false
	}
	if strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.") {
		return rest == "" || rest[0] == '.'
	}
	return rest == ".so" || strings.HasPrefix(rest, ".so.")
}

// newerVersion compares names such as libx.so.9 and libx.so.10 by their numbers.
func newerVersion(a, b string) bool {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if len(m) != len(n) {
				return len(m) > len(n)
			}
			if m != n {
				return m > n
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return a[0] > b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) > len(b)
}

// digits is how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// libraryABI is the flags of a cache entry for this machine: 3 in the low byte for ELF with glibc 2, and the ABI.
func libraryABI() uint32 {
	switch runtime.GOARCH {
	case "amd64":
		return 0x0303
	case "arm64":
		return 0x0a03
	case "s390x":
		return 0x0403
	case "ppc64le", "ppc64":
		return 0x0503
	case "riscv64":
		return 0x1003
	}
	return 0x0003
}

// libraryDirs is where libraries are without a cache, as with musl.
func libraryDirs() []string {
	triplet := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	dirs := []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}
	if triplet != "" {
		dirs = append([]string{"/lib/" + triplet + "-linux-gnu", "/usr/lib/" + triplet + "-linux-gnu"}, dirs...)
	}
	return dirs
}

// searchLibraryDir finds the library in one directory.
func searchLibraryDir(pid int, dir, name string) string {
	if strings.Contains(name, "/") {
		return ""
	}
	if path := filepath.Join(dir, name); strings.Contains(name, ".so") && isELF(pid, path) {
		return path
	}
	root := unix.AT_FDCWD
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC}
	if pid != 0 {
		fd, err := openRoot(pid)
		if err != nil {
			return ""
		}
		defer unix.Close(fd)
		root, how.Resolve = fd, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS
	}
	fd, err := unix.Openat2(root, dir, &how)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	best := ""
	for {
		names, err := f.Readdirnames(1024)
		for _, file := range names {
			if libraryFits(file, name) && (best == "" || newerVersion(file, best)) && isELF(pid, filepath.Join(dir, file)) {
				best = file
			}
		}
		if err != nil {
			break
		}
	}
	if best == "" {
		return ""
	}
	return filepath.Join(dir, best)
}

// isELF reports whether the path is an ELF file for this machine's word size; libx.so can be a linker script.
func isELF(pid int, path string) bool {
	f, err := openIn(pid, path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [5]byte
	f.ReadAt(head[:], 0)
	return string(head[:4]) == "\x7fELF" && head[4] == 2
}
