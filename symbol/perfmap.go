package symbol

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"math"
	"slices"
)

// Bounds on a perf map, which a process writes itself.
const (
	maxPerfMap     = 64 << 20 // bytes read
	maxPerfEntries = 1 << 20
	maxPerfNames   = 32 << 20
)

// perfMap is what a just-in-time compiler says of its code in /tmp/perf-PID.map: "START SIZE NAME", hexadecimal.
type perfMap struct {
	entries []perfEntry // by address; of several with one start, the last written is last
	names   []byte
}

type perfEntry struct {
	start      uint64
	size       uint32
	name       uint32 // position in names
	nameLength uint32
}

// readPerfMap reads what is well-formed, up to the bounds.
func readPerfMap(r io.Reader) (*perfMap, error) {
	p := &perfMap{}
	in := bufio.NewReaderSize(io.LimitReader(r, maxPerfMap), 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			for err == bufio.ErrBufferFull {
				_, err = in.ReadSlice('\n')
			}
			line = nil
		}
		// The last line counts when it is complete: its writer may be at it.
		if err == nil && len(line) > 0 {
			if !p.add(line[:len(line)-1]) {
				break
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(p.entries, func(a, b perfEntry) int { return cmp.Compare(a.start, b.start) })
	return p, nil
}

// add takes one line; false once there is no more room.
func (p *perfMap) add(line []byte) bool {
	line = bytes.TrimPrefix(line, []byte("0x"))
	start, w := hexPrefix(line)
	if w == 0 || w >= len(line) || line[w] != ' ' {
		return true
	}
	line = bytes.TrimPrefix(line[w+1:], []byte("0x"))
	size, w := hexPrefix(line)
	if w == 0 || w >= len(line) || line[w] != ' ' || size == 0 {
		return true
	}
	name := bytes.TrimSpace(line[w+1:])
	name = name[:min(len(name), maxName)]
	if len(name) == 0 {
		return true
	}
	if len(p.entries) == maxPerfEntries || len(p.names)+len(name) > maxPerfNames {
		return false
	}
	p.entries = append(p.entries, perfEntry{start, uint32(min(size, math.MaxUint32)), uint32(len(p.names)), uint32(len(name))})
	p.names = append(p.names, name...)
	return true
}

// find returns the name of the code at addr. Code is moved and freed without a word, so of entries that overlap
// the one that starts last is taken.
func (p *perfMap) find(addr uint64) (name string, start uint64, ok bool) {
	end, _ := slices.BinarySearchFunc(p.entries, addr, func(e perfEntry, addr uint64) int {
		if e.start > addr {
			return 1
		}
		return -1
	})
	const maxOverlaps = 64
	for i := end - 1; i >= 0 && i >= end-maxOverlaps; i-- {
		if e := p.entries[i]; addr-e.start < uint64(e.size) {
			return string(p.names[e.name:][:e.nameLength]), e.start, true
		}
	}
	return "", 0, false
}
