package pcap

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	want := []Packet{{1, 2, 3, []byte("abc")}, {4, 5, 100, []byte("defg")}, {6, 7, 0, []byte{}}}
	var b bytes.Buffer
	w, err := NewWriter(&b, Ethernet, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Nano || r.LinkType != Ethernet {
		t.Errorf("the header is %+v", r)
	}
	got, err := all(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n := range b.Len() {
		if r, err := NewReader(bytes.NewReader(b.Bytes()[:n])); err == nil {
			_, _ = all(r) // a file that is cut off must not panic
		}
	}
}

func all(r *Reader) (ps []Packet, err error) {
	for {
		p, err := r.Next()
		if err == io.EOF {
			return ps, nil
		}
		if err != nil {
			return ps, err
		}
		ps = append(ps, p)
	}
}

func TestBigEndian(t *testing.T) {
	b := binary.BigEndian.AppendUint32(nil, magicMicro)
	b = append(b, make([]byte, 12)...)
	b = binary.BigEndian.AppendUint32(b, 100)
	b = binary.BigEndian.AppendUint32(b, 101)
	for _, v := range []uint32{1, 2, 1, 9} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	r, err := NewReader(bytes.NewReader(append(b, 'x')))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.Next(); err != nil || p.Length != 9 || string(p.Data) != "x" || r.LinkType != 101 {
		t.Errorf("%+v, %+v, %v", r, p, err)
	}
}

func TestErrors(t *testing.T) {
	huge := append(binary.LittleEndian.AppendUint32(nil, magicMicro), make([]byte, 20)...)
	huge = append(huge, bytes.Repeat([]byte{0xff}, 16)...)
	for text, want := range map[string]string{
		"": "unexpected EOF",
		"\x0a\x0d\x0d\x0a" + strings.Repeat("x", 20): "pcapng",
		strings.Repeat("x", 30):                      "not a pcap file",
		string(huge):                                 "4294967295 bytes",
	} {
		r, err := NewReader(strings.NewReader(text))
		if err == nil {
			_, err = r.Next()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, not %q", text, err, want)
		}
	}
}
