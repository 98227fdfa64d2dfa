package ir

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// readModule returns the module of a text as [Module.String] prints it.
func readModule(name, text string) (m *Module, err error) {
	r := &reader{m: NewModule(name), slots: map[string]*Slot{}}
	defer func() {
		if x := recover(); x != nil {
			e, ok := x.(readError)
			if !ok {
				panic(x)
			}
			m, err = nil, fmt.Errorf("%s:%d: %w", name, r.line, e.error)
		}
	}()
	for line := range strings.Lines(text) {
		r.line++
		line, note, _ := strings.Cut(line, ";")
		r.statement(strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ").Replace(line)), strings.TrimSpace(note))
	}
	r.endFunc()
	return r.m, nil
}

type readError struct{ error }

type reader struct {
	m      *Module
	f      *Func
	b      *Block
	line   int
	values map[string]*Value
	leaves map[string]*Value
	blocks map[string]*Block
	slots  map[string]*Slot
	uses   []pendingUse
	ends   []pendingEnd
}

// pendingUse is an operand that may stand before its definition.
type pendingUse struct {
	at   **Value
	name string
	line int
}

// pendingEnd is a block's list of successors, and perhaps of predecessors.
type pendingEnd struct {
	b            *Block
	succs, preds []string
}

func (r *reader) fail(format string, args ...any) {
	panic(readError{fmt.Errorf(format, args...)})
}

func (r *reader) need(words []string, n int) {
	if len(words) < n {
		r.fail("something is missing")
	}
}

func (r *reader) number(s string) int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		r.fail("%q is no number", s)
	}
	return n
}

func find[T ~uint8](names []string, s string) (T, bool) {
	for i, n := range names {
		if n == s {
			return T(i), true
		}
	}
	return 0, false
}

func (r *reader) statement(words []string, note string) {
	switch {
	case len(words) == 0:
	case words[0] == "func":
		r.beginFunc(words[1:])
	case r.f == nil:
		r.fail("no function yet")
	case words[0] == "slot":
		r.need(words, 5)
		where, ok := find[Where](whereNames[:], words[4])
		if !ok {
			r.fail("%q is no place of a slot", words[4])
		}
		s := r.f.NewSlot(words[1], int(r.number(words[2])), int(r.number(words[3])), where)
		s.Whole = len(words) > 5
		r.slots[s.Name] = s
	case strings.HasSuffix(words[0], ":"):
		r.b = r.block(strings.TrimSuffix(words[0], ":"))
		r.f.Blocks = append(r.f.Blocks, r.b)
		e := pendingEnd{b: r.b}
		if len(words) > 2 {
			e.preds = words[2:]
		}
		r.ends = append(r.ends, e)
	case r.b == nil:
		r.fail("no block yet")
	default:
		r.value(words).Note = note
	}
}

func (r *reader) beginFunc(words []string) {
	r.endFunc()
	r.need(words, 1)
	r.f = &Func{Module: r.m, Name: words[0]}
	r.m.Funcs = append(r.m.Funcs, r.f)
	r.b, r.uses, r.ends = nil, nil, nil
	r.values, r.leaves = map[string]*Value{}, map[string]*Value{}
	r.blocks, r.slots = map[string]*Block{}, map[string]*Slot{}
	for _, word := range words[1:] {
		if word == "callback" {
			r.f.Callback = true
			continue
		}
		t, ok := find[Type](typeNames[:], word)
		if !ok {
			r.fail("%q is no type", word)
		}
		r.f.Params = append(r.f.Params, t)
	}
}

func (r *reader) block(name string) *Block {
	if b := r.blocks[name]; b != nil {
		return b
	}
	id := int(r.number(strings.TrimPrefix(name, "b")))
	b := &Block{ID: id, Func: r.f, sealed: true}
	r.f.nextBlock = max(r.f.nextBlock, id+1)
	r.blocks[name] = b
	return b
}

func (r *reader) value(words []string) *Value {
	v := &Value{Block: r.b, ID: -1}
	typed := false
	if len(words) > 2 && words[1] == "=" {
		name, t, _ := strings.Cut(words[0], ":")
		if t != "" {
			typed = true
			ok := false
			if v.Type, ok = find[Type](typeNames[:], t); !ok {
				r.fail("%q is no type", t)
			}
		}
		v.ID = int(r.number(strings.TrimPrefix(name, "v")))
		r.f.nextValue = max(r.f.nextValue, v.ID+1)
		r.values[name] = v
		words = words[2:]
	}
	name := strings.TrimRight(words[0], "0123456789")
	op, ok := find[Op](opNames[:], name)
	if !ok {
		r.fail("%q is no operation", name)
	}
	v.Op = op
	if !typed {
		v.Type = v.naturalType()
	}
	if digits := words[0][len(name):]; digits != "" {
		if v.Size = int(r.number(digits)); !op.memory() {
			v.Aux, v.Size = int64(v.Size), 0
		}
	}
	r.operands(v, words[1:])
	r.b.Values = append(r.b.Values, v)
	return v
}

