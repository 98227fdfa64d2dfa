package symbol

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"testing"
	"time"
)

const fuzzedAt = 1 << 24

// fuzzedImage is a file whose bytes are all loaded at fuzzedAt, with a table of the kind that mode says at an offset.
func fuzzedImage(b []byte, mode uint8, at uint16) *image {
	size := uint64(len(b))
	off := min(uint64(at), size)
	im := &image{
		r: bytes.NewReader(b), size: int64(size), order: binary.LittleEndian, wide: true, machine: elf.EM_X86_64,
		segments: []segment{{kind: elf.PT_LOAD, flags: elf.PF_X | elf.PF_R, vaddr: fuzzedAt, fileSize: size, memSize: size}},
	}
	table := section{kind: elf.SHT_PROGBITS, addr: fuzzedAt + off, off: off, size: size - off}
	switch mode & 3 {
	case 0:
		im.segments = append(im.segments, segment{kind: elf.PT_GNU_EH_FRAME, off: off, vaddr: fuzzedAt + off, fileSize: size - off})
	case 1:
		table.name = ".eh_frame"
		im.sections = []section{table}
	default:
		table.name = ".debug_frame"
		if mode&3 == 3 {
			table.flags = elf.SHF_COMPRESSED
		}
		im.sections = []section{table}
	}
	if mode&4 != 0 {
		im.machine = elf.EM_AARCH64
	}
	return im
}

// Whatever a file says, a walk through it ends, soon, with rules for registers that there are.
func FuzzUnwind(f *testing.F) {
	for _, path := range []string{"/bin/true", "/bin/ls"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		im, err := readImage(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			continue
		}
		for _, s := range im.segments {
			if s.kind == elf.PT_GNU_EH_FRAME {
				part := b[s.off:min(s.off+16<<10, uint64(len(b)))]
				f.Add(part, uint8(0), uint16(0), im.entry-s.vaddr+fuzzedAt)
				f.Add(part, uint8(1), uint16(s.fileSize+7)&^7, im.entry-s.vaddr+fuzzedAt)
			}
		}
	}
	f.Add(asmTable(false, 1, "", tableExpression(0x12, 0x23, 8, 0x06)), uint8(1), uint16(0), uint64(fuzzedAt+2))
	f.Add(asmTable(true, 4, "", tableExpression(0x2f, 0xfd, 0xff)), uint8(2), uint16(0), uint64(fuzzedAt+2))
	f.Fuzz(func(t *testing.T, b []byte, mode uint8, at uint16, pc uint64) {
		began := time.Now()
		limitMemory(t, len(b), func() {
			im := fuzzedImage(b, mode, at)
			frames := im.callFrames()
			arch := architectureOf(im.machine)
			regs := Registers{Machine: im.machine, Known: 1<<maxColumns - 1}
			for i := range regs.Value {
				regs.Value[i] = fuzzedAt + uint64(i)*8
			}
			regs.Value[arch.ip] = pc
			w := new(frameWalk)
			w.start(arch, &regs, UserStack{Addr: fuzzedAt, Bytes: b})
			for range 100 {
				before := *w
				row, _ := frames.row(w.place(), &w.scratch)
				if row == nil {
					break
				}
				if row.set>>arch.columns != 0 || row.ra >= maxColumns || row.cfa.kind == cfiOffset && row.column >= arch.columns {
					t.Fatalf("%+v", row)
				}
				if w.byRow(row, &frames.expressions, 0) != unwindOn {
					break
				}
				if sp := arch.sp; w.now.value[sp] < before.now.value[sp] && w.inward == before.inward {
					t.Fatal("went inward")
				}
			}
			frames.cost()
		})
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
