package symbol

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strconv"
	"strings"
)

// USDT is a probe that a program's author has put into it: an instruction that does nothing, and a note that says where it stands and where
// the probe's arguments are then.
type USDT struct {
	Provider, Name string
	// Offset is where the instruction lies in the file, Semaphore where the 16 bits do that count who watches; 0 if there are none.
	Offset, Semaphore uint64
	Args              []USDTArg
	// Text is the arguments as the note has them.
	Text string
}

// USDTArg says where an argument is: a constant, a register, or memory at Register + Index*Scale + Value.
type USDTArg struct {
	Size   int // bytes: 1, 2, 4 or 8
	Signed bool
	Memory bool
	// Register is "" for a constant, which is Value then; it and Index are named as pt_regs has them, "ax" or "r8", "pc" for the
	// probe's own address.
	Register, Index string
	Scale           int64
	Value           int64
	// Unknown says why the argument cannot be read.
	Unknown string
}

const (
	usdtOwner   = "stapsdt"
	usdtNote    = 3
	usdtSection = ".note.stapsdt"
	usdtBase    = ".stapsdt.base"
	// maxUSDTNotes bounds the notes of a file: those of a big library are a few hundred kB.
	maxUSDTNotes = 16 << 20
)

// USDTs lists the probes that the file's author has put into it. A name may come several times: at each place that the compiler has made
// of one.
func (e *ELF) USDTs() ([]USDT, error) {
	im := e.object.im
	s := im.named(usdtSection)
	if s == nil || !im.wide {
		return nil, nil
	}
	notes, err := im.bytes(s.off, min(s.size, maxUSDTNotes))
	if err != nil {
		return nil, fmt.Errorf("%s: reading %s: %w", e.path, usdtSection, err)
	}
	var moved uint64 // of the whole file, by prelink
	base := im.named(usdtBase)
	var all []USDT
	for len(notes) >= 12 {
		nameSize, descSize, kind := uint64(im.order.Uint32(notes)), uint64(im.order.Uint32(notes[4:])), im.order.Uint32(notes[8:])
		from := 12 + (nameSize+3)&^3
		to := from + descSize
		if nameSize > maxUSDTNotes || descSize > maxUSDTNotes || to > uint64(len(notes)) {
			return nil, fmt.Errorf("%s: %s is cut short", e.path, usdtSection)
		}
		owner, desc := string(bytes.TrimRight(notes[12:12+nameSize], "\x00")), notes[from:to]
		notes = notes[min(uint64(len(notes)), from+(descSize+3)&^3):]
		if owner != usdtOwner || kind != usdtNote || len(desc) < 24 {
			continue
		}
		addr, linkedBase, semaphore := im.order.Uint64(desc), im.order.Uint64(desc[8:]), im.order.Uint64(desc[16:])
		if base != nil && linkedBase != 0 {
			moved = base.addr - linkedBase
		}
		texts := bytes.SplitN(desc[24:], []byte{0}, 4)
		if len(texts) < 3 {
			continue
		}
		u := USDT{Provider: string(texts[0]), Name: string(texts[1]), Text: string(texts[2])}
		offset, ok := im.offset(addr + moved)
		if !ok {
			continue
		}
		u.Offset = offset
		if semaphore != 0 {
			if u.Semaphore, ok = im.offset(semaphore + moved); !ok {
				continue
			}
		}
		u.Args = e.usdtArgs(u.Text, addr+moved)
		all = append(all, u)
	}
	return all, nil
}

// usdtArgs reads what the assembler has made of the arguments: "-4@%eax 8@$17 1@-8(%rbp,%rax,2)" on amd64, "8@x0 4@[sp, 12]" on arm64.
func (e *ELF) usdtArgs(text string, at uint64) []USDTArg {
	var all []USDTArg
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := len(text)
		depth := 0
	scan:
		for i, c := range text {
			switch c {
			case '[', '(':
				depth++
			case ']', ')':
				depth--
			case ' ':
				if depth <= 0 {
					end = i
					break scan
				}
			}
		}
		all = append(all, e.usdtArg(text[:end], at))
		text = text[end:]
	}
	return all
}

