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
		"":                      "unexpected EOF",
		strings.Repeat("x", 30): "not a pcap file",
		string(huge):            "4294967295 bytes",
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

// block makes a block of a pcapng file.
func block(order binary.AppendByteOrder, kind uint32, body ...[]byte) []byte {
	content := bytes.Join(body, nil)
	for len(content)%4 != 0 {
		content = append(content, 0)
	}
	length := uint32(len(content) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, content...), length)
}

// words are numbers of 4 bytes.
func words(order binary.AppendByteOrder, all ...uint32) (b []byte) {
	for _, w := range all {
		b = order.AppendUint32(b, w)
	}
	return b
}

func TestBlocks(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		short := func(a, b uint16) []byte { return order.AppendUint16(order.AppendUint16(nil, a), b) }
		section := block(order, blockSection, words(order, orderMagic, 1, 0xffffffff, 0xffffffff))
		micro := block(order, blockInterface, short(Ethernet, 0), words(order, 100))
		// Times in units of 2^-8 seconds, which began 1000 seconds after 1970.
		odd := block(order, blockInterface, short(Ethernet, 0), words(order, 0), short(optionTime, 1), []byte{0x88, 0, 0, 0},
			short(optionOffset, 8), order.AppendUint64(nil, 1000), short(optionEnd, 0))
		file := bytes.Join([][]byte{
			section, block(order, 0xbad, []byte("what nobody knows")), micro, odd,
			block(order, blockEnhanced, words(order, 0, 0, 5_000_001, 3, 60), []byte("abc")),
			block(order, blockEnhanced, words(order, 1, 0, 384, 4, 4), []byte("defg"), short(2, 4), words(order, 7)),
			block(order, blockSimple, words(order, 200), bytes.Repeat([]byte{'x'}, 100)),
			block(order, blockPacket, short(1, 9), words(order, 0, 256, 1, 1), []byte("o")),
			section, micro, block(order, blockEnhanced, words(order, 0, 0, 0, 0, 0)),
		}, nil)
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := all(r)
		if err != nil || r.LinkType != Ethernet || !r.Nano {
			t.Fatalf("%v, %+v", err, r)
		}
		want := []Packet{
			{5, 1000, 60, []byte("abc")}, {1001, 500_000_000, 4, []byte("defg")}, {0, 0, 200, bytes.Repeat([]byte{'x'}, 100)},
			{1001, 0, 1, []byte("o")}, {0, 0, 0, []byte{}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", order, diff)
		}
		for n := range file {
			if r, err := NewReader(bytes.NewReader(file[:n])); err == nil {
				_, _ = all(r) // a file that is cut off must not panic
			}
		}
		for _, c := range []struct {
			file [][]byte
			want string
		}{
			{[][]byte{section}, "describes no interface"},
			{[][]byte{section, block(order, blockEnhanced, words(order, 0, 0, 0, 0, 0))}, "interface 0, which has not been described"},
			{[][]byte{section, micro, block(order, blockEnhanced, words(order, 0, 0, 0, 9, 9))}, "it has 9 bytes, and its block less"},
			{[][]byte{section, micro, block(order, blockInterface, short(101, 0), words(order, 0))}, "link type 101, and the first one of 1"},
			{[][]byte{section, micro, words(order, 6, 13, 0, 0)}, "a block of 13 bytes"},
			{[][]byte{section, micro, words(order, 6, 16, 0, 17)}, "the lengths 16 and 17"},
			{[][]byte{words(order, blockSection, 28, 1, 2, 3, 4, 28)}, "no order of bytes"},
		} {
			r, err := NewReader(bytes.NewReader(bytes.Join(c.file, nil)))
			if err == nil {
				_, err = all(r)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00" +
		"\x01\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00"))
	f.Add(words(binary.LittleEndian, magicMicro, 0x40002, 0, 0, 100, 1, 1, 2, 4, 4, 5))
	f.Fuzz(func(t *testing.T, file []byte) {
		if r, err := NewReader(bytes.NewReader(file)); err == nil {
			_, _ = all(r)
		}
	})
}
