package ir

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// emitter turns machine form into instructions. Jumps have plain offsets instead of labels, so that loading a program
// has nothing to resolve but its calls.
type emitter struct {
	out    *Object
	starts map[*block]int // in raw instructions
	raw    int
	jumps  []pendingJump
}

type pendingJump struct {
	index, raw int
	to         *block
}

func (e *emitter) add(from inst, i asm.Instruction) {
	e.out.Instructions = append(e.out.Instructions, i)
	for range i.Width() {
		e.out.Spans = append(e.out.Spans, from.span)
		e.raw++
	}
}

func (e *emitter) jump(from inst, i asm.Instruction, to *block) {
	e.jumps = append(e.jumps, pendingJump{len(e.out.Instructions), e.raw, to})
	e.add(from, i)
}

// emit appends the functions to an object.
func emit(m *Module, funcs []*machineFunc) (*Object, error) {
	e := &emitter{out: &Object{}, starts: map[*block]int{}}
	for n, f := range funcs {
		first := len(e.out.Instructions)
		e.jumps = nil
		for i, b := range f.blocks {
			e.starts[b] = e.raw
			var next *block
			if i+1 < len(f.blocks) {
				next = f.blocks[i+1]
			}
			for _, x := range b.insts {
				e.inst(x, b, next)
			}
		}
		for _, j := range e.jumps {
			off := e.starts[j.to] - j.raw - 1
			if !fits16(int64(off)) {
				return nil, fmt.Errorf("function %s is too large: a jump over %d instructions", f.name, off)
			}
			e.out.Instructions[j.index].Offset = int16(off)
		}
		if len(funcs) > 1 {
			head := &e.out.Instructions[first]
			*head = btf.WithFuncMetadata(head.WithSymbol(f.name), funcInfo(m.Funcs[n]))
		}
	}
	return e.out, nil
}

// funcInfo is what the kernel asks of each function when a program has several.
func funcInfo(f *Func) *btf.Func {
	number := &btf.Int{Name: "u64", Size: 8, Encoding: btf.Unsigned}
	proto := &btf.FuncProto{Return: number}
	for i := range f.Params {
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("a%d", i), Type: number})
	}
	return &btf.Func{Name: f.Name, Type: proto, Linkage: btf.StaticFunc}
}

func (e *emitter) inst(i inst, b, next *block) {
	dst, src := asm.Register(max(i.dst, 0)), asm.Register(max(i.src, 0))
	size := asm.InvalidSize
	if i.size > 0 {
		size = loadSizes[i.size]
	}
	add := func(x asm.Instruction) { e.add(i, x) }
	switch i.op {
	case mMov:
		add(asm.Mov.Reg(dst, src))
	case mMovImm:
		switch {
		case fits32(i.imm):
			add(asm.Mov.Imm(dst, int32(i.imm)))
		case i.imm == int64(uint32(i.imm)):
			add(asm.Mov.Imm32(dst, int32(i.imm)))
		default:
			add(asm.LoadImm(dst, i.imm, asm.DWord))
		}
	case mMov32:
		add(asm.Mov.Reg32(dst, src))
	case mMovSX:
		add(asm.Instruction{OpCode: asm.OpCode(asm.ALU64Class).SetALUOp(movSX(i.imm)).SetSource(asm.RegSource), Dst: dst, Src: src})
	case mALU:
		if i.narrow {
			add(i.alu.Reg32(dst, src))
		} else {
			add(i.alu.Reg(dst, src))
		}
	case mALUImm:
		if i.narrow {
			add(i.alu.Imm32(dst, int32(i.imm)))
		} else {
			add(i.alu.Imm(dst, int32(i.imm)))
		}
	case mNeg:
		add(asm.Neg.Imm(dst, 0))
	case mSwap:
		add(asm.HostTo(asm.BE, dst, loadSizes[i.imm/8]))
	case mLoad:
		add(asm.LoadMem(dst, src, int16(i.off), size))
	case mLoadSX:
		add(asm.LoadMemSX(dst, src, int16(i.off), size))
	case mStore:
		add(asm.StoreMem(dst, int16(i.off), src, size))
	case mStoreImm:
		add(asm.Instruction{OpCode: asm.StoreImmOp(size), Dst: dst, Offset: int16(i.off), Constant: i.imm})
	case mAtomic:
		add(atomic(i.atomic, dst, src, size, i.off))
	case mCmpXchg:
		add(atomic(asm.CmpXchg, dst, src, size, i.off))
	case mFrame:
		add(asm.Mov.Reg(dst, asm.RFP))
		if i.imm != 0 {
			add(asm.Add.Imm(dst, int32(i.imm)))
		}
	case mMap:
		add(asm.LoadMapPtr(dst, 0).WithReference(i.sym))
	case mMapValue:
		add(asm.LoadMapValue(dst, 0, uint32(i.imm)).WithReference(i.sym))
	case mFunc:
		add(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: dst, Src: asm.PseudoFunc, Constant: -1}.WithReference(i.sym))
	case mCall:
		add(asm.BuiltinFunc(i.imm).Call())
	case mCallFunc:
		add(asm.Call.Label(i.sym))
	case mSet:
		add(asm.Mov.Imm(dst, int32(i.value)))
		x := e.compare(i)
		x.Offset = 1
		add(x)
		add(asm.Mov.Imm(dst, 0))
	case mClamp:
		skip := asm.Instruction{OpCode: asm.JLE.Op(asm.ImmSource), Dst: dst, Constant: i.imm, Offset: 1}
		add(skip)
		add(asm.Mov.Imm(dst, int32(i.imm)))
	case mJump:
		if b.succs[0] != next {
			e.jump(i, asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource)}, b.succs[0])
		}
	case mBranch:
		e.branch(i, b, next)
	case mExit:
		add(asm.Return())
	}
}

// atomic says which operation it is in Constant too: version 0.22 of the library forgets to encode it.
func atomic(op asm.AtomicOp, dst, src asm.Register, size asm.Size, off int64) asm.Instruction {
	i := op.Mem(dst, src, size, int16(off))
	i.Constant = int64(op >> 8)
	return i
}

func movSX(bits int64) asm.ALUOp {
	switch bits {
	case 8:
		return asm.MovSX8
	case 16:
		return asm.MovSX16
	}
	return asm.MovSX32
}

func (e *emitter) compare(i inst) asm.Instruction {
	class, source := asm.JumpClass, asm.ImmSource
	if i.narrow {
		class = asm.Jump32Class
	}
	x := asm.Instruction{Dst: asm.Register(i.src), Constant: i.imm}
	if i.src2 != noReg {
		source, x.Src, x.Constant = asm.RegSource, asm.Register(i.src2), 0
	}
	x.OpCode = asm.OpCode(class).SetJumpOp(i.cond).SetSource(source)
	return x
}

func (e *emitter) branch(i inst, b, next *block) {
	then, otherwise := b.succs[0], b.succs[1]
	if then == next && inverted(i.cond) != asm.InvalidJumpOp {
		i.cond = inverted(i.cond)
		then, otherwise = otherwise, then
	}
	e.jump(i, e.compare(i), then)
	if otherwise != next {
		e.jump(i, asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource)}, otherwise)
	}
}
