package symbol

import "bytes"

// Bounds on .gnu_debugdata: the largest of common distributions unpack to some MB.
const (
	maxMiniPacked = 16 << 20
	maxMiniDebug  = 48 << 20
)

// miniDebugImage opens .gnu_debugdata (MiniDebugInfo): an ELF file, packed with xz, whose symbol table has the functions
// that the dynamic one lacks. It stays in memory unpacked. nil if there is none.
func (o *object) miniDebugImage() *image {
	if o.miniRead {
		return o.mini
	}
	o.miniRead = true
	s := o.im.named(".gnu_debugdata")
	if s == nil || s.size > maxMiniPacked {
		return nil
	}
	packed, err := o.im.bytes(s.off, s.size)
	if err != nil {
		return nil
	}
	b, err := xz(packed, maxMiniDebug)
	if err != nil {
		return nil
	}
	b = bytes.Clone(b) // without the room to grow
	im, err := readImage(bytes.NewReader(b), int64(len(b)))
	if err != nil || im.machine != o.im.machine || im.wide != o.im.wide {
		return nil
	}
	im.segments = o.im.segments // its own describe bytes that it does not have
	o.mini = im
	return im
}
