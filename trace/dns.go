package trace

import (
	"encoding/binary"
	"net/netip"
)

// hosts are the names by which addresses were asked for, as the answers of name servers tell that dns_answer() has seen.
type hosts map[netip.Addr]string

// maxHosts bounds what is remembered; all is forgotten then.
const maxHosts = 1 << 14

// learn reads an answer. What is none, or is cut short, is read as far as it makes sense.
func (h *hosts) learn(b []byte) {
	if len(b) > 14 && int(binary.BigEndian.Uint16(b)) == len(b)-2 {
		b = b[2:] // over TCP, the length comes first
	}
	const headerSize, response, errorMask = 12, 0x8000, 0x780f // an answer to a query, without error
	if len(b) < headerSize {
		return
	}
	flags, questions, answers := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	if flags&response == 0 || flags&errorMask != 0 || questions != 1 {
		return
	}
	name, at, ok := dnsName(b, headerSize)
	if !ok || name == "" {
		return
	}
	at += 4 // type and class of the question
	for range answers {
		if _, at, ok = dnsName(b, at); !ok || at+10 > len(b) {
			return
		}
		kind, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if at+length > len(b) {
			return
		}
		const a, aaaa = 1, 28
		if addr, isAddr := netip.AddrFromSlice(b[at : at+length]); isAddr && (kind == a && length == 4 || kind == aaaa && length == 16) {
			if *h == nil || len(*h) >= maxHosts {
				*h = hosts{}
			}
			(*h)[addr] = name
		}
		at += length
	}
}

// dnsName reads a name of a message, which may go on elsewhere in it, and gives the place behind it.
func dnsName(b []byte, at int) (name string, next int, ok bool) {
	var text []byte
	next = -1
	for jumps := 0; at < len(b); {
		n := int(b[at])
		switch n >> 6 {
		case 0:
			if n == 0 {
				if next < 0 {
					next = at + 1
				}
				return string(text), next, true
			}
			if at+1+n > len(b) || len(text) > 1024 {
				return "", 0, false
			}
			if len(text) > 0 {
				text = append(text, '.')
			}
			text = appendLabel(text, b[at+1:at+1+n])
			at += 1 + n
		case 3:
			if at+2 > len(b) || jumps > 16 {
				return "", 0, false
			}
			if next < 0 {
				next = at + 2
			}
			jumps++
			at = int(binary.BigEndian.Uint16(b[at:]) & 0x3fff)
		default:
			return "", 0, false
		}
	}
	return "", 0, false
}

// appendLabel appends a part of a name, with what is unusual in it as \ddd.
func appendLabel(dst, label []byte) []byte {
	for _, c := range label {
		if c > ' ' && c < 0x7f && c != '.' && c != '\\' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	}
	return dst
}

// host is the name of an Inet in memory; "" if none is known.
func (h hosts) host(b []byte) string {
	addr, ok := inetAddr(b)
	if !ok {
		return ""
	}
	if addr = addr.Unmap(); addr.IsLoopback() {
		return "localhost"
	}
	return h[addr]
}

// inetAddr is an Inet in memory as an address.
func inetAddr(b []byte) (netip.Addr, bool) {
	const afInet, afInet6 = 2, 10
	switch unsigned(b, 4) {
	case afInet:
		return netip.AddrFrom4([4]byte(b[4:8])), true
	case afInet6:
		return netip.AddrFrom16([16]byte(b[4:20])), true
	}
	return netip.Addr{}, false
}

// noHost is shown for an address that no answer has named, as BCC's tcpconnect does.
const noHost = "No DNS Query"

func (v *values) appendHost(dst, b []byte) []byte {
	if name := v.hosts.host(b); name != "" {
		return append(dst, name...)
	}
	return append(dst, noHost...)
}
