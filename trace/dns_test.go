package trace

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is an answer of a name server: a header, a question and records.
func answer(parts ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	dnsHeader = "1234 8180 0001 0003 0000 0000"
	// www.example.org of class IN and type A
	dnsQuestion = "03 777777 07 6578616d706c65 03 6f7267 00 0001 0001"
	// www.example.org is cdn.example.org, at two addresses
	dnsCNAME = "c00c 0005 0001 00000e10 0006 03 63646e c010"
	dnsA     = "c02d 0001 0001 0000003c 0004 c0000201"
	dnsAAAA  = "c02d 001c 0001 0000003c 0010 20010db8000000000000000000000001"
)

func TestDNS(t *testing.T) {
	www := func(addrs ...string) hosts {
		h := hosts{}
		for _, a := range addrs {
			h[netip.MustParseAddr(a)] = "www.example.org"
		}
		return h
	}
	whole := answer(dnsHeader, dnsQuestion, dnsCNAME, dnsA, dnsAAAA)
	for _, test := range []struct {
		name  string
		bytes []byte
		want  hosts
	}{
		{"whole", whole, www("192.0.2.1", "2001:db8::1")},
		{"with its length", append([]byte{0, byte(len(whole))}, whole...), www("192.0.2.1", "2001:db8::1")},
		{"cut", whole[:len(whole)-1], www("192.0.2.1")},
		{"query", answer("1234 0100 0001 0000 0000 0000", dnsQuestion), nil},
		{"no such name", answer("1234 8183 0001 0001 0000 0000", dnsQuestion, dnsA), nil},
		{"endless name", answer(dnsHeader, "c00c 0001 0001", dnsA), nil},
		{"name behind the end", answer(dnsHeader, "3f 77"), nil},
		{"unknown label", answer(dnsHeader, "80 77 00"), nil},
		{"odd bytes", answer("1234 8180 0001 0001 0000 0000", "04 1b2e5c61 00 0001 0001", "c00c 0001 0001 0000003c 0004 c0000201"),
			hosts{netip.MustParseAddr("192.0.2.1"): `\027\046\092a`}},
		{"empty", nil, nil},
	} {
		var got hosts
		got.learn(test.bytes)
		if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	h := www("192.0.2.1")
	for addr, want := range map[string]string{
		"\x02\x00\x00\x00\xc0\x00\x02\x01": "www.example.org", "\x02\x00\x00\x00\x7f\x00\x00\x01": "localhost", "\x02\x00\x00\x00\x01\x01\x01\x01": "",
		"\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01": "www.example.org", "\x00\x00\x00\x00": "",
	} {
		if got := h.host(append([]byte(addr), make([]byte, 20-len(addr))...)); got != want {
			t.Errorf("%q is %q, want %q", addr, got, want)
		}
	}
}

// FuzzDNS reads what any process could be made to receive.
func FuzzDNS(f *testing.F) {
	f.Add(answer(dnsHeader, dnsQuestion, dnsCNAME, dnsA, dnsAAAA))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h hosts
		h.learn(b)
		for _, name := range h {
			if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("name %q", name)
			}
		}
	})
}
