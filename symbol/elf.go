package symbol

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
)

// ELF is an executable or a shared library whose functions are to be probed. It is not for concurrent use.
type ELF struct {
	path   string
	object *object
}

// Function is a function in an ELF file.
type Function struct {
	// Name is as the file has it: mangled, without a symbol version.
	Name string
	// Addr is the address that the file gives it, Offset where its first byte lies in the file: what uprobes want.
	Addr, Offset uint64
	// Size is 0 if it is unknown.
	Size uint64
	// Local says that the name is visible in the file only (static), and need not be unique.
	Local bool
	// Indirect says that this is a resolver, which runs once and returns the function that is called by this name
	// (STT_GNU_IFUNC), as memcpy is in glibc.
	Indirect bool
}

// ErrNoFunction says that a file has no function of that name.
var ErrNoFunction = errors.New("no such function")

// OpenELF opens a file of our own root directory.
func OpenELF(path string) (*ELF, error) { return OpenELFIn(0, path) }

// OpenELFIn opens a file by the path that a process sees it under, in its mount namespace and root directory; pid 0
// means our own.
func OpenELFIn(pid int, path string) (*ELF, error) {
	f, err := openIn(pid, path)
	if err != nil {
		return nil, err
	}
	o, err := openObject(f, path, pid)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &ELF{path: path, object: o}, nil
}

// Close closes the file.
func (e *ELF) Close() { e.object.close() }

// Path returns the path that the file was opened by.
func (e *ELF) Path() string { return e.path }

// BuildID returns the linker's identification of the content in hex, or "".
func (e *ELF) BuildID() string { return e.object.im.buildID() }

// Is64 reports whether the file is for a 64-bit machine.
func (e *ELF) Is64() bool { return e.object.im.wide }

// Machine returns the machine that the file is for.
func (e *ELF) Machine() elf.Machine { return e.object.im.machine }

// IsGo reports whether the file was built by the Go compiler, whose functions move their stacks: a uretprobe would
// crash them.
func (e *ELF) IsGo() bool {
	im := e.object.im
	return im.named(".gopclntab") != nil || im.named(".data.rel.ro.gopclntab") != nil || im.note("Go", 4) != nil || im.findPclntab() != nil
}

// Lookup finds a function by its exact name (mangled; a version after "@" is optional). Global symbols go before
// local ones. The error is [ErrNoFunction], wrapped, if there is none.
func (e *ELF) Lookup(name string) (Function, error) {
	f, ok, err := e.lookup(name, (*rawSymbol).isCode)
	if err != nil {
		return Function{}, fmt.Errorf("searching %s: %w", e.path, err)
	}
	if ok {
		return f, nil
	}
	for f := range e.goFunctions() {
		if f.Name == name {
			return f, nil
		}
	}
	return Function{}, fmt.Errorf("%s: %w: %s", e.path, ErrNoFunction, name)
}

// LookupVariable finds a global or static variable; Offset is 0 where the file has no bytes for it (.bss).
func (e *ELF) LookupVariable(name string) (Function, error) {
	f, ok, err := e.lookup(name, func(s *rawSymbol) bool { return s.kind == elf.STT_OBJECT && s.section != elf.SHN_UNDEF })
	if err != nil {
		return Function{}, fmt.Errorf("searching %s: %w", e.path, err)
	}
	if !ok {
		return Function{}, fmt.Errorf("%s has no variable %q", e.path, name)
	}
	return f, nil
}

// lookup searches the symbol tables for a name.
func (e *ELF) lookup(name string, want func(*rawSymbol) bool) (Function, bool, error) {
	if name == "" || len(name) >= maxName {
		return Function{}, false, nil
	}
	for _, t := range e.rawTables() {
		f, ok, err := t.im.searchName(t.symbols, name, want)
		if err != nil {
			return Function{}, false, err
		}
		if ok {
			return e.located(f), true, nil
		}
	}
	return Function{}, false, nil
}

type rawTable struct {
	im      *image
	symbols *section
}

