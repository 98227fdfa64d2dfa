package vm

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"skep/vm/maps"
	"skep/vm/memory"
)

// Cookies in place of half-open connections: the number that a SYN is answered with, from which the ACK after it shows that it belongs
// to one. The upper 8 bits count minutes, the lower 24 hide which of four segment sizes was offered.
const (
	cookieBits   = 24
	cookieMask   = 1<<cookieBits - 1
	cookieMaxAge = 2 // minutes
	tcpHeader    = 20
)

// The segment sizes that cookies can tell, and the one that nobody has to offer.
var (
	sizesIPv4 = [4]uint16{536, 1300, 1440, 1460}
	sizesIPv6 = [4]uint16{1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60}
)

const sizeNotOffered = 536

func tcpGenCookieIPv4(t *Thread, a *[5]uint64) uint64 {
	return t.genCookie(memory.At(a[0], ipv4Header)[12:], memoryAt(a[1], a[2]), &sizesIPv4)
}

func tcpGenCookieIPv6(t *Thread, a *[5]uint64) uint64 {
	return t.genCookie(memory.At(a[0], ipv6Header)[8:], memoryAt(a[1], a[2]), &sizesIPv6)
}

func tcpCheckCookieIPv4(t *Thread, a *[5]uint64) uint64 {
	return t.checkCookie(memory.At(a[0], ipv4Header)[12:], memory.At(a[1], tcpHeader))
}

func tcpCheckCookieIPv6(t *Thread, a *[5]uint64) uint64 {
	return t.checkCookie(memory.At(a[0], ipv6Header)[8:], memory.At(a[1], tcpHeader))
}

// genCookie returns the cookie and, above its 32 bits, the segment size that it tells.
func (t *Thread) genCookie(addrs, tcp []byte, sizes *[4]uint16) uint64 {
	if len(tcp) < tcpHeader || len(tcp) != int(tcp[12]>>4)*4 {
		return errno(maps.EINVAL)
	}
	offered := segmentSize(tcp[tcpHeader:])
	which := len(sizes) - 1
	for which > 0 && offered < sizes[which] {
		which--
	}
	seq := binary.BigEndian.Uint32(tcp[4:])
	minutes := t.minutes()
	cookie := t.cookieHash(addrs, tcp, 0) + seq + minutes<<cookieBits + (t.cookieHash(addrs, tcp, 1+uint64(minutes))+uint32(which))&cookieMask
	return uint64(sizes[which])<<32 | uint64(cookie)
}

func (t *Thread) checkCookie(addrs, tcp []byte) uint64 {
	seq, cookie := binary.BigEndian.Uint32(tcp[4:])-1, binary.BigEndian.Uint32(tcp[8:])-1
	cookie -= t.cookieHash(addrs, tcp, 0) + seq
	minutes := t.minutes()
	age := (minutes - cookie>>cookieBits) & 0xff
	if age < cookieMaxAge && (cookie-t.cookieHash(addrs, tcp, 1+uint64(minutes-age)))&cookieMask < uint32(len(sizesIPv4)) {
		return 0
	}
	return errno(maps.EACCES)
}

func (t *Thread) minutes() uint32 { return uint32(t.machine.clock.Monotonic() / uint64(time.Minute)) }

// cookieHash is a secret number for the addresses, the ports and a salt.
func (t *Thread) cookieHash(addrs, tcp []byte, salt uint64) uint32 {
	var h maphash.Hash
	h.SetSeed(t.machine.secret)
	_, _ = h.Write(addrs)
	_, _ = h.Write(tcp[:4])
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], salt)
	_, _ = h.Write(b[:])
	return uint32(h.Sum64())
}

// segmentSize is what the options of a SYN offer.
func segmentSize(options []byte) uint16 {
	const end, nothing, size = 0, 1, 2
	for len(options) > 0 && options[0] != end {
		if options[0] == nothing {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			break
		}
		if options[0] == size && options[1] == 4 {
			if n := binary.BigEndian.Uint16(options[2:]); n != 0 {
				return n
			}
		}
		options = options[options[1]:]
	}
	return sizeNotOffered
}
