package boot

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Root is the file system of a guest, described: nothing is read until it is written out. Names are absolute.
type Root struct {
	entries map[string]entry
}

type entry struct {
	kind   uint32 // modeFolder, modeFile, modeSymlink
	perm   uint32
	source string // a file of the host, for modeFile
	data   []byte // the contents, or a link's target
}

// NewRoot gives the folders that every guest has, merged like Debian's: /bin is /usr/bin.
func NewRoot() *Root {
	r := &Root{entries: map[string]entry{}}
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "root", "etc", "var/tmp", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"} {
		r.Folder("/" + dir)
	}
	for _, dir := range []string{"bin", "lib", "lib64", "sbin"} {
		r.Symlink("/"+dir, "usr/"+dir)
	}
	r.Bytes("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	r.Bytes("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	r.Bytes("/etc/hosts", 0o644, []byte("127.0.0.1 localhost guest\n::1 localhost\n"))
	r.Bytes("/etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files\n"))
	return r
}

// Folder adds a folder and the ones above it.
func (r *Root) Folder(name string) {
	for name = r.resolve(name); name != "/"; name = path.Dir(name) {
		if _, ok := r.entries[name]; !ok {
			r.entries[name] = entry{kind: modeFolder, perm: 0o755}
		}
	}
}

// Bytes adds a file with this content.
func (r *Root) Bytes(name string, perm uint32, data []byte) {
	r.add(name, entry{kind: modeFile, perm: perm, data: data})
}

// File adds a copy of the host's file at source.
func (r *Root) File(name, source string) error {
	st, err := os.Stat(source)
	if err != nil {
		return err
	}
	r.add(name, entry{kind: modeFile, perm: uint32(st.Mode().Perm()), source: source})
	return nil
}

// Symlink adds a link.
func (r *Root) Symlink(name, target string) {
	r.add(name, entry{kind: modeSymlink, data: []byte(target)})
}

// Tree adds a folder of the host with everything in it.
func (r *Root) Tree(name, source string) error {
	r.Folder(name)
	return filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		to := path.Join(name, rel)
		switch d.Type() {
		case fs.ModeDir:
			r.Folder(to)
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			r.Symlink(to, target)
		case 0:
			return r.File(to, p)
		}
		return nil // sockets, pipes and devices stay behind
	})
}

// Program adds an executable of the host with the shared libraries that it needs, each under the name it has there.
func (r *Root) Program(name, source string) error {
	if err := r.File(name, source); err != nil {
		return err
	}
	f, err := elf.Open(source)
	if err != nil {
		return nil // a script
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b, err := io.ReadAll(p.Open())
		if err != nil {
			return fmt.Errorf("reading the interpreter of %s: %w", source, err)
		}
		interpreter := strings.TrimRight(string(b), "\x00")
		if err := r.File(interpreter, interpreter); err != nil {
			return err
		}
	}
	return r.libraries(f)
}

func (r *Root) libraries(f *elf.File) error {
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil // a static program
	}
	var missing []error
	for _, lib := range needed {
		if err := r.library(lib); err != nil {
			missing = append(missing, err)
		}
	}
	return errors.Join(missing...)
}

func (r *Root) library(lib string) error {
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"} {
		source := path.Join(dir, lib)
		if _, ok := r.entries[r.resolve(source)]; ok {
			return nil
		}
		f, err := elf.Open(source)
		if err != nil {
			continue
		}
		defer f.Close()
		if err := r.File(source, source); err != nil {
			return err
		}
		return r.libraries(f)
	}
	return fmt.Errorf("no shared library %s on this machine", lib)
}

// size is about what the root takes when unpacked.
func (r *Root) size() int64 {
	var total int64
	for _, e := range r.entries {
		total += int64(len(e.data))
		if st, err := os.Stat(e.source); e.source != "" && err == nil {
			total += st.Size()
		}
	}
	return total
}

func (r *Root) clone() *Root {
	c := &Root{entries: make(map[string]entry, len(r.entries))}
	for name, e := range r.entries {
		c.entries[name] = e
	}
	return c
}

// write puts the root into the format the kernel unpacks. Folders come before what is in them, since the kernel
// makes no folder on its own.
func (r *Root) write(w io.Writer) error {
	c := newCpioWriter(w)
	c.folder("dev", 0o755)
	// The kernel opens this for the first process before anything is mounted.
	c.device("dev/console", 0o600, 5, 1)
	names := make([]string, 0, len(r.entries))
	for name := range r.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		e, inArchive := r.entries[name], strings.TrimPrefix(name, "/")
		switch {
		case name == "/dev":
		case e.kind == modeFolder:
			c.folder(inArchive, e.perm)
		case e.kind == modeSymlink:
			c.symlink(inArchive, string(e.data))
		case e.source != "":
			c.file(inArchive, e.perm, e.source)
		default:
			c.bytes(inArchive, e.perm, e.data)
		}
	}
	return c.close()
}

func (r *Root) add(name string, e entry) {
	name = r.resolve(name)
	r.Folder(path.Dir(name))
	r.entries[name] = e
}

// resolve follows the links of a merged /usr, since an archive cannot put a file below a link.
func (r *Root) resolve(name string) string {
	name = path.Clean(name)
	for _, dir := range []string{"/bin", "/lib", "/lib64", "/sbin"} {
		if e, ok := r.entries[dir]; ok && e.kind == modeSymlink && strings.HasPrefix(name, dir+"/") {
			return "/usr" + name
		}
	}
	return name
}