// rawTables lists the symbol tables that together name all that the file has names for.
func (e *ELF) rawTables() []rawTable {
	o := e.object
	if s := o.im.ofKind(elf.SHT_SYMTAB); s != nil {
		return []rawTable{{o.im, s}}
	}
	var out []rawTable
	if o.separated == nil && !o.read {
		o.separated = o.findDebugFile()
	}
	if d := o.separated; d != nil {
		if s := d.im.ofKind(elf.SHT_SYMTAB); s != nil {
			return []rawTable{{d.im, s}}
		}
	}
	if s := o.im.ofKind(elf.SHT_DYNSYM); s != nil {
		out = append(out, rawTable{o.im, s})
	}
	if d := o.miniDebugImage(); d != nil {
		if s := d.ofKind(elf.SHT_SYMTAB); s != nil {
			out = append(out, rawTable{d, s})
		}
	}
	return out
}

// located fills in where in the file it lies.
func (e *ELF) located(f Function) Function {
	f.Offset, _ = e.object.im.offset(f.Addr)
	return f
}

// searchName finds the best symbol of that name: global before weak before local, the default version before others. It
// looks for the name in the strings first and then for symbols that use it, so it needs no memory for the rest.
func (im *image) searchName(tab *section, name string, want func(*rawSymbol) bool) (Function, bool, error) {
	str := im.strings(tab)
	if str == nil {
		return Function{}, false, nil
	}
	places, err := im.findString(str, name)
	if err != nil || len(places) == 0 {
		return Function{}, false, err
	}
	var best Function
	rank := 0
	err = im.scanSymbols(tab, func(s *rawSymbol) bool {
		i, ok := slices.BinarySearchFunc(places, s.name, func(p stringPlace, off uint32) int { return int(int64(p.off) - int64(off)) })
		if !ok || !want(s) {
			return true
		}
		r := 1
		switch s.bind {
		case elf.STB_GLOBAL:
			r = 4
		case elf.STB_WEAK:
			r = 3
		}
		if r = 2 * r; places[i].oldVersion {
			r--
		}
		if r > rank {
			rank, best = r, functionOf(s, name)
		}
		return true
	})
	return best, rank > 0, err
}

func functionOf(s *rawSymbol, name string) Function {
	return Function{
		Name: name, Addr: s.value, Size: s.size,
		Local: s.bind == elf.STB_LOCAL, Indirect: s.kind == elf.STT_GNU_IFUNC,
	}
}

type stringPlace struct {
	off        uint32
	oldVersion bool // name@VERSION, where name@@VERSION is the default
}

// findString finds where a string table has the name, which can be the tail of a longer one.
func (im *image) findString(str *section, name string) ([]stringPlace, error) {
	const maxPlaces = 1 << 12
	var places []stringPlace
	buf := make([]byte, min(str.size, 64<<10))
	keep := len(name) + 1 // so that what straddles two blocks is found
	for off := uint64(0); off < str.size; {
		n, err := im.r.ReadAt(buf[:min(uint64(len(buf)), str.size-off)], int64(str.off+off))
		if err != nil && err != io.EOF {
			return nil, err
		}
		b := buf[:n]
		for at := 0; len(places) < maxPlaces; {
			i := bytes.Index(b[at:], []byte(name))
			if i < 0 {
				break
			}
			at += i
			rest := b[at+len(name):]
			if len(rest) > 0 && (rest[0] == 0 || rest[0] == '@') {
				places = append(places, stringPlace{uint32(off) + uint32(at), rest[0] == '@' && (len(rest) < 2 || rest[1] != '@')})
			}
			at++
		}
		if n <= keep || off+uint64(n) >= str.size {
			break
		}
		off += uint64(n - keep)
	}
	// A name in the overlap of two blocks was found twice.
	slices.SortFunc(places, func(a, b stringPlace) int { return int(int64(a.off) - int64(b.off)) })
	return slices.CompactFunc(places, func(a, b stringPlace) bool { return a.off == b.off }), nil
}

// Functions yields all functions that the file has names for, in the file's order; one with several names comes several
// times. Names are raw: see [Demangle]. Those with control characters, which no compiler makes, are left out.
func (e *ELF) Functions() iter.Seq[Function] {
	return func(yield func(Function) bool) {
		for _, t := range e.rawTables() {
			str := t.im.strings(t.symbols)
			if str == nil {
				continue
			}
			names := nameReader{r: t.im.r, off: str.off, size: str.size, ahead: 64 << 10}
			more := true
			t.im.scanSymbols(t.symbols, func(s *rawSymbol) bool {
				if s.isCode() {
					if name := names.at(s.name); name != "" && printable(name) == name {
						more = yield(e.located(functionOf(s, name)))
					}
				}
				return more
			})
			if !more {
				return
			}
		}
		for f := range e.goFunctions() {
			if !yield(f) {
				return
			}
		}
	}
}

