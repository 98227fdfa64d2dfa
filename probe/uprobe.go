package probe

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"skep/internal/diag"
	"skep/symbol"
)

// expandUprobe reads file:function[+offset], file:address, file:cpp:name, where file may be a library's or program's bare name.
func expandUprobe(e *expansion, kind Kind) error {
	if len(e.parts) < 3 || e.parts[1].text == "" || e.parts[len(e.parts)-1].text == "" {
		return e.usage(kind)
	}
	files, err := e.binaries()
	if err != nil {
		return err
	}
	cpp := len(e.parts) == 4 && e.parts[2].text == "cpp"
	if len(e.parts) > 3 && !cpp {
		return e.usage(kind)
	}
	var first error
	for _, path := range files {
		err := e.inBinary(kind, path, cpp)
		if err != nil && !HasWildcard(e.parts[1].text) && !errors.Is(err, ErrNoMatch) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	if len(e.points) == 0 && len(files) == 1 && first != nil {
		return first
	}
	if len(e.points) == 0 {
		return e.noMatch(len(e.parts)-1, "function "+e.parts[len(e.parts)-1].text+" in "+e.parts[1].text, "")
	}
	return nil
}

// binaries gives the files that the second part means, as the process of -p or we ourselves see them. A relative path begins where we are.
func (e *expansion) binaries() ([]string, error) {
	name := e.parts[1].text
	if strings.Contains(name, "/") && e.opt.PID != 0 {
		here, err := filepath.Abs(name)
		if err != nil {
			return nil, e.errorf(1, "%v", err)
		}
		name = here
	}
	if strings.Contains(name, "@") && !exists(name) {
		return nil, e.errorf(1, "places by file and line (%s) are not supported yet", name)
	}
	if HasWildcard(name) {
		files, err := filepath.Glob(name)
		if err != nil || len(files) == 0 {
			return nil, e.noMatch(1, "file "+name, "")
		}
		return files, nil
	}
	if strings.Contains(name, "/") {
		return []string{name}, nil
	}
	path, err := e.c.findBinary(e.opt.PID, name)
	if err != nil {
		return nil, e.noMatch(1, fmt.Sprintf("program or library %q", name), "")
	}
	return []string{path}, nil
}

// wantedBinary is a program or library by its name alone, as a process finds it.
type wantedBinary struct {
	pid  int
	name string
}

// findBinary looks through the folders of programs and the linker's list once for each name: tools have many probes in one library.
func (c *Catalog) findBinary(pid int, name string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path, ok := c.binaries[wantedBinary{pid, name}]; ok {
		return path, nil
	}
	path, err := symbol.FindExecutableIn(pid, name)
	if err != nil {
		path, err = symbol.FindLibraryIn(pid, name)
	}
	if err != nil { // as linkers and BCC call libraries: c is libc
		path, err = symbol.FindLibraryIn(pid, "lib"+name)
	}
	if err != nil {
		return "", err
	}
	if c.binaries == nil {
		c.binaries = map[wantedBinary]string{}
	}
	c.binaries[wantedBinary{pid, name}] = path
	return path, nil
}

// openFile is a program or library that points are looked for in.
type openFile struct {
	*symbol.ELF
	path      wantedBinary
	functions map[string]symbol.Function // that have been found in it, by name
}

// open opens a file, or takes the one that was opened last: tools have several probes in one file, and mostly two at a function.
func (c *Catalog) open(pid int, path string) (*openFile, error) {
	c.mu.Lock()
	f, key := c.lastFile, wantedBinary{pid, path}
	c.lastFile = nil // to be used by one at a time
	c.mu.Unlock()
	if f != nil && f.path == key {
		return f, nil
	}
	if f != nil {
		f.Close()
	}
	elf, err := symbol.OpenELFIn(pid, path)
	if err != nil {
		return nil, err
	}
	return &openFile{elf, key, map[string]symbol.Function{}}, nil
}

// release keeps a file for the next to open it.
func (c *Catalog) release(f *openFile) {
	c.mu.Lock()
	f, c.lastFile = c.lastFile, f
	c.mu.Unlock()
	if f != nil {
		f.Close()
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// inBinary adds the points in one file.
func (e *expansion) inBinary(kind Kind, path string, cpp bool) error {
	file, err := e.c.open(e.opt.PID, path)
	if err != nil {
		failed := e.errorf(1, "%v", err)
		if errors.Is(err, fs.ErrNotExist) {
			failed.Message, failed.Err = fmt.Sprintf("there is no file %s", path), ErrNoMatch
		}
		return failed
	}
	defer e.c.release(file)
	if kind == Uretprobe && file.IsGo() && !e.opt.KeepsStacks {
		failed := e.errorf(1, "a uretprobe would crash %s: it is a Go program, whose stacks move", path)
		failed.Hint = "use a uprobe, at the function's entry or at one of its return instructions (function+offset)"
		return failed
	}
	u := &uprobes{e: e, kind: kind, path: path, file: file.ELF, functions: file.functions, last: len(e.parts) - 1}
	if absolute, err := filepath.Abs(path); err == nil {
		u.binary = absolute
	}
	if e.opt.PID != 0 {
		u.binary = fmt.Sprintf("/proc/%d/root%s", e.opt.PID, u.binary)
	}
	if cpp {
		return u.demangled(e.parts[u.last].text)
	}
	name, offset, err := e.splitOffset(u.last)
	if err != nil {
		return err
	}
	if addr, err := strconv.ParseUint(name, 0, 64); err == nil {
		return u.address(addr + offset)
	}
	if HasWildcard(name) {
		if offset != 0 {
			return e.errorf(u.last, "an offset goes with one function, not with a wildcard")
		}
		return u.glob(name)
	}
	return u.function(name, offset)
}

// uprobes are points in one file.
type uprobes struct {
	e      *expansion
	kind   Kind
	path   string // as written
	binary string // for the kernel
	file   *symbol.ELF
	last   int
	// functions are those that have been looked up before.
	functions map[string]symbol.Function
}

func (u *uprobes) add(name, function string, fileOffset, offset uint64) bool {
	return u.e.add(Point{
		Kind: u.kind, Name: u.kind.String() + ":" + u.path + ":" + name,
		Binary: u.binary, Function: function, FileOffset: fileOffset, Offset: offset,
	})
}

func (u *uprobes) address(addr uint64) error {
	offset, err := u.file.Offset(addr)
	if err != nil {
		return u.e.errorf(u.last, "%v", err)
	}
	if u.kind == Uretprobe {
		return u.e.errorf(u.last, "a uretprobe wants a function, not an address")
	}
	name := fmt.Sprintf("%#x", addr)
	if s := u.file.Symbol(offset); s.Found() {
		if err := u.atInstruction(offset-s.Offset, s.Offset, s.Name); err != nil {
			return err
		}
		u.add(name, s.Name, offset, s.Offset)
		return nil
	}
	u.add(name, "", offset, 0)
	return nil
}

func (u *uprobes) function(name string, offset uint64) error {
	f, known := u.functions[name]
	var err error
	if !known {
		if f, err = u.file.Lookup(name); err == nil {
			u.functions[name] = f
		}
	}
	if errors.Is(err, symbol.ErrNoFunction) {
		return u.e.noMatch(u.last, "function "+name+" in "+u.path, u.nearest(name))
	}
	if err != nil {
		return u.e.errorf(u.last, "%v", err)
	}
	if f.Indirect {
		failed := u.e.errorf(u.last, "%s in %s is only chosen when the program starts (an indirect function)", name, u.path)
		failed.Hint = fmt.Sprintf("probe one of its variants: %s:%s:*%s*", u.kind, u.path, name)
		return failed
	}
	if offset == 0 {
		u.add(name, f.Name, f.Offset, 0)
		return nil
	}
	if u.kind == Uretprobe {
		return u.e.errorf(u.last, "a uretprobe has no offset")
	}
	place, err := u.file.OffsetIn(f, offset)
	if err != nil {
		return u.e.errorf(u.last, "%v", err)
	}
	if err := u.atInstruction(f.Offset, offset, f.Name); err != nil {
		return err
	}
	u.add(u.e.parts[u.last].text, f.Name, place, offset)
	return nil
}

// maxFunction bounds how far into a function places are looked for.
const maxFunction = 1 << 20

// atInstruction reports an error unless an instruction begins at this distance from the start of a function, which lies at this offset
// in the file: a breakpoint elsewhere would change what the program does.
func (u *uprobes) atInstruction(start, distance uint64, name string) error {
	if distance == 0 || u.e.opt.Unsafe {
		return nil
	}
	is, known := false, false
	if f, err := os.Open(u.binary); err == nil {
		defer f.Close()
		var header [20]byte
		code := make([]byte, min(distance, maxFunction)+16)
		_, err := f.ReadAt(header[:], 0)
		n, _ := f.ReadAt(code, int64(start))
		if arch := machine(header); err == nil && arch != "" {
			is, known = instructionStart(arch, code[:n], distance)
		}
	}
	switch {
	case is:
		return nil
	case known:
		return u.e.unsafeError(u.last, "%s+%d is in the middle of an instruction: a breakpoint there would change what the program does", name, distance)
	}
	return u.e.unsafeError(u.last, "it is not known whether an instruction begins at %s+%d", name, distance)
}

// machine is the architecture of a 64-bit ELF file, or "".
func machine(header [20]byte) string {
	switch long := elf.Class(header[elf.EI_CLASS]) == elf.ELFCLASS64; elf.Machine(binary.LittleEndian.Uint16(header[18:])) {
	case elf.EM_X86_64:
		if long {
			return "amd64"
		}
	case elf.EM_386:
		return "386"
	case elf.EM_AARCH64:
		if long {
			return "arm64"
		}
	}
	return ""
}

func (e *expansion) unsafeError(part int, format string, args ...any) error {
	failed := e.errorf(part, format, args...)
	failed.Hint = "--unsafe places it there all the same"
	return failed
}

func (u *uprobes) nearest(name string) string {
	var names []string
	for f := range u.file.Functions() {
		names = append(names, f.Name)
	}
	near := diag.Nearest(name, names)
	if near == "" {
		return ""
	}
	return u.kind.String() + ":" + u.path + ":" + near
}

func (u *uprobes) glob(pattern string) error {
	seen := map[string]bool{}
	for f := range u.file.Functions() {
		if f.Indirect || f.Offset == 0 || seen[f.Name] || !Glob(pattern, f.Name) {
			continue
		}
		seen[f.Name] = true
		if !u.add(f.Name, f.Name, f.Offset, 0) {
			break
		}
	}
	if len(seen) == 0 {
		return u.e.noMatch(u.last, "function "+pattern+" in "+u.path, "")
	}
	return nil
}

func (u *uprobes) demangled(pattern string) error {
	found := u.file.MatchCPP(pattern)
	if len(found) == 0 {
		return u.e.noMatch(u.last, "C++ function "+pattern+" in "+u.path, "")
	}
	for _, f := range found {
		if f.Offset != 0 && !u.add(f.Name, f.Name, f.Offset, 0) {
			break
		}
	}
	return nil
}
