package probe

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseFormat reads a format file of tracefs.
func ParseFormat(text string) (*Format, error) {
	f := &Format{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if id, ok := strings.CutPrefix(line, "ID: "); ok {
			f.ID, _ = strconv.Atoi(id)
		}
		if p, ok := strings.CutPrefix(line, "print fmt: "); ok {
			f.Print = p
		}
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "field:")
		if !ok {
			continue
		}
		field, err := parseFormatField(rest)
		if err != nil {
			return nil, fmt.Errorf("format line %q: %w", line, err)
		}
		if !strings.HasPrefix(field.Name, "common_") {
			f.Fields = append(f.Fields, field)
		}
	}
	return f, nil
}

// parseFormatField reads "const char * filename;\toffset:16;\tsize:8;\tsigned:0;".
func parseFormatField(s string) (FormatField, error) {
	var f FormatField
	decl, attrs, _ := strings.Cut(s, ";")
	for attr := range strings.SplitSeq(attrs, ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(attr), ":")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return f, err
		}
		switch key {
		case "offset":
			f.Offset = n
		case "size":
			f.Size = n
		case "signed":
			f.Signed = n != 0
		}
	}
	decl = strings.TrimSpace(decl)
	if i := strings.LastIndexByte(decl, '['); i >= 0 && strings.HasSuffix(decl, "]") && !strings.HasSuffix(decl[:i], "]") {
		inner := decl[i+1 : len(decl)-1]
		if name := decl[:i]; strings.ContainsAny(name, " *") && !strings.HasPrefix(decl, "__data_loc") && !strings.HasPrefix(decl, "__rel_loc") {
			f.Array, _ = strconv.Atoi(inner)
			decl = name
			if f.Array == 0 && inner != "" {
				f.Array = -1 // a constant's name: the length follows from the sizes
			}
		}
	}
	i := strings.LastIndexAny(decl, " *]")
	if i < 0 {
		return f, fmt.Errorf("no type")
	}
	f.Type, f.Name = strings.TrimSpace(decl[:i+1]), decl[i+1:]
	return f, nil
}
