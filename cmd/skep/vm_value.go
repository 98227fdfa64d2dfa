package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// showValue shows bytes as a value of the type, or in hexadecimal if the type is not known or does not fit.
func showValue(t btf.Type, b []byte) string {
	if t == nil {
		return showBytes(b)
	}
	text, ok := formatValue(t, b, 0)
	if !ok {
		return showBytes(b)
	}
	return text
}

// maxDepth is how deep types may be nested that are shown.
const maxDepth = 16

func formatValue(t btf.Type, b []byte, depth int) (string, bool) {
	switch t := t.(type) {
	case *btf.Datasec:
		return formatSection(t, b, depth)
	case *btf.Var:
		return formatValue(t.Type, b, depth)
	}
	size, err := btf.Sizeof(t)
	if err != nil || size > len(b) || depth > maxDepth {
		return "", false
	}
	b = b[:size]
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Int:
		return formatInt(t, b)
	case *btf.Enum:
		return formatEnum(t, b)
	case *btf.Pointer:
		return fmt.Sprintf("%#x", number(b)), true
	case *btf.Array:
		return formatArray(t, b, depth)
	case *btf.Struct:
		return formatMembers(t.Members, b, depth)
	case *btf.Union:
		return formatMembers(t.Members, b, depth)
	}
	return "", false
}

func number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

func formatInt(t *btf.Int, b []byte) (string, bool) {
	if len(b) > 8 {
		return "", false
	}
	n := number(b)
	switch t.Encoding {
	case btf.Bool:
		return fmt.Sprint(n != 0), true
	case btf.Signed:
		unused := 64 - 8*len(b)
		return fmt.Sprint(int64(n<<unused) >> unused), true
	}
	return fmt.Sprint(n), true
}

func formatEnum(t *btf.Enum, b []byte) (string, bool) {
	n := number(b)
	for _, v := range t.Values {
		if v.Value == n || t.Signed && uint32(v.Value) == uint32(n) && len(b) == 4 {
			return v.Name, true
		}
	}
	return fmt.Sprint(n), true
}

// formatArray shows text as text, and other arrays up to their last element that is not zero.
func formatArray(t *btf.Array, b []byte, depth int) (string, bool) {
	size, err := btf.Sizeof(t.Type)
	if err != nil || size == 0 {
		return "[]", err == nil
	}
	if i, ok := btf.UnderlyingType(t.Type).(*btf.Int); ok && size == 1 && (i.Encoding == btf.Char || i.Name == "char") {
		text, _, _ := strings.Cut(string(b), "\x00")
		return fmt.Sprintf("%q", text), true
	}
	var parts []string
	rest := 0
	for at := 0; at+size <= len(b); at += size {
		if isZero(b[at:]) && at > 0 {
			rest = (len(b) - at) / size
			break
		}
		text, ok := formatValue(t.Type, b[at:at+size], depth+1)
		if !ok {
			return "", false
		}
		parts = append(parts, text)
	}
	if rest > 0 {
		parts = append(parts, "0…")
	}
	return "[" + strings.Join(parts, ", ") + "]", true
}

func formatMembers(members []btf.Member, b []byte, depth int) (string, bool) {
	var parts []string
	for _, m := range members {
		var text string
		ok := false
		at := int(m.Offset.Bytes())
		if m.BitfieldSize > 0 {
			text, ok = formatBits(m, b)
		} else if at <= len(b) {
			text, ok = formatValue(m.Type, b[at:], depth+1)
		}
		if !ok {
			return "", false
		}
		if m.Name != "" {
			text = m.Name + "=" + text
		}
		parts = append(parts, text)
	}
	return "{" + strings.Join(parts, " ") + "}", true
}

func formatBits(m btf.Member, b []byte) (string, bool) {
	var n uint64
	for i := range int(m.BitfieldSize) {
		bit := int(m.Offset) + i
		if bit/8 >= len(b) {
			return "", false
		}
		n |= uint64(b[bit/8]>>(bit%8)&1) << i
	}
	return fmt.Sprint(n), true
}

func formatSection(t *btf.Datasec, b []byte, depth int) (string, bool) {
	var parts []string
	for _, v := range t.Vars {
		if uint64(v.Offset)+uint64(v.Size) > uint64(len(b)) {
			return "", false
		}
		text, ok := formatValue(v.Type, b[v.Offset:v.Offset+v.Size], depth+1)
		if !ok {
			return "", false
		}
		parts = append(parts, v.Type.TypeName()+"="+text)
	}
	return "{" + strings.Join(parts, " ") + "}", true
}
