package symbol

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asmTable makes a table of one CIE and one FDE, for the code from fuzzedAt to 256 bytes behind it.
func asmTable(debug bool, version byte, augmentation string, program []byte, encoding ...byte) []byte {
	var b []byte
	entry := func(id uint32, body []byte) {
		body = append(body, make([]byte, -len(body)&7)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(4+len(body)))
		b = binary.LittleEndian.AppendUint32(b, id)
		b = append(b, body...)
	}
	common := append([]byte{version}, augmentation...)
	common = append(common, 0)
	if version == 4 {
		common = append(common, 8, 0)
	}
	common = append(common, 1, 0x78, 16) // units of 1 and -8, return address in 16
	if strings.HasPrefix(augmentation, "z") {
		common = append(append(common, byte(len(encoding))), encoding...)
	}
	common = append(common, 0x0c, 7, 8, 0x80|16, 1) // def_cfa rsp+8, offset ra
	id := uint32(0)
	if debug {
		id = math.MaxUint32
	}
	entry(id, common)
	var fde []byte
	place := uint64(fuzzedAt + len(b) + 8)
	form := byte(0)
	if i := strings.IndexByte(augmentation, 'R'); i > 0 {
		form = encoding[len(encoding)-1]
	}
	start := uint64(fuzzedAt)
	if form&0x70 == 0x10 {
		start -= place
	}
	number := func(v uint64) {
		switch form & 0x0f {
		case 0x01, 0x09: // LEB128, as long as is needed for all
			for range 4 {
				fde = append(fde, byte(v)|0x80)
				v >>= 7
			}
			fde = append(fde, byte(v&0x7f))
		case 0x02, 0x0a:
			fde = binary.LittleEndian.AppendUint16(fde, uint16(v))
		case 0x03, 0x0b:
			fde = binary.LittleEndian.AppendUint32(fde, uint32(v))
		default:
			fde = binary.LittleEndian.AppendUint64(fde, v)
		}
	}
	number(start)
	number(256)
	if strings.HasPrefix(augmentation, "z") {
		fde = append(fde, 2, 0xaa, 0xbb) // to be read over
	}
	id = 0
	if !debug {
		id = uint32(len(b) + 4)
	}
	entry(id, append(fde, program...))
	return append(b, 0, 0, 0, 0)
}

// tableExpression is a program that makes rbx the value of an expression.
func tableExpression(code ...byte) []byte {
	return append([]byte{0x16, 3, byte(len(code))}, code...)
}

// The forms of tables: versions, augmentations, encodings of addresses.
func TestTableForms(t *testing.T) {
	program := []byte{0x41, 0x0e, 16, 0x80 | 6, 2} // after 1 byte: rsp+16, rbp saved
	for _, tt := range []struct {
		name         string
		debug        bool
		version      byte
		augmentation string
		encoding     []byte
		unusable     bool
	}{
		{name: "plain", version: 1},
		{name: "absolute", version: 1, augmentation: "zR", encoding: []byte{0x00}},
		{name: "relative, 4 bytes", version: 1, augmentation: "zR", encoding: []byte{0x1b}},
		{name: "relative, 8 bytes", version: 3, augmentation: "zR", encoding: []byte{0x1c}},
		{name: "relative, 2 bytes", version: 1, augmentation: "zR", encoding: []byte{0x1a}},
		{name: "4 bytes", version: 1, augmentation: "zR", encoding: []byte{0x03}},
		{name: "uleb", version: 1, augmentation: "zR", encoding: []byte{0x01}},
		{name: "sleb", version: 1, augmentation: "zR", encoding: []byte{0x09}},
		{name: "personality", version: 1, augmentation: "zPLR", encoding: []byte{0x9b, 1, 2, 3, 4, 0x1b, 0x1b}},
		{name: "signal", version: 1, augmentation: "zSR", encoding: []byte{0x1b}},
		{name: "unknown letter behind", version: 1, augmentation: "zRq", encoding: []byte{0x1b}},
		{name: "unknown without length", version: 1, augmentation: "q", unusable: true},
		{name: "indirect", version: 1, augmentation: "zR", encoding: []byte{0x9b}, unusable: true},
		{name: "of the function", version: 1, augmentation: "zR", encoding: []byte{0x4b}, unusable: true},
		{name: "debug 1", debug: true, version: 1},
		{name: "debug 3", debug: true, version: 3},
		{name: "debug 4", debug: true, version: 4},
		{name: "debug 9", debug: true, version: 9, unusable: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := asmTable(tt.debug, tt.version, tt.augmentation, program, tt.encoding...)
			mode := uint8(1)
			if tt.debug {
				mode = 2
			}
			var s cfiScratch
			f := fuzzedImage(b, mode, 0).callFrames()
			for _, at := range []struct {
				pc   uint64
				want string
			}{
				{fuzzedAt - 1, "none"}, {fuzzedAt, "rsp+8 ra=c-8"}, {fuzzedAt + 1, "rsp+16 rbp=c-16 ra=c-8"},
				{fuzzedAt + 255, "rsp+16 rbp=c-16 ra=c-8"}, {fuzzedAt + 256, "none"},
			} {
				row, _ := f.row(at.pc, &s)
				if tt.unusable {
					at.want = "none"
				}
				if got := rowText(row); got != at.want {
					t.Errorf("%#x: %s, want %s", at.pc, got, at.want)
				}
				if row != nil && row.signal != (tt.name == "signal") {
					t.Errorf("signal: %v", row.signal)
				}
			}
		})
	}
}

