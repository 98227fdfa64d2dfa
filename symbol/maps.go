package symbol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Mapping is a part of a process's address space.
type Mapping struct {
	Start, End uint64 // addresses; End is the first one behind it
	Offset     uint64 // in the file of Start, in bytes
	// Dev is the file's device as unix.Mkdev makes it, Inode its inode number; both 0 without a file or if unknown. On
	// overlayfs and btrfs they need not be what stat says.
	Dev, Inode uint64
	// Path is the file in the process's root directory, or a name of the kernel's such as "[stack]" or "//anon"; it may
	// be empty, and may end in " (deleted)".
	Path       string
	Executable bool
	// BuildID is the file's build id in hex, if it is known without reading the file (perf can record it).
	BuildID string
}

// Bounds on a map that a process can make itself: the kernel's default is 65,530 mappings.
const (
	maxMappings = 1 << 18
	maxMapsLine = 4096 + 512
)

// ReadMaps reads the mappings of a process, in order of address.
func ReadMaps(pid int) ([]Mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the mappings of process %d: %w", pid, err)
	}
	defer f.Close()
	var maps []Mapping
	err = scanMaps(f, func(m Mapping) bool {
		maps = append(maps, m)
		return len(maps) < maxMappings
	})
	if err != nil {
		return nil, fmt.Errorf("reading the mappings of process %d: %w", pid, err)
	}
	return maps, nil
}

// scanMaps calls yield for each line of /proc/PID/maps; lines of another form are skipped.
func scanMaps(r io.Reader, yield func(Mapping) bool) error {
	buf := make([]byte, 16<<10)
	n := 0
	path := "" // repeated by the next lines most often
	for {
		k, err := r.Read(buf[n:])
		n += k
		chunk := buf[:n]
		for {
			end := bytes.IndexByte(chunk, '\n')
			if end < 0 {
				break
			}
			m, file, ok := parseMapping(chunk[:end])
			chunk = chunk[end+1:]
			if !ok {
				continue
			}
			if string(file) != path {
				path = unescapeMaps(string(file))
			}
			m.Path = path
			if !yield(m) {
				return nil
			}
		}
		n = copy(buf, chunk)
		if n > maxMapsLine {
			n = 0
		}
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		if err != nil {
			return err
		}
	}
}

// parseMapping reads "START-END PERM OFFSET MAJOR:MINOR INODE   PATH"; path is not copied.
func parseMapping(line []byte) (m Mapping, path []byte, ok bool) {
	number := func(end byte) (v uint64) {
		var w int
		v, w = hexPrefix(line)
		if w == 0 || w >= len(line) || line[w] != end {
			line = nil
			return 0
		}
		line = line[w+1:]
		return v
	}
	m.Start, m.End = number('-'), number(' ')
	if len(line) < 5 || line[4] != ' ' || m.Start >= m.End {
		return m, nil, false
	}
	m.Executable = line[2] == 'x'
	line = line[5:]
	m.Offset = number(' ')
	major, minor := number(':'), number(' ')
	if line == nil {
		return m, nil, false
	}
	m.Dev = unix.Mkdev(uint32(major), uint32(minor))
	for len(line) > 0 && line[0] >= '0' && line[0] <= '9' {
		m.Inode = m.Inode*10 + uint64(line[0]-'0')
		line = line[1:]
	}
	return m, bytes.TrimLeft(line, " "), true
}

// unescapeMaps undoes the one escape that the kernel uses in maps: \012 for a newline.
func unescapeMaps(path string) string { return strings.ReplaceAll(path, `\012`, "\n") }

const deleted = " (deleted)"

// hasFile reports whether the mapping is of a file, not of memory that the kernel merely gives a name.
func (m *Mapping) hasFile() bool {
	return strings.HasPrefix(m.Path, "/") && !strings.HasPrefix(m.Path, "//anon") && !strings.HasPrefix(m.Path, "/dev/zero") &&
		!strings.HasPrefix(m.Path, "/anon_hugepage") && !strings.HasPrefix(m.Path, "/SYSV")
}