// goFunctions yields what only Go's own table names: nothing if there is a full symbol table.
func (e *ELF) goFunctions() iter.Seq[Function] {
	return func(yield func(Function) bool) {
		im := e.object.im
		if im.ofKind(elf.SHT_SYMTAB) != nil {
			return
		}
		p := im.findPclntab()
		if p == nil {
			return
		}
		p.scan(func(name string, start, end uint64) bool {
			if printable(name) != name {
				return true
			}
			return yield(e.located(Function{Name: name, Addr: start, Size: end - start}))
		})
	}
}

// MatchCPP returns the functions whose demangled name without parameters matches a pattern in which * stands for
// anything: what uprobe:FILE:cpp:"PATTERN" means. Functions of several names for one address come once.
func (e *ELF) MatchCPP(pattern string) []Function {
	var out []Function
	seen := make(map[uint64]bool)
	word := spelledWord(pattern)
	for f := range e.Functions() {
		if isMangled(f.Name) && strings.Contains(f.Name, word) && !seen[f.Addr] && globMatch(pattern, demangleBare(f.Name)) {
			seen[f.Addr] = true
			out = append(out, f)
		}
	}
	return out
}

// spelledWord returns the longest word of a pattern that every mangled name which fits it has as it is, or "": demangling
// all names of a large file would take seconds. Words in template arguments can be abbreviated or repeated by reference,
// as can those of the standard library.
func spelledWord(pattern string) string {
	if i := strings.IndexAny(pattern, "<( "); i >= 0 {
		pattern = pattern[:i]
	}
	best := ""
	for _, word := range strings.FieldsFunc(pattern, func(r rune) bool { return r == ':' || r == '*' || r == '~' }) {
		switch word {
		case "std", "allocator", "string", "basic_string", "istream", "ostream", "iostream",
			"basic_istream", "basic_ostream", "basic_iostream":
			continue
		}
		if len(word) > len(best) && !strings.HasPrefix(word, "operator") && wordOnly(word) {
			best = word
		}
	}
	return best
}

func wordOnly(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// globMatch matches a whole name with a pattern in which * stands for any run of bytes.
func globMatch(pattern, name string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && pattern[i] == name[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}

// Offset turns an address as the file gives it into a place in the file that a uprobe can have; the error says why
// there is none.
func (e *ELF) Offset(addr uint64) (uint64, error) {
	im := e.object.im
	if !im.executable(addr) {
		return 0, fmt.Errorf("%s: %#x is not in an executable segment", e.path, addr)
	}
	if im.machine == elf.EM_AARCH64 && addr%4 != 0 {
		return 0, fmt.Errorf("%s: %#x is not the start of an instruction", e.path, addr)
	}
	off, _ := im.offset(addr)
	return off, nil
}

// OffsetIn is Offset for a place behind a function's start, which has to lie inside the function.
func (e *ELF) OffsetIn(f Function, behind uint64) (uint64, error) {
	if behind != 0 && f.Size != 0 && behind >= f.Size {
		return 0, fmt.Errorf("%s: %s+%d is outside the function, which has %d bytes", e.path, f.Name, behind, f.Size)
	}
	return e.Offset(f.Addr + behind)
}

// Moves reports whether the file is loaded at another address in each process.
func (e *ELF) Moves() bool { return e.object.im.kind == elf.ET_DYN }

// Addr is the address of a place in the file as the file gives it.
func (e *ELF) Addr(offset uint64) (addr uint64, ok bool) { return e.object.im.vaddr(offset) }

// Symbol names a place in the file, given by its offset.
func (e *ELF) Symbol(offset uint64) Symbol {
	s := Symbol{Addr: offset, Module: path.Clean(e.path)}
	if vaddr, ok := e.object.im.vaddr(offset); ok {
		s.Name, s.Offset, _ = e.object.symbol(vaddr, true)
	}
	return s
}