var x86Names = []string{
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "ra",
}

func rowText(r *cfiRow) string {
	if r == nil {
		return "none"
	}
	text := "exp"
	if r.cfa.kind == cfiOffset {
		text = x86Names[r.column] + strings.TrimPrefix(r.cfa.text(), "c")
	}
	for i, name := range x86Names {
		if r.set&(1<<i) != 0 {
			text += " " + name + "=" + r.rules[i].text()
		}
	}
	return text
}

// Instructions that compilers seldom write.
func TestRowInstructions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		program []byte
		want    string
	}{
		{"nothing", nil, "rsp+8 ra=c-8"},
		{"undefined", []byte{0x07, 3}, "rsp+8 rbx=u ra=c-8"},
		{"same value", []byte{0x83, 2, 0x08, 3}, "rsp+8 ra=c-8"},
		{"register", []byte{0x09, 3, 12}, "rsp+8 rbx=r12 ra=c-8"},
		{"offset extended", []byte{0x05, 3, 0x80, 0x01}, "rsp+8 rbx=c-1024 ra=c-8"},
		{"offset with sign", []byte{0x11, 3, 0x7f}, "rsp+8 rbx=c+8 ra=c-8"},
		{"offset of GNU", []byte{0x2f, 3, 2}, "rsp+8 rbx=c+16 ra=c-8"},
		{"value", []byte{0x14, 3, 1}, "rsp+8 rbx=v-8 ra=c-8"},
		{"value with sign", []byte{0x15, 3, 0x7e}, "rsp+8 rbx=v+16 ra=c-8"},
		{"frame with sign", []byte{0x12, 6, 0x7e}, "rbp+16 ra=c-8"},
		{"frame offset with sign", []byte{0x13, 0x7d}, "rsp+24 ra=c-8"},
		{"frame register", []byte{0x0d, 6}, "rbp+8 ra=c-8"},
		{"frame expression", []byte{0x0f, 2, 0x77, 8}, "exp ra=c-8"},
		{"restore", []byte{0x83, 2, 0x90, 5, 0xd0, 0xc3}, "rsp+8 ra=c-8"},
		{"restore extended", []byte{0x83, 2, 0x06, 3}, "rsp+8 ra=c-8"},
		{"remember", []byte{0x83, 2, 0x0a, 0x0e, 64, 0x83, 4, 0x0b}, "rsp+8 rbx=c-16 ra=c-8"},
		{"arguments", []byte{0x2e, 16, 0x83, 2}, "rsp+8 rbx=c-16 ra=c-8"},
		{"vector register", []byte{0x05, 0x41, 2}, "rsp+8 ra=c-8"},
		{"far", []byte{0x02, 250, 0x0e, 16, 0x03, 0, 1, 0x0e, 24}, "rsp+16 ra=c-8"},
		{"farther", []byte{0x04, 0, 0, 0, 0x80, 0x0e, 16}, "rsp+8 ra=c-8"},
		{"farthest", append([]byte{0x1d}, append(bytes.Repeat([]byte{0xff}, 8), 0x0e, 16)...), "rsp+8 ra=c-8"},
		{"location", []byte{0x01, 0xff, 0, 0, 1, 0, 0, 0, 0, 0x0e, 16}, "rsp+8 ra=c-8"},
		{"restore of nothing", []byte{0x0b}, "none"},
		{"too deep", bytes.Repeat([]byte{0x0a}, maxRemembered+1), "none"},
		{"unknown", []byte{0x3f}, "none"},
		{"cut off", []byte{0x0c, 0x87}, "none"},
		{"frame of no register", []byte{0x0c, 99, 8}, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := asmTable(false, 1, "", tt.program)
			if tt.name == "cut off" {
				b = b[:len(b)-4-(-(16+len(tt.program))&7)]
				binary.LittleEndian.PutUint32(b[24:], uint32(len(b)-28))
			}
			var s cfiScratch
			row, _ := fuzzedImage(b, 1, 0).callFrames().row(fuzzedAt+251, &s)
			if d := cmp.Diff(tt.want, rowText(row)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// Expressions begin with 1000 as the operand; rbx is 40, the stack at 5000 begins with the bytes 1 to 16.
func TestExpressions(t *testing.T) {
	for _, tt := range []struct {
		name string
		code []byte
		want uint64
		err  UnwindError
	}{
		{name: "nothing", want: 1000},
		{name: "literal", code: []byte{0x30 + 31}, want: 31},
		{name: "register", code: []byte{0x70 + 3, 0x7f}, want: 39},
		{name: "register by number", code: []byte{0x92, 3, 2}, want: 42},
		{name: "unknown register", code: []byte{0x92, 4, 2}, err: UnwindUnknownRegister},
		{name: "address", code: []byte{0x03, 1, 0, 0, 0, 0, 0, 0, 0}, want: 7001},
		{name: "load", code: []byte{0x0a, 0x88, 0x13, 0x06}, want: 0x0807060504030201},
		{name: "load 2", code: []byte{0x0a, 0x88, 0x13, 0x94, 2}, want: 0x0201},
		{name: "load elsewhere", code: []byte{0x06}, err: UnwindStackShort},
		{name: "constants", code: []byte{0x08, 200, 0x09, 0x80, 0x22, 0x0b, 0xff, 0xff, 0x22, 0x0c, 1, 0, 0, 0, 0x22, 0x0d, 0xff, 0xff, 0xff, 0xff, 0x22}, want: 71},
		{name: "long constants", code: []byte{0x0e, 5, 0, 0, 0, 0, 0, 0, 0, 0x0f, 255, 255, 255, 255, 255, 255, 255, 255, 0x22, 0x10, 0x80, 1, 0x22, 0x11, 0x7e, 0x22}, want: 130},
		{name: "dup drop over pick swap", code: []byte{0x31, 0x12, 0x13, 0x14, 0x15, 1, 0x16, 0x1c}, want: math.MaxUint64 - 998},
		{name: "rotate", code: []byte{0x31, 0x32, 0x33, 0x17, 0x1c}, want: math.MaxUint64},
		{name: "arithmetic", code: []byte{0x33, 0x1b, 0x37, 0x1d, 0x39, 0x1e, 0x1f, 0x19, 0x20, 0x1f}, want: 37},
		{name: "bits", code: []byte{0x32, 0x24, 0x31, 0x21, 0x33, 0x27, 0x31, 0x25, 0x08, 0xff, 0x1a}, want: 0xd1},
		{name: "shift with sign", code: []byte{0x09, 0x80, 0x32, 0x26}, want: 1<<64 - 32},
		{name: "shift away", code: []byte{0x08, 200, 0x24}, want: 0},
		{name: "compare", code: []byte{0x09, 0xff, 0x30, 0x2d, 0x31, 0x31, 0x29, 0x22, 0x31, 0x32, 0x2e, 0x22, 0x31, 0x32, 0x2b, 0x22, 0x31, 0x31, 0x2a, 0x22, 0x31, 0x31, 0x2c, 0x22}, want: 5},
		{name: "branch", code: []byte{0x31, 0x28, 1, 0, 0x3f, 0x35, 0x22}, want: 1005},
		{name: "no branch", code: []byte{0x30, 0x28, 1, 0, 0x13, 0x35}, want: 5},
		{name: "skip", code: []byte{0x2f, 1, 0, 0x3f, 0x96}, want: 1000},
		{name: "for ever", code: []byte{0x2f, 0xfd, 0xff}, err: UnwindBadTable},
		{name: "out", code: []byte{0x2f, 0x70, 0xff}, err: UnwindBadTable},
		{name: "division by 0", code: []byte{0x30, 0x1b}, err: UnwindBadTable},
		{name: "rest by 0", code: []byte{0x30, 0x1d}, err: UnwindBadTable},
		{name: "least by -1", code: []byte{0x0f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b}, want: 1 << 63},
		{name: "too few", code: []byte{0x13, 0x13}, err: UnwindBadTable},
		{name: "too many", code: bytes.Repeat([]byte{0x30}, maxOperands), err: UnwindBadTable},
		{name: "unknown", code: []byte{0xff}, err: UnwindBadTable},
		{name: "cut off", code: []byte{0x0e, 1}, err: UnwindBadTable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &frameWalk{arch: &x86, stack: UserStack{Addr: 5000}}
			for i := range 16 {
				w.stack.Bytes = append(w.stack.Bytes, byte(i+1))
			}
			w.now.stack = &w.stack
			w.now.set(3, 40)
			first := uint64(1000)
			got, err := w.evaluate(tt.code, 7000, &first)
			if err != tt.err || err == unwindOn && got != tt.want {
				t.Errorf("%d (%#x), %v", got, got, err)
			}
		})
	}
}

// On arm64 the return address is in a register until a function saves it, signed.
func TestUnwindLinkRegister(t *testing.T) {
	b := asmTable(false, 1, "", []byte{0x44, 0x2d, 0x0e, 32, 0x9d, 4, 0x9e, 3}) // at 4: signed, sp+32, x29 and x30 saved
	copy(b[12:], []byte{30, 0x0c, 31, 0, 0, 0})                                 // at 0: sp+0, and x30 as it is
	f := fuzzedImage(b, 4|1, 0).callFrames()
	stack := make([]byte, 64)
	binary.LittleEndian.PutUint64(stack, 5040)
	binary.LittleEndian.PutUint64(stack[8:], 0x123<<52|fuzzedAt+60)
	r := Registers{Machine: aarch64.machine, Known: 1<<33 - 1}
	r.Value[aarch64.ip], r.Value[aarch64.sp], r.Value[30] = fuzzedAt+2, 5000, fuzzedAt+20
	var w frameWalk
	w.start(&aarch64, &r, UserStack{5000, stack})
	var got []uint64
	var err UnwindError
	for err == unwindOn {
		got = append(got, w.ip()-fuzzedAt, w.now.value[aarch64.sp], w.now.value[aarch64.fp])
		row, _ := f.row(w.place(), &w.scratch)
		if row == nil {
			t.Fatal("no row")
		}
		err = w.byRow(row, &f.expressions, 0)
	}
	if d := cmp.Diff([]uint64{2, 5000, 0, 20, 5000, 0, 60, 5032, 5040}, got); d != "" || err != unwindDone {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
}

func TestKernelRegisters(t *testing.T) {
	b := make([]byte, 34*8)
	for i := range 34 {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(i))
	}
	x, err := KernelRegisters(x86.machine, b)
	if err != nil || x.Value[x86.ip] != 16 || x.Value[x86.sp] != 19 || x.Value[x86.fp] != 4 || x.Value[3] != 5 || x.Known != 1<<17-1 {
		t.Errorf("%v, %v", x, err)
	}
	a, err := KernelRegisters(aarch64.machine, b)
	if err != nil || a.Value[aarch64.ip] != 32 || a.Value[aarch64.sp] != 31 || a.Value[aarch64.fp] != 29 || a.Known != 1<<33-1 {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := KernelRegisters(x86.machine, b[:100]); err == nil {
		t.Error("100 bytes were enough")
	}
	if _, err := KernelRegisters(3, b); err == nil {
		t.Error("80386 is known")
	}
}
