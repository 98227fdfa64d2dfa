package symbol

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
)

// object is an ELF file with all that names its code. The tables are read when the first name is asked for.
type object struct {
	im     *image
	closer io.Closer
	path   string // to look for separate debug files; "" if unknown
	root   int    // pid of a process whose root directory path is in; 0 for ours

	read      bool
	tables    []*table
	golang    *pclntab
	separated *object // the file with the debug information, if it is another one

	mini     *image // what was packed in .gnu_debugdata
	miniRead bool

	frames *cfi // how to unwind its code; read when it is asked for

	known      map[knownKey]knownName // what was asked; bounded by maxKnownNames
	knownBytes int64
}

// knownKey is an address, and whether its name is wanted demangled.
type knownKey struct {
	vaddr    uint64
	demangle bool
}

type knownName struct {
	name   string // "" if there is none
	offset uint64
}

const maxKnownNames = 1 << 13

func newObject(r io.ReaderAt, size int64) (*object, error) {
	im, err := readImage(r, size)
	if err != nil {
		return nil, err
	}
	return &object{im: im}, nil
}

func openObject(f *os.File, path string, root int) (*object, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	o, err := newObject(f, st.Size())
	if err != nil {
		return nil, err
	}
	o.closer, o.path, o.root = f, path, root
	return o, nil
}

func (o *object) close() {
	if o.closer != nil {
		o.closer.Close()
	}
	if o.separated != nil {
		o.separated.close()
	}
}

// load reads the tables: the full one, here or in a separate file, or else what stripping leaves.
func (o *object) load() {
	if o.read {
		return
	}
	o.read = true
	if t := o.im.functions(elf.SHT_SYMTAB); t != nil {
		o.tables = append(o.tables, t)
		return
	}
	o.golang = o.im.findPclntab()
	if o.golang == nil {
		if d := o.findDebugFile(); d != nil {
			if t := d.im.functions(elf.SHT_SYMTAB); t != nil {
				o.tables = append(o.tables, t)
				o.separated = d
				return
			}
			d.close()
		}
	}
	if d := o.miniDebugImage(); d != nil {
		if t := d.functions(elf.SHT_SYMTAB); t != nil {
			o.tables = append(o.tables, t)
		}
	}
	if t := o.im.functions(elf.SHT_DYNSYM); t != nil {
		o.tables = append(o.tables, t)
	}
}

// functions reads the first symbol table of that kind; nil if there is none with functions.
func (im *image) functions(kind elf.SectionType) *table {
	s := im.ofKind(kind)
	if s == nil {
		return nil
	}
	t, err := im.readTable(s)
	if err != nil || len(t.entries) == 0 {
		return nil
	}
	return t
}

// find returns the raw name and the start of the function that vaddr lies in.
func (o *object) find(vaddr uint64) (name string, start uint64, ok bool) {
	o.load()
	for _, t := range o.tables {
		if e, ok := t.find(vaddr); ok {
			if name := t.name(e); name != "" {
				return name, t.base + uint64(e.value), true
			}
		}
	}
	if o.golang != nil {
		if i, start, _, ok := o.golang.find(vaddr); ok {
			if name := o.golang.name(i); name != "" {
				return name, start, true
			}
		}
	}
	return "", 0, false
}

// symbol returns the name for people of the function that vaddr lies in. The same few addresses come again and again in
// stacks, and each search reads the file, so the outcome is kept.
func (o *object) symbol(vaddr uint64, demangle bool) (name string, offset uint64, ok bool) {
	key := knownKey{vaddr, demangle}
	if k, ok := o.known[key]; ok {
		return k.name, k.offset, k.name != ""
	}
	var k knownName
	if raw, start, ok := o.find(vaddr); ok {
		if k.offset = vaddr - start; demangle {
			raw = Demangle(raw)
		}
		k.name = printable(raw)
	}
	if o.known == nil || len(o.known) >= maxKnownNames {
		o.known, o.knownBytes = make(map[knownKey]knownName), 0
	}
	o.known[key] = k
	o.knownBytes += int64(len(k.name)) + 80
	return k.name, k.offset, k.name != ""
}

// cost is about what the object takes of memory.
func (o *object) cost() int64 {
	n := int64(4<<10) + int64(len(o.im.segments))*48 + int64(len(o.im.sections))*80
	for _, t := range o.tables {
		n += t.cost()
	}
	if o.mini != nil {
		n += o.mini.size
	}
	if o.frames != nil {
		n += o.frames.cost()
	}
	return n + o.knownBytes
}

// inMemory makes an object of a whole ELF file in memory.
func inMemory(b []byte) (*object, error) { return newObject(bytes.NewReader(b), int64(len(b))) }
