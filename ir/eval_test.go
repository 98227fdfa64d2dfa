package ir

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// A plain evaluator of the IR as the front end built it: what compiled programs are compared with.

type word struct {
	n   int64
	mem []byte // what n is an offset into, nil for scalars
}

type machine struct {
	m     *Module
	vals  map[string][]byte            // array maps of one element
	array map[string]map[uint32][]byte // maps that look-ups find
	steps int
}

func (m *machine) call(f *Func, args []word) int64 {
	slots := make([][]byte, len(f.Slots))
	for i, s := range f.Slots {
		slots[i] = make([]byte, s.Size)
	}
	env := map[*Value]word{}
	var from *Block
	for b := f.Blocks[0]; ; {
		var next *Block
		phis := map[*Value]word{}
		for _, v := range b.Values {
			if v.Op == OpPhi {
				phis[v] = env[v.Args[b.predIndex(from)]]
			}
		}
		for v, w := range phis {
			env[v] = w
		}
		for _, v := range b.Values {
			if m.steps++; m.steps > 1e6 {
				panic("endless")
			}
			switch v.Op {
			case OpPhi:
			case OpParam:
				env[v] = args[v.Aux]
			case OpSlot:
				env[v] = word{mem: slots[v.Slot.index]}
			case OpMapValue:
				env[v] = word{mem: m.vals[v.Sym], n: v.Aux}
			case OpMap, OpFuncAddr:
				env[v] = word{}
			case OpJump:
				next = b.Succs[0]
			case OpIf:
				next = b.Succs[1]
				if w := env[v.Args[0]]; w.n != 0 || w.mem != nil {
					next = b.Succs[0]
				}
			case OpReturn:
				if len(v.Args) == 0 {
					return 0
				}
				return env[v.Args[0]].n
			case OpCallFunc:
				var args []word
				for _, a := range v.Args {
					args = append(args, env[a])
				}
				for _, g := range m.m.Funcs {
					if g.Name == v.Sym {
						env[v] = word{n: m.call(g, args)}
					}
				}
			case OpCall:
				env[v] = m.helper(v, env)
			default:
				env[v] = m.step(v, env)
			}
		}
		from, b = b, next
	}
}

func (m *machine) helper(v *Value, env map[*Value]word) word {
	switch asm.BuiltinFunc(v.Aux) {
	case asm.FnMapLookupElem:
		key := env[v.Args[1]]
		return word{mem: m.array[v.Args[0].Sym][uint32(get(key, 0, 4))]}
	case asm.FnProbeReadKernel:
		dst, src := env[v.Args[0]], env[v.Args[2]]
		copy(dst.mem[dst.n:][:env[v.Args[1]].n], src.mem[src.n:])
		return word{}
	case asm.FnKtimeGetNs, asm.FnGetPrandomU32: // results are not to be used
		return word{}
	case asm.FnLoop:
		for i := range env[v.Args[0]].n {
			for _, g := range m.m.Funcs {
				if g.Name == v.Args[1].Sym && m.call(g, []word{{n: i}, env[v.Args[2]]}) != 0 {
					return word{n: i + 1}
				}
			}
		}
		return env[v.Args[0]]
	}
	panic("no helper " + fmt.Sprint(v.Aux))
}

func get(w word, off int64, size int) int64 {
	at := w.mem[w.n+off:]
	switch size {
	case 1:
		return int64(at[0])
	case 2:
		return int64(binary.LittleEndian.Uint16(at))
	case 4:
		return int64(binary.LittleEndian.Uint32(at))
	}
	return int64(binary.LittleEndian.Uint64(at))
}

func put(w word, off int64, size int, x int64) {
	for i := range size {
		w.mem[w.n+off+int64(i)] = byte(x >> (8 * i))
	}
}

func (m *machine) step(v *Value, env map[*Value]word) word {
	var a, b word
	if len(v.Args) > 0 {
		a = env[v.Args[0]]
	}
	if len(v.Args) > 1 {
		b = env[v.Args[1]]
	}
	switch v.Op {
	case OpAdd:
		if a.mem != nil {
			return word{a.n + b.n, a.mem}
		}
	case OpSub:
		if a.mem != nil {
			return word{a.n - b.n, a.mem}
		}
	case OpLoad:
		return word{n: get(a, v.Aux, v.Size)}
	case OpLoadS:
		return word{n: extend(get(a, v.Aux, v.Size), 8*v.Size)}
	case OpStore:
		put(a, v.Aux, v.Size, b.n)
		return word{}
	case OpZero:
		clear(a.mem[a.n+v.Aux:][:v.Aux2])
		return word{}
	case OpCopy:
		copy(a.mem[a.n:][:v.Aux2], b.mem[b.n:][:v.Aux2])
		return word{}
	case OpAtomicAdd, OpFetchAdd, OpAtomicOr, OpXchg, OpCmpXchg:
		old := get(a, v.Aux, v.Size)
		n := old + b.n
		switch v.Op {
		case OpAtomicOr:
			n = old | b.n
		case OpXchg:
			n = b.n
		case OpCmpXchg:
			n = old
			want := b.n
			if v.Size == 4 {
				want = int64(uint32(want))
			}
			if old == want {
				n = env[v.Args[2]].n
			}
		}
		put(a, v.Aux, v.Size, n)
		return word{n: old}
	case OpEq, OpNe:
		if a.mem != nil {
			return word{n: truth(v.Op == OpNe)}
		}
	}
	return word{n: evalScalar(v, a.n, b.n)}
}

func extend(x int64, n int) int64 { return x << (64 - n) >> (64 - n) }

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// evalScalar does not use the folding code of the passes, which is under test.
func evalScalar(v *Value, x, y int64) int64 {
	switch v.Op {
	case OpConst:
		return v.Aux
	case OpAdd:
		return x + y
	case OpSub:
		return x - y
	case OpMul:
		return x * y
	case OpUDiv:
		if y == 0 {
			return 0
		}
		return int64(uint64(x) / uint64(y))
	case OpUMod:
		if y == 0 {
			return x
		}
		return int64(uint64(x) % uint64(y))
	case OpSDiv:
		if y == 0 {
			return 0
		}
		return x / y
	case OpSMod:
		if y == 0 {
			return x
		}
		return x % y
	case OpAnd:
		return x & y
	case OpOr:
		return x | y
	case OpXor:
		return x ^ y
	case OpShl:
		return x << (y & 63)
	case OpShr:
		return int64(uint64(x) >> (y & 63))
	case OpSar:
		return x >> (y & 63)
	case OpNeg:
		return -x
	case OpZExt:
		return int64(uint64(x) << (64 - v.Aux) >> (64 - v.Aux))
	case OpSExt:
		return extend(x, int(v.Aux))
	case OpSwap:
		return int64(bits.ReverseBytes64(uint64(x)) >> (64 - v.Aux))
	case OpEq:
		return truth(x == y)
	case OpNe:
		return truth(x != y)
	case OpULt:
		return truth(uint64(x) < uint64(y))
	case OpULe:
		return truth(uint64(x) <= uint64(y))
	case OpSLt:
		return truth(x < y)
	case OpSLe:
		return truth(x <= y)
	case OpBound:
		if v.Sym == "" {
			return x & v.Aux
		}
		if uint64(x) > uint64(v.Aux) {
			return v.Aux
		}
		return x
	}
	panic("cannot evaluate " + v.text())
}
