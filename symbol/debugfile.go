package symbol

import (
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// findDebugFile opens the file that holds the debug information that was split from this one: by build id below
// /usr/lib/debug, or by the name that the file itself gives. It looks in the process's root and in ours.
func (o *object) findDebugFile() *object {
	id := o.im.buildID()
	if len(id) > 2 {
		path := "/usr/lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
		for _, root := range o.roots() {
			if d := o.openDebugFile(path, root); d != nil {
				if d.im.buildID() == id {
					return o.adopt(d)
				}
				d.close()
			}
		}
	}
	link, sum := o.im.debugLink()
	if link == "" || o.path == "" {
		return nil
	}
	dir := filepath.Dir(o.path)
	for _, path := range []string{
		filepath.Join(dir, link), filepath.Join(dir, ".debug", link), filepath.Join("/usr/lib/debug", dir, link),
	} {
		if path == o.path {
			continue
		}
		for _, root := range o.roots() {
			d := o.openDebugFile(path, root)
			if d == nil {
				continue
			}
			if id != "" && d.im.buildID() == id || d.im.checksum() == sum {
				return o.adopt(d)
			}
			d.close()
		}
	}
	return nil
}

// roots are the processes in whose roots to look; 0 is ours.
func (o *object) roots() []int {
	if o.root == 0 {
		return []int{0}
	}
	return []int{o.root, 0}
}

func (o *object) openDebugFile(path string, root int) *object {
	f, err := openIn(root, path)
	if err != nil {
		return nil
	}
	d, err := openObject(f, path, root)
	if err != nil || d.im.machine != o.im.machine || d.im.wide != o.im.wide {
		f.Close()
		return nil
	}
	return d
}

// adopt gives the debug file our segments: its own describe bytes that it does not have; the addresses are the same.
func (o *object) adopt(d *object) *object {
	d.im.segments = o.im.segments
	return d
}

// openIn opens a path in the root of a process, or in ours if pid is 0.
func openIn(pid int, path string) (*os.File, error) {
	if pid == 0 {
		return openRegular(unix.AT_FDCWD, path, false)
	}
	return openInRoot(pid, path)
}

// debugLink returns the content of .gnu_debuglink: a file name, and the CRC of that file.
func (im *image) debugLink() (name string, sum uint32) {
	s := im.named(".gnu_debuglink")
	if s == nil || s.size > 4<<10 {
		return "", 0
	}
	b, err := im.bytes(s.off, s.size)
	if err != nil {
		return "", 0
	}
	end := bytes.IndexByte(b, 0)
	at := (end + 4) &^ 3
	if end <= 0 || at+4 > len(b) || bytes.IndexByte(b[:end], '/') >= 0 {
		return "", 0
	}
	return string(b[:end]), im.order.Uint32(b[at:])
}

// maxChecked bounds what is read of a file to verify that it is the one that was linked to.
const maxChecked = 512 << 20

func (im *image) checksum() uint32 {
	if im.size > maxChecked {
		return 0
	}
	h := crc32.NewIEEE()
	io.Copy(h, io.NewSectionReader(im.r, 0, im.size))
	return h.Sum32()
}
