package tools

import (
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Pack writes all scripts as the build tag packed embeds them, each compressed by itself, so that a tool pays for its own script alone.
// It is for make, whose binary is smaller by it; everything else has the scripts as they are.
//
// The name and the compressed text of each follow on each other, both behind their length.
func Pack(w io.Writer) error {
	for _, name := range scriptNames() {
		text, _ := scriptText(name)
		var b strings.Builder
		f, err := flate.NewWriter(&b, flate.BestCompression)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return fmt.Errorf("compressing %s: %w", name, err)
		}
		for _, part := range []string{name, b.String()} {
			if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(part))), part...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachPacked calls f with each script until it returns false.
func eachPacked(packed string, f func(name, compressed string) bool) {
	next := func() (part string) {
		n, k := binary.Uvarint([]byte(packed[:min(len(packed), binary.MaxVarintLen64)]))
		part, packed = packed[k:k+int(n)], packed[k+int(n):]
		return part
	}
	for len(packed) > 0 {
		if name := next(); !f(name, next()) {
			return
		}
	}
}

func packedNames(packed string) (names []string) {
	eachPacked(packed, func(name, _ string) bool {
		names = append(names, name)
		return true
	})
	return names
}

func unpack(packed, name string) (text string, ok bool) {
	eachPacked(packed, func(have, compressed string) bool {
		if have != name {
			return true
		}
		all, err := io.ReadAll(flate.NewReader(strings.NewReader(compressed)))
		if err != nil {
			panic(err) // it is part of the binary
		}
		text, ok = string(all), true
		return false
	})
	return text, ok
}
