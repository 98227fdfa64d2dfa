package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// A cpioWriter writes an archive in the "newc" format, the one that Linux unpacks as its first root file system:
// per file a header of 13 numbers in 8 hexadecimal digits, the name and the contents, each padded to 4 bytes.
type cpioWriter struct {
	w     *bufio.Writer
	size  int64
	inode uint32
	err   error
}

func newCpioWriter(w io.Writer) *cpioWriter { return &cpioWriter{w: bufio.NewWriterSize(w, 1<<20)} }

const (
	modeFolder  = 0o040000
	modeFile    = 0o100000
	modeSymlink = 0o120000
	modeChar    = 0o020000
)

func (c *cpioWriter) folder(name string, perm uint32) { c.header(name, modeFolder|perm, 0, 0, 0) }

func (c *cpioWriter) device(name string, perm, major, minor uint32) {
	c.header(name, modeChar|perm, 0, major, minor)
}

func (c *cpioWriter) symlink(name, target string) {
	c.header(name, modeSymlink|0o777, int64(len(target)), 0, 0)
	c.write([]byte(target))
	c.pad()
}

func (c *cpioWriter) bytes(name string, perm uint32, data []byte) {
	c.header(name, modeFile|perm, int64(len(data)), 0, 0)
	c.write(data)
	c.pad()
}

// file copies the host's file at path.
func (c *cpioWriter) file(name string, perm uint32, path string) {
	if c.err != nil {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		c.err = err
		return
	}
	c.header(name, modeFile|perm, st.Size(), 0, 0)
	if c.err != nil {
		return
	}
	// The header is written: a file that grows meanwhile is cut, one that shrinks is an error.
	n, err := io.CopyN(c.w, f, st.Size())
	c.size += n
	c.err = err
	c.pad()
}

// close writes the trailer; the archive is not complete without it.
func (c *cpioWriter) close() error {
	c.header("TRAILER!!!", 0, 0, 0, 0)
	return errors.Join(c.err, c.w.Flush())
}

func (c *cpioWriter) header(name string, mode uint32, size int64, major, minor uint32) {
	if c.err != nil {
		return
	}
	if size >= 1<<32 {
		c.err = fmt.Errorf("%s: %d bytes are too many for a root file system in memory", name, size)
		return
	}
	c.inode++
	c.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, 0 /* uid */, 0 /* gid */, 1 /* links */, 0 /* mtime */, size,
		0, 0 /* device of the file */, major, minor, len(name)+1, 0 /* checksum */, name))
	c.pad()
}

func (c *cpioWriter) write(p []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(p)
	c.size += int64(n)
	c.err = err
}

func (c *cpioWriter) pad() {
	var zeros [4]byte
	c.write(zeros[:(4-c.size%4)%4])
}