func (r *reader) operands(v *Value, words []string) {
	end := &r.ends[len(r.ends)-1]
	switch v.Op {
	case OpJump, OpIf:
		r.need(words, 1)
		if last := words[len(words)-1]; last == "likely" {
			v.Aux, words = LikelyThen, words[:len(words)-1]
		} else if last == "unlikely" {
			v.Aux, words = LikelyElse, words[:len(words)-1]
		}
		n := 0
		if v.Op == OpIf {
			n = 1
		}
		r.need(words, n+1)
		end.succs, words = words[n:], words[:n]
	case OpCall:
		r.need(words, 1)
		for len(words) > 1 {
			bit, ok := find[uint8](callFlags[:], words[len(words)-1])
			if !ok {
				break
			}
			v.Aux2 |= 1 << bit
			words = words[:len(words)-1]
		}
		v.Aux = r.helper(words[0])
		words = words[1:]
	case OpCallFunc:
		r.need(words, 1)
		v.Sym, words = words[0], words[1:]
	case OpBound:
		r.need(words, 2)
		if last := words[len(words)-1]; last == "clamp" {
			v.Sym, words = last, words[:len(words)-1]
		}
		v.Aux, words = r.number(words[len(words)-1]), words[:len(words)-1]
	case OpZero, OpCopy:
		r.need(words, 2)
		v.Aux2, words = r.number(words[len(words)-1]), words[:len(words)-1]
	}
	var args []string
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "[", "]":
		case "+":
			i++
			r.need(words, i+1)
			v.Aux = r.number(words[i])
		case "-":
			i++
			r.need(words, i+1)
			v.Aux = -r.number(words[i])
		default:
			args = append(args, words[i])
		}
	}
	v.Args = make([]*Value, len(args))
	for i, a := range args {
		r.uses = append(r.uses, pendingUse{&v.Args[i], a, r.line})
	}
}

func (r *reader) helper(name string) int64 {
	if strings.HasPrefix(name, "Fn") {
		for i := range int64(300) {
			if asm.BuiltinFunc(i).String() == name {
				return i
			}
		}
		r.fail("no helper %s", name)
	}
	return r.number(name)
}

// leaf returns the value of an operand that has no definition of its own.
func (r *reader) leaf(name string) *Value {
	if v := r.leaves[name]; v != nil {
		return v
	}
	v := &Value{Type: Scalar, Block: r.f.Blocks[0]}
	kind, rest, _ := strings.Cut(name, ":")
	switch {
	case name[0] == '%':
		v.Op, v.Aux = OpParam, r.number(name[1:])
		if v.Aux < 0 || int(v.Aux) >= len(r.f.Params) {
			r.fail("no parameter %s", name)
		}
		v.Type = r.f.Params[v.Aux]
	case name[0] == '&':
		v.Op, v.Type, v.Slot = OpSlot, Pointer, r.slots[name[1:]]
		if v.Slot == nil {
			r.fail("no slot %s", name)
		}
	case kind == "map":
		v.Op, v.Type, v.Sym = OpMap, MapHandle, rest
	case kind == "fn":
		v.Op, v.Type, v.Sym = OpFuncAddr, FuncHandle, rest
	case kind == "val":
		v.Op, v.Type = OpMapValue, Pointer
		var off string
		v.Sym, off, _ = strings.Cut(rest, "+")
		if off != "" {
			v.Aux = r.number(off)
		}
	default:
		v.Op, v.Aux = OpConst, r.number(name)
	}
	r.leaves[name] = v
	return v
}

func (r *reader) endFunc() {
	f := r.f
	if f == nil {
		return
	}
	if len(f.Blocks) == 0 {
		r.fail("function %s has no block", f.Name)
	}
	var leaves []*Value
	for _, u := range r.uses {
		v := r.values[u.name]
		if v == nil {
			r.line = u.line
			known := r.leaves[u.name] != nil
			if v = r.leaf(u.name); !known {
				leaves = append(leaves, v)
			}
		}
		*u.at = v
	}
	entry := f.Blocks[0]
	entry.Values = append(leaves, entry.Values...)
	for _, e := range r.ends {
		for _, s := range e.succs {
			to := r.block(s)
			e.b.Succs = append(e.b.Succs, to)
			to.Preds = append(to.Preds, e.b)
		}
	}
	for _, e := range r.ends {
		if len(e.preds) == len(e.b.Preds) {
			for i, p := range e.preds {
				e.b.Preds[i] = r.block(p)
			}
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.ID < 0 || v.leaf() || v.Op == OpParam {
				v.ID = f.nextValue
				f.nextValue++
			}
		}
	}
	r.f = nil
}
