package kernel

import (
	"bytes"
	"encoding/binary"
)

// Records of perf events about processes, and the bits in their misc word.
const (
	perfLost  = 2
	perfComm  = 3
	perfExit  = 4
	perfFork  = 7
	perfMmap2 = 10

	perfCommExec    = 1 << 13
	perfMmapBuildID = 1 << 14
)

// processRecord is a decoded record.
type processRecord struct {
	kind        uint32
	time        uint64
	pid, parent int
	name        string // of the command or the file
	lost        uint64

	addr, length, pgoff uint64
	dev, inode          uint64
	buildID             []byte
}

func native16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func native32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func native64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// decodeProcess decodes a record whose last 8 bytes are its time. ok is false for what nobody asked for: threads, names that
// processes give themselves, and what is malformed.
func decodeProcess(record []byte) (p processRecord, ok bool) {
	if len(record) < 16 {
		return p, false
	}
	p.kind = native32(record)
	misc := native16(record[4:])
	p.time = native64(record[len(record)-8:])
	body := record[8 : len(record)-8]
	switch p.kind {
	case perfLost: // u64 id, lost
		if len(body) < 16 {
			return p, false
		}
		p.lost = native64(body[8:])
		return p, true
	case perfComm: // u32 pid, tid; char comm[]
		if len(body) < 8 || misc&perfCommExec == 0 {
			return p, false
		}
		p.pid, p.name = pidOf(body), cText(body[8:])
		return p, true
	case perfFork, perfExit: // u32 pid, ppid, tid, ptid; u64 time
		if len(body) < 16 {
			return p, false
		}
		tid := int(int32(native32(body[8:])))
		p.pid, p.parent = pidOf(body), pidOf(body[4:])
		return p, tid == p.pid
	case perfMmap2:
		// u32 pid, tid; u64 addr, len, pgoff; 24 bytes of identity; u32 prot, flags; char filename[]
		if len(body) < 64 {
			return p, false
		}
		p.pid = pidOf(body)
		p.addr, p.length, p.pgoff = native64(body[8:]), native64(body[16:]), native64(body[24:])
		identity := body[32:56]
		if misc&perfMmapBuildID != 0 { // u8 size, 3 bytes, u8 id[20]
			p.buildID = bytes.Clone(identity[4 : 4+min(int(identity[0]), 20)])
		} else { // u32 major, minor; u64 inode, generation
			p.dev, p.inode = makeDevice(native32(identity), native32(identity[4:])), native64(identity[8:])
		}
		p.name = cText(body[64:])
		return p, true
	}
	return p, false
}

func pidOf(b []byte) int { return int(int32(native32(b))) }

// cText is the text before the first NUL.
func cText(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// makeDevice is st_dev as stat(2) gives it.
func makeDevice(major, minor uint32) uint64 {
	return uint64(minor&0xff) | uint64(major&0xfff)<<8 | uint64(minor&^0xff)<<12 | uint64(major&^0xfff)<<32
}