func (e *ELF) usdtArg(text string, at uint64) USDTArg {
	unknown := USDTArg{Unknown: fmt.Sprintf("it is not known how to read %q", text)}
	size, where, ok := strings.Cut(text, "@")
	if !ok {
		size, where = "8", text
	}
	n, err := strconv.Atoi(size)
	if err != nil { // 8f for floating point
		return unknown
	}
	a := USDTArg{Size: max(n, -n), Signed: n < 0}
	switch a.Size {
	case 1, 2, 4, 8:
	default:
		return unknown
	}
	if e.object.im.machine == elf.EM_AARCH64 {
		ok = a.arm64(where)
	} else if e.object.im.machine == elf.EM_X86_64 {
		ok = a.amd64(where, e, at)
	} else {
		ok = false
	}
	if !ok {
		return unknown
	}
	return a
}

func (a *USDTArg) amd64(where string, e *ELF, at uint64) bool {
	if number, ok := strings.CutPrefix(where, "$"); ok {
		return a.number(number)
	}
	if register, ok := strings.CutPrefix(where, "%"); ok {
		a.Register, ok = amd64USDTRegister(register)
		return ok
	}
	offset, inside, ok := strings.Cut(strings.TrimSuffix(where, ")"), "(")
	if !ok || !strings.HasSuffix(where, ")") {
		return false
	}
	a.Memory, a.Scale = true, 1
	parts := strings.Split(inside, ",")
	register, ok := strings.CutPrefix(parts[0], "%")
	if !ok {
		return false
	}
	if register == "rip" {
		return len(parts) == 1 && a.beside(offset, e, at)
	}
	if a.Register, ok = amd64USDTRegister(register); !ok {
		return false
	}
	if len(parts) > 1 {
		index, isRegister := strings.CutPrefix(parts[1], "%")
		if a.Index, ok = amd64USDTRegister(index); !ok || !isRegister {
			return false
		}
	}
	if len(parts) > 2 {
		if a.Scale, _ = strconv.ParseInt(parts[2], 0, 8); a.Scale == 0 {
			return false
		}
	}
	return offset == "" || a.number(offset)
}

// beside finds the variable that an operand such as name+8(%rip) means: at a distance from the probe that does not change when the file is
// loaded somewhere.
func (a *USDTArg) beside(offset string, e *ELF, at uint64) bool {
	name, more := offset, int64(0)
	if i := strings.LastIndexAny(offset, "+-"); i > 0 {
		n, err := strconv.ParseInt(offset[i:], 0, 64)
		if err != nil {
			return false
		}
		name, more = offset[:i], n
	}
	v, err := e.LookupVariable(name)
	if err != nil {
		return false
	}
	a.Register, a.Value = "pc", int64(v.Addr-at)+more
	return true
}

func (a *USDTArg) arm64(where string) bool {
	inside, memory := strings.CutPrefix(strings.TrimSuffix(where, "]"), "[")
	if !memory {
		if register, ok := arm64USDTRegister(where); ok {
			a.Register = register
			return true
		}
		return a.number(strings.TrimPrefix(where, "#"))
	}
	a.Memory, a.Scale = true, 1
	register, offset, _ := strings.Cut(inside, ",")
	var ok bool
	if a.Register, ok = arm64USDTRegister(strings.TrimSpace(register)); !ok {
		return false
	}
	offset = strings.TrimPrefix(strings.TrimSpace(offset), "#")
	if index, ok := arm64USDTRegister(offset); ok {
		a.Index = index
		return true
	}
	return offset == "" || a.number(offset)
}

func (a *USDTArg) number(text string) bool {
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(text, 0, 64)
		n, err = int64(u), uerr
	}
	a.Value = n
	return err == nil
}

// amd64USDTRegister is the name of the whole register that a part of it is called by: eax and al are of ax.
func amd64USDTRegister(name string) (string, bool) {
	switch name {
	case "rip", "eip":
		return "pc", true
	case "al", "bl", "cl", "dl":
		return name[:1] + "x", true
	}
	if rest, ok := strings.CutPrefix(name, "r"); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		n, err := strconv.Atoi(strings.TrimRight(rest, "dwb"))
		return "r" + strconv.Itoa(n), err == nil && n >= 8 && n <= 15
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "r"), "e")
	switch name {
	case "ax", "bx", "cx", "dx", "si", "di", "bp", "sp":
		return name, true
	case "sil", "dil", "bpl", "spl":
		return name[:2], true
	}
	return "", false
}

func arm64USDTRegister(name string) (string, bool) {
	switch name {
	case "sp", "wsp":
		return "sp", true
	case "":
		return "", false
	}
	n, err := strconv.Atoi(name[1:])
	return "r" + strconv.Itoa(n), err == nil && (name[0] == 'x' || name[0] == 'w') && n >= 0 && n <= 30
}
