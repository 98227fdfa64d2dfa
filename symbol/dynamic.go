package symbol

import "debug/elf"

// synthesize makes sections of what the dynamic linker is told, for files without section headers: the dynamic symbols
// with their strings, and the relocations.
func (im *image) synthesize() {
	entry := uint64(8)
	if im.wide {
		entry = 16
	}
	tags := make(map[elf.DynTag]uint64)
	for _, s := range im.segments {
		if s.kind != elf.PT_DYNAMIC {
			continue
		}
		b, err := im.bytes(s.off, min(s.fileSize, 1<<16))
		if err != nil {
			return
		}
		for ; uint64(len(b)) >= entry; b = b[entry:] {
			f := fields{b: b, im: im}
			tag := elf.DynTag(f.word())
			if tag == elf.DT_NULL {
				break
			}
			tags[tag] = f.word()
		}
	}
	symbols, okSymbols := im.offset(tags[elf.DT_SYMTAB])
	names, okNames := im.offset(tags[elf.DT_STRTAB])
	if okSymbols && okNames {
		if size := im.dynamicSymbols(tags, symbols, names); size > 0 {
			im.sections = append(im.sections, section{}, // the first section is none
				section{name: ".dynsym", kind: elf.SHT_DYNSYM, flags: elf.SHF_ALLOC, addr: tags[elf.DT_SYMTAB], off: symbols, size: size, link: 2},
				section{name: ".dynstr", kind: elf.SHT_STRTAB, flags: elf.SHF_ALLOC, addr: tags[elf.DT_STRTAB], off: names, size: tags[elf.DT_STRSZ]})
		}
	}
	if off, ok := im.offset(tags[elf.DT_RELA]); ok && tags[elf.DT_RELASZ] > 0 {
		im.sections = append(im.sections,
			section{name: ".rela.dyn", kind: elf.SHT_RELA, flags: elf.SHF_ALLOC, addr: tags[elf.DT_RELA], off: off, size: tags[elf.DT_RELASZ]})
	}
}

// dynamicSymbols returns the size of the dynamic symbol table, which nothing states: the old hash table has a link for
// each symbol; without one, the strings follow the symbols with all linkers.
func (im *image) dynamicSymbols(tags map[elf.DynTag]uint64, symbols, names uint64) uint64 {
	size := uint64(16)
	if im.wide {
		size = 24
	}
	limit := uint64(im.size) - min(symbols, uint64(im.size))
	if hash, ok := im.offset(tags[elf.DT_HASH]); ok {
		if b, err := im.bytes(hash, 8); err == nil {
			return min(uint64(im.order.Uint32(b[4:]))*size, limit)
		}
	}
	if names > symbols {
		return min(names-symbols, limit)
	}
	return 0
}
