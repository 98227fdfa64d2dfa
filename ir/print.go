package ir

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// The text of a module. Values that are as cheap to make again as to remember (constants, addresses of slots, map
// handles) are shown where they are used:
//
//	func NAME [callback] [TYPE …]            one type per parameter
//	slot NAME SIZE ALIGN WHERE [whole]
//	b0:                                      other blocks: b3: <- b1 b2 (predecessors, in the order of phi arguments)
//	  v3 = load8 [%0 + 16]                   %0 is parameter 0, &key the address of a slot, map:NAME, val:NAME+8, fn:NAME
//	  v4:null = call FnMapLookupElem map:counts &key
//	  if v4 b1 b2 likely
//
// Tests read it back.

// String returns the module as text.
func (m *Module) String() string {
	var w strings.Builder
	for i, f := range m.Funcs {
		if i > 0 {
			w.WriteByte('\n')
		}
		f.print(&w)
	}
	return w.String()
}

func (f *Func) print(w *strings.Builder) {
	fmt.Fprintf(w, "func %s", f.Name)
	if f.Callback {
		w.WriteString(" callback")
	}
	for _, t := range f.Params {
		fmt.Fprintf(w, " %s", t)
	}
	w.WriteByte('\n')
	used := make([]bool, len(f.Slots))
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for _, a := range v.Args {
				if a.Op == OpSlot {
					used[a.Slot.index] = true
				}
			}
		}
	}
	for i, s := range f.Slots {
		if !used[i] {
			continue
		}
		fmt.Fprintf(w, "slot %s %d %d %s", f.slotName(s), s.Size, s.Align, s.Where)
		if s.Whole {
			w.WriteString(" whole")
		}
		w.WriteByte('\n')
	}
	for _, b := range f.Blocks {
		fmt.Fprintf(w, "b%d:", b.ID)
		if len(b.Preds) > 0 {
			w.WriteString(" <-")
			for _, p := range b.Preds {
				fmt.Fprintf(w, " b%d", p.ID)
			}
		}
		w.WriteByte('\n')
		for _, v := range b.Values {
			if !v.leaf() && v.Op != OpParam {
				fmt.Fprintf(w, "  %s\n", v.text())
			}
		}
	}
}

// slotName is the slot's name, with its number if another slot has the same name.
func (f *Func) slotName(s *Slot) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n[]+;", r) {
			return '_'
		}
		return r
	}, s.Name)
	if name == "" {
		return fmt.Sprintf("slot.%d", s.index)
	}
	for _, o := range f.Slots {
		if o != s && o.Name == s.Name {
			return fmt.Sprintf("%s.%d", name, s.index)
		}
	}
	return name
}

// operand is the text of v where it is used.
func (v *Value) operand() string {
	switch v.Op {
	case OpConst:
		return fmt.Sprint(v.Aux)
	case OpParam:
		return fmt.Sprintf("%%%d", v.Aux)
	case OpSlot:
		if v.Block == nil {
			return "&" + v.Slot.Name
		}
		return "&" + v.Block.Func.slotName(v.Slot)
	case OpMap:
		return "map:" + v.Sym
	case OpMapValue:
		return fmt.Sprintf("val:%s+%d", v.Sym, v.Aux)
	case OpFuncAddr:
		return "fn:" + v.Sym
	}
	return fmt.Sprintf("v%d", v.ID)
}

// naturalType is the type of the operation's result if nothing else is said.
func (v *Value) naturalType() Type {
	switch v.Op {
	case OpStore, OpZero, OpCopy, OpAtomicAdd, OpAtomicOr, OpJump, OpIf, OpReturn:
		return Void
	}
	return Scalar
}

func (v *Value) text() string {
	var w strings.Builder
	if v.Type != Void {
		fmt.Fprintf(&w, "v%d", v.ID)
		if v.Type != v.naturalType() {
			fmt.Fprintf(&w, ":%s", v.Type)
		}
		w.WriteString(" = ")
	}
	w.WriteString(v.Op.String())
	switch v.Op {
	case OpZExt, OpSExt, OpSwap:
		fmt.Fprint(&w, v.Aux)
	case OpCall:
		fmt.Fprintf(&w, " %s", asm.BuiltinFunc(v.Aux))
	case OpCallFunc:
		fmt.Fprintf(&w, " %s", v.Sym)
	}
	args := v.Args
	if v.Op.memory() {
		if v.Size > 0 {
			fmt.Fprint(&w, v.Size)
		}
		switch {
		case v.Aux < 0:
			fmt.Fprintf(&w, " [%s - %d]", args[0].operand(), -v.Aux)
		case v.Aux > 0:
			fmt.Fprintf(&w, " [%s + %d]", args[0].operand(), v.Aux)
		default:
			fmt.Fprintf(&w, " [%s]", args[0].operand())
		}
		args = args[1:]
	}
	for _, a := range args {
		fmt.Fprintf(&w, " %s", a.operand())
	}
	switch v.Op {
	case OpBound:
		fmt.Fprintf(&w, " %d", v.Aux)
		if v.Sym != "" {
			fmt.Fprintf(&w, " %s", v.Sym)
		}
	case OpZero, OpCopy:
		fmt.Fprintf(&w, " %d", v.Aux2)
	case OpCall:
		for bit, name := range callFlags {
			if v.Aux2&(1<<bit) != 0 {
				fmt.Fprintf(&w, " %s", name)
			}
		}
	case OpJump, OpIf:
		if v.Block != nil {
			for _, s := range v.Block.Succs {
				fmt.Fprintf(&w, " b%d", s.ID)
			}
		}
		if v.Op == OpIf && v.Aux > 0 {
			w.WriteString(" likely")
		}
		if v.Op == OpIf && v.Aux < 0 {
			w.WriteString(" unlikely")
		}
	}
	if v.Note != "" {
		fmt.Fprintf(&w, " ; %s", v.Note)
	}
	return w.String()
}

var callFlags = [...]string{"pure", "droppable", "reads"}
