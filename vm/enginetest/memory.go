package enginetest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/memory"
)

// memoryOffsets are those of accesses, from the middle of a block of memoryBlock bytes on.
var memoryOffsets = []int16{0, 8, -8, 1, 127, 128, -128, -129, 2040, -2048}

const memoryBlock = 8192

// pattern is what the block is filled with, so that each byte differs from its neighbours and many are negative.
func pattern(i int) byte { return byte(i*37 + i>>8 + 0x81) }

// memoryTest is a block in whose middle accesses happen, and registers.
type memoryTest struct {
	*registers
	block *memory.Block
}

// Memory runs each load and store with all registers and some offsets.
func (e Engine) Memory(t *testing.T, few bool) {
	for _, checked := range []bool{false, true} {
		m := newMemoryTest(t, checked)
		for _, size := range []int{1, 2, 4, 8} {
			t.Run(fmt.Sprintf("%d bytes, checked %v", size, checked), func(t *testing.T) {
				for dst := range uint8(11) {
					for src := range uint8(11) {
						off := memoryOffsets[int(dst*3+src)%len(memoryOffsets)]
						if few && (dst+2*src)%5 != 0 {
							continue
						}
						if dst < 10 {
							m.access(t, e, Load(size, dst, src, off), src, false)
							if size < 8 {
								m.access(t, e, LoadSigned(size, dst, src, off), src, false)
							}
						}
						if src < 10 {
							m.access(t, e, Store(size, dst, off, Reg(src)), dst, false)
						}
					}
					for i, k := range immediates {
						m.access(t, e, Store(size, dst, memoryOffsets[i%len(memoryOffsets)], K(k)), dst, false)
					}
				}
			})
		}
	}
}

// Atomics does the same with atomic instructions.
func (e Engine) Atomics(t *testing.T, few bool) {
	ops := []int32{code.ADD, code.OR, code.AND, code.XOR, code.ADD | code.AtomicFetch, code.OR | code.AtomicFetch, code.AND | code.AtomicFetch,
		code.XOR | code.AtomicFetch, code.AtomicXchg, code.AtomicCmp, code.AtomicLoad, code.AtomicStore}
	for _, checked := range []bool{false, true} {
		m := newMemoryTest(t, checked)
		for _, op := range ops {
			t.Run(fmt.Sprintf("%#x, checked %v", op, checked), func(t *testing.T) {
				for _, size := range []int{1, 2, 4, 8} {
					for dst := range uint8(11) {
						for src := range uint8(11) {
							if few && (dst+2*src)%5 != 0 {
								continue
							}
							in := Atomic(size, op, dst, []int16{0, 8, -128, 1024}[(dst+src)&3], src)
							base := dst
							if op == code.AtomicLoad {
								base = src
							}
							m.access(t, e, in, base, false)
							m.access(t, e, in, base, true)
						}
					}
				}
			})
		}
	}
}

func newMemoryTest(t *testing.T, checked bool) *memoryTest {
	th := NewThread(t, checked)
	m := &memoryTest{&registers{th, th.Stack.Bytes()[:512]}, NewBlock(t, memoryBlock)}
	if checked {
		th.Space.Add(memory.Region{Base: m.block.Base(), Size: memoryBlock, Name: "block"})
	}
	return m
}

// at is the bytes that the instruction accesses.
func (m *memoryTest) at(in code.Insn, base uint8, size int) []byte {
	if base == 10 {
		return m.frame[512+int(in.Off):][:size]
	}
	return m.block.Bytes()[memoryBlock/2+int(in.Off):][:size]
}

// access runs one instruction, whose address is in the register base. If it shall match, memory holds what a compare-and-exchange waits
// for.
func (m *memoryTest) access(t *testing.T, e Engine, in code.Insn, base uint8, matches bool) {
	t.Helper()
	if base == 10 {
		if in.Off = -8 * (23 + in.Off&3); in.Class() == code.ClassSTX && in.Mode() == code.ModeATOMIC {
			in.Off &^= 7
		}
	}
	if err := Program(0, in, Exit()).Check(code.Raw); err != nil {
		return // such as an atomic addition of bytes
	}
	image, err := e.New(m.program(in), nil, m.thread.Space != nil)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	for i := range m.block.Bytes() {
		m.block.Bytes()[i] = pattern(i)
	}
	for i := range m.frame[:300] {
		m.frame[i] = pattern(i)
	}
	for i := range 10 {
		binary.NativeEndian.PutUint64(m.slot(before, i), uint64(i+1)*0xfedcba9876543211)
	}
	if base < 10 {
		binary.NativeEndian.PutUint64(m.slot(before, int(base)), m.block.Base()+memoryBlock/2)
	}
	if matches && base != 0 {
		copy(m.slot(before, 0), m.at(in, base, in.Bytes()))
	}
	var regs [11]uint64
	for i := range 10 {
		regs[i] = binary.NativeEndian.Uint64(m.slot(before, i))
	}
	regs[10] = m.thread.Stack.Base() + 512
	place := m.at(in, base, in.Bytes())
	want := slices.Clone(place)
	expectAccess(in, want, &regs)
	if _, err := image.Run(m.thread, 0, engine.Args{}); err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	if !slices.Equal(place, want) {
		t.Fatalf("%+v: in memory are % x, not % x", in, place, want)
	}
	for i := range 10 {
		if got := binary.NativeEndian.Uint64(m.slot(after, i)); got != regs[i] {
			t.Fatalf("%+v: r%d is %#x, not %#x", in, i, got, regs[i])
		}
	}
	for i, b := range m.block.Bytes() {
		if off := i - memoryBlock/2 - int(in.Off); b != pattern(i) && (off < 0 || off >= in.Bytes()) {
			t.Fatalf("%+v: the byte %d away has changed", in, off)
		}
	}
}

// expectAccess does to bytes and registers what the instruction must do.
func expectAccess(in code.Insn, place []byte, regs *[11]uint64) {
	old := get(place)
	bits := uint(len(place)) * 8
	dst, src := &regs[in.Dst()], &regs[in.Src()]
	switch in.Class() | in.Mode() {
	case code.ClassLDX | code.ModeMEM:
		*dst = old
	case code.ClassLDX | code.ModeMEMSX:
		*dst = low(signed(num().SetUint64(old), bits), 64).Uint64()
	case code.ClassSTX | code.ModeMEM:
		put(place, *src)
	case code.ClassST | code.ModeMEM:
		put(place, uint64(int64(in.Imm)))
	case code.ClassSTX | code.ModeATOMIC:
		switch in.Imm &^ code.AtomicFetch {
		case code.ADD:
			put(place, old+*src)
		case code.OR:
			put(place, old|*src)
		case code.AND:
			put(place, old&*src)
		case code.XOR:
			put(place, old^*src)
		case code.AtomicXchg &^ 1:
			put(place, *src)
		case code.AtomicCmp &^ 1:
			if regs[0]<<(64-bits) == old<<(64-bits) {
				put(place, *src)
			}
			regs[0] = old
			return
		case code.AtomicLoad:
			*dst = old
			return
		case code.AtomicStore:
			put(place, *src)
			return
		}
		if in.Imm&code.AtomicFetch != 0 {
			*src = old
		}
	}
}

// get and put are a number of the machine's byte order.
func get(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func put(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	default:
		binary.NativeEndian.PutUint64(b, v)
	}
}
