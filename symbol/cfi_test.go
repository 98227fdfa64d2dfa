package symbol

import (
	"bufio"
	"bytes"
	"fmt"
	"math/bits"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// readelfRegisters are the columns of readelf on x86-64.
var readelfRegisters = map[string]uint8{
	"rax": 0, "rdx": 1, "rcx": 2, "rbx": 3, "rsi": 4, "rdi": 5, "rbp": 6, "rsp": 7, "r8": 8, "r9": 9, "r10": 10, "r11": 11,
	"r12": 12, "r13": 13, "r14": 14, "r15": 15, "ra": 16,
}

// text is a rule as readelf prints it; it has one word for undefined and for none.
func (r cfiRule) text() string {
	switch r.kind {
	case cfiOffset:
		return fmt.Sprintf("c%+d", r.arg)
	case cfiValueOffset:
		return fmt.Sprintf("v%+d", r.arg)
	case cfiRegister:
		for name, column := range readelfRegisters {
			if int32(column) == r.arg {
				return name
			}
		}
	case cfiExpression:
		return "exp"
	case cfiValueExpression:
		return "vexp"
	}
	return "u"
}

// All rows of large libraries and of programs of each kind are as readelf has them.
func TestRowsAsReadelf(t *testing.T) {
	if _, err := exec.LookPath("readelf"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("needs readelf, on x86-64")
	}
	library := func(compiler, name string) string {
		out, err := exec.Command(compiler, "-print-file-name="+name).Output()
		path, err2 := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
		if err != nil || err2 != nil {
			t.Skipf("needs %s, for %s", compiler, name)
		}
		return path
	}
	noTable := []string{"-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-mavx"}
	for _, tt := range []struct {
		name  string
		path  func(t *testing.T) string
		debug bool
		every int // how many functions there are for each that is compared
	}{
		{name: "libc", path: func(*testing.T) string { return library("gcc", "libc.so.6") }},
		{name: "libstdc++", path: func(*testing.T) string { return library("g++", "libstdc++.so.6") }, every: 5},
		{name: "static", path: func(t *testing.T) string {
			return compile(t, "gcc", ".c", unwindProgram, "-O2", "-static-pie", "-fcf-protection", "-mavx")
		}},
		{name: "no index", path: func(t *testing.T) string {
			return compile(t, "gcc", ".c", unwindProgram, "-O2", "-Wl,--no-eh-frame-hdr", "-mavx")
		}},
		{name: ".debug_frame", debug: true, path: func(t *testing.T) string {
			return compile(t, "gcc", ".c", unwindProgram, append(noTable, "-gz=none")...)
		}},
		{name: ".debug_frame packed", debug: true, path: func(t *testing.T) string {
			return compile(t, "gcc", ".c", unwindProgram, append(noTable, "-gz=zlib")...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t)
			out, err := exec.Command("readelf", "--wide", "--debug-dump=frames-interp", path).Output()
			if len(out) == 0 {
				t.Fatal(err) // a status alone is a warning about something else
			}
			e, err := OpenELF(path)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			rows, debug := compareRows(t, out, e.object.im.callFrames(), max(tt.every, 1))
			if rows < 20 || (debug > 5) != tt.debug {
				t.Errorf("%d rows compared, %d of .debug_frame", rows, debug)
			}
		})
	}
}

// compareRows looks up each place of readelf's output, and counts how many there were.
func compareRows(t *testing.T, out []byte, f *cfi, every int) (rows, debug int) {
	var scratch cfiScratch
	var columns []string
	inside := false
	end := uint64(0)
	functions, wrong := 0, 0
	for in := bufio.NewScanner(bytes.NewReader(out)); in.Scan(); {
		words := strings.Fields(in.Text())
		switch {
		case len(words) == 0:
			inside = false
			continue
		case strings.Contains(in.Text(), " FDE "):
			pc := words[len(words)-1]
			_, last, _ := strings.Cut(pc, "..")
			end, _ = strconv.ParseUint(last, 16, 64)
			inside = functions%every == 0
			functions++
			continue
		case words[0] == "LOC":
			columns = words[1:]
			continue
		case !inside || len(words) != len(columns)+1:
			continue
		}
		loc, err := strconv.ParseUint(words[0], 16, 64)
		if err != nil || loc >= end {
			continue
		}
		row, _ := f.row(loc, &scratch)
		if row == nil {
			t.Errorf("%#x: no row for %v", loc, words)
			continue
		}
		rows++
		if row.debug {
			debug++
		}
		var got []string
		left := row.set
		for _, c := range columns {
			if c == "CFA" {
				cfa := "exp"
				for name, column := range readelfRegisters {
					if row.cfa.kind == cfiOffset && column == row.column {
						cfa = fmt.Sprintf("%s%+d", name, row.cfa.arg)
					}
				}
				got = append(got, cfa)
				continue
			}
			got = append(got, row.rules[readelfRegisters[c]].text())
			left &^= 1 << readelfRegisters[c]
		}
		for ; left != 0; left &= left - 1 {
			got = append(got, "and "+row.rules[bits.TrailingZeros64(left)].text())
		}
		if fmt.Sprint(got) != fmt.Sprint(words[1:]) {
			t.Errorf("%#x: %v\nreadelf has %v\nwe have     %v", loc, columns, words[1:], got)
			if wrong++; wrong > 10 {
				t.Fatal("…")
			}
		}
	}
	return rows, debug
}
