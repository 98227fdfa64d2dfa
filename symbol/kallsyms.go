package symbol

import (
	"bytes"
	"cmp"
	"io"
	"math"
	"slices"
)

// scanKallsyms calls yield for each line of /proc/kallsyms, "ADDRESS TYPE NAME[\t[MODULE]]", until it returns false.
// rest is the line after the type: name, and with a tab the module in brackets. It is valid during the call only.
// Lines of another form are skipped.
func scanKallsyms(r io.Reader, yield func(addr uint64, kind byte, rest []byte) bool) error {
	buf := make([]byte, 32<<10)
	n := 0
	for {
		k, err := r.Read(buf[n:])
		n += k
		chunk := buf[:n]
		for {
			end := bytes.IndexByte(chunk, '\n')
			if end < 0 {
				break
			}
			line := chunk[:end]
			chunk = chunk[end+1:]
			addr, width := hexPrefix(line)
			if width == 0 || len(line) < width+4 || line[width] != ' ' || line[width+2] != ' ' {
				continue
			}
			if !yield(addr, line[width+1], line[width+3:]) {
				return nil
			}
		}
		n = copy(buf, chunk)
		if n == len(buf) {
			n = 0 // a line longer than the buffer: not one of the kernel's
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// hexPrefix reads the hexadecimal number that b begins with and how many digits it has; 0 digits if none or too many.
func hexPrefix(b []byte) (v uint64, width int) {
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return v, i
		}
		if i == 16 {
			return 0, 0
		}
		v = v<<4 | uint64(c)
	}
	return v, len(b)
}

// splitModule parts the rest of a kallsyms line into name and module ("" for the kernel itself).
func splitModule(rest []byte) (name, module []byte) {
	name, module, _ = bytes.Cut(rest, []byte{'\t'})
	module = bytes.TrimSuffix(bytes.TrimPrefix(module, []byte{'['}), []byte{']'})
	return name, module
}

// isAbsolute tells the symbols whose value is no address, such as offsets into per-CPU areas.
func isAbsolute(kind byte) bool { return kind == 'A' || kind == 'a' }

// maxKernelOffset is how far behind a symbol an address can be that still belongs to it. kallsyms has no sizes; without
// a bound everything behind the last module would be a part of its last function. JITed programs are the largest.
const maxKernelOffset = 16 << 20

// kernelSymbol makes the result for addr, whose closest symbol at or before it is (base, rest).
func kernelSymbol(addr, base uint64, rest []byte) Symbol {
	s := Symbol{Addr: addr}
	name, module := splitModule(rest)
	if len(name) == 0 || addr-base >= maxKernelOffset {
		return s
	}
	if addr != base {
		// These mark the end of a range; nothing that follows is theirs.
		switch string(name) {
		case "_etext", "_einittext", "_end", "__bss_stop", "_edata", "__init_end":
			return s
		}
	}
	s.Name, s.Module, s.Offset = string(name), string(module), addr-base
	return s
}

// kernelStream resolves a sorted set of addresses while the lines of kallsyms pass by once. It holds one name per
// address, not the table.
type kernelStream struct {
	addrs []uint64 // sorted, unique
	best  []nearest
	first uint64 // the first address of the listing: where the kernel's own sorted part begins
	last  uint64
	// ascending says that all lines so far came in order of address.
	ascending bool
	anyLine   bool
	anyAddr   bool
}

type nearest struct {
	base uint64
	rest []byte
}

func newKernelStream(addrs []uint64) *kernelStream {
	return &kernelStream{addrs: addrs, best: make([]nearest, len(addrs)), ascending: true}
}

// line takes one symbol; it returns false once no later line can change the outcome.
func (k *kernelStream) line(addr uint64, kind byte, rest []byte) bool {
	k.anyLine = true
	if addr == 0 || isAbsolute(kind) {
		return true
	}
	if !k.anyAddr {
		k.anyAddr, k.first = true, addr
	}
	if addr < k.last {
		k.ascending = false
	}
	k.last = addr
	i, _ := slices.BinarySearch(k.addrs, addr)
	if i == len(k.addrs) {
		// The kernel's own symbols come first and sorted; those of modules and BPF programs lie elsewhere.
		inKernel := k.ascending && bytes.IndexByte(rest, '\t') < 0
		return !inKernel || len(k.addrs) == 0 || k.addrs[0] < k.first
	}
	if b := &k.best[i]; addr > b.base {
		b.base, b.rest = addr, append(b.rest[:0], rest...)
	}
	return true
}

// symbols gives the outcome, in the order of addrs. A symbol was noted for the lowest address it can serve only;
// here it serves those above, too, as far as nothing closer was noted for them.
func (k *kernelStream) symbols() []Symbol {
	out := make([]Symbol, len(k.addrs))
	var near nearest
	for i, addr := range k.addrs {
		if k.best[i].base > near.base {
			near = k.best[i]
		}
		out[i] = kernelSymbol(addr, near.base, near.rest)
	}
	return out
}

// kernelIndex is the whole of kallsyms for random access: the names in chunks, so that growing never copies them, and
// 16 bytes a symbol.
type kernelIndex struct {
	chunks  [][]byte
	entries []kernelEntry // by address, then as listed
}

const (
	chunkBits = 18
	chunkSize = 1 << chunkBits
	maxChunks = 1 << (32 - chunkBits) // what a position can address
)

type kernelEntry struct {
	addr uint64
	pos  uint32 // of the rest of the line: chunk, and offset in its low chunkBits
	size uint16
}

// newKernelIndex reads all of kallsyms. anyLine tells an empty listing from one that shows only zeros.
func newKernelIndex(r io.Reader) (index *kernelIndex, anyLine bool, err error) {
	x := &kernelIndex{entries: make([]kernelEntry, 0, 128<<10)}
	var chunk []byte
	sorted := true
	err = scanKallsyms(r, func(addr uint64, kind byte, rest []byte) bool {
		anyLine = true
		if addr == 0 || isAbsolute(kind) || len(rest) > math.MaxUint16 {
			return true
		}
		if len(chunk)+len(rest) > cap(chunk) {
			if len(x.chunks) == maxChunks {
				return false
			}
			chunk = make([]byte, 0, chunkSize)
			x.chunks = append(x.chunks, chunk[:chunkSize])
		}
		if n := len(x.entries); n > 0 && x.entries[n-1].addr > addr {
			sorted = false
		}
		pos := uint32(len(x.chunks)-1)<<chunkBits | uint32(len(chunk))
		x.entries = append(x.entries, kernelEntry{addr, pos, uint16(len(rest))})
		chunk = append(chunk, rest...)
		return true
	})
	if err != nil {
		return nil, anyLine, err
	}
	if !sorted {
		slices.SortFunc(x.entries, func(a, b kernelEntry) int {
			if a.addr != b.addr {
				return cmp.Compare(a.addr, b.addr)
			}
			return cmp.Compare(a.pos, b.pos)
		})
	}
	return x, anyLine, nil
}

func (x *kernelIndex) symbol(addr uint64) Symbol {
	i, exact := slices.BinarySearchFunc(x.entries, addr, func(e kernelEntry, addr uint64) int { return cmp.Compare(e.addr, addr) })
	if !exact {
		if i == 0 {
			return Symbol{Addr: addr}
		}
		i--
		// Of several names for one address the kernel itself uses the first.
		for i > 0 && x.entries[i-1].addr == x.entries[i].addr {
			i--
		}
	}
	e := x.entries[i]
	start := e.pos & (chunkSize - 1)
	return kernelSymbol(addr, e.addr, x.chunks[e.pos>>chunkBits][start:start+uint32(e.size)])
}
