package schema

import (
	"math"
	"strconv"
	"strings"
)

// NameTable says how a value of the kind Names is shown: as the names of its parts, one behind the other. String writes it, for
// Type.Format, and ParseNames reads it.
type NameTable struct {
	Names []MaskedName
	// Other stands for a value that has no name under the last mask; "" for nothing.
	Other string
}

// MaskedName is the name of values whose bits under Mask, which is not 0, are Value.
type MaskedName struct {
	Mask, Value uint64
	Name        string
}

func (t *NameTable) String() string {
	var b strings.Builder
	for _, n := range t.Names {
		b.WriteString(strconv.FormatUint(n.Mask, 16) + " " + strconv.FormatUint(n.Value, 16) + " " + n.Name + "\x00")
	}
	return b.String() + t.Other
}

// ParseNames reads what String wrote.
func ParseNames(s string) *NameTable {
	t := &NameTable{}
	for {
		line, rest, ok := strings.Cut(s, "\x00")
		if !ok {
			t.Other = s
			return t
		}
		s = rest
		mask, line, _ := strings.Cut(line, " ")
		value, name, _ := strings.Cut(line, " ")
		n := MaskedName{Name: name}
		n.Mask, _ = strconv.ParseUint(mask, 16, 64)
		n.Value, _ = strconv.ParseUint(value, 16, 64)
		t.Names = append(t.Names, n)
	}
}

// Append appends the names of v. A value without any is shown as a number, with its sign where names are for all bits. A | at the beginning is left out, so that each name may
// begin with one.
func (t *NameTable) Append(dst []byte, v uint64) []byte {
	start, last := len(dst), false
	for _, n := range t.Names {
		if n.Mask != 0 && v&n.Mask == n.Value {
			dst = append(dst, n.Name...)
			last = last || n.Mask == t.Names[len(t.Names)-1].Mask
		}
	}
	if len(dst) > start+1 && dst[start] == '|' {
		dst = append(dst[:start], dst[start+1:]...)
	}
	if !last && t.Other != "" {
		dst = append(dst, t.Other...)
	}
	if len(dst) == start {
		if len(t.Names) > 0 && t.Names[len(t.Names)-1].Mask == math.MaxUint64 {
			return strconv.AppendInt(dst, int64(v), 10)
		}
		dst = strconv.AppendUint(dst, v, 10)
	}
	return dst
}
