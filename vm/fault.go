package vm

import (
	"errors"
	"fmt"
	"strings"

	"skep/vm/code"
	"skep/vm/engine"
)

// A Fault tells why a program was ended before it returned.
type Fault struct {
	*engine.Fault
	Function    string // in which the instruction is
	Instruction string // as the disassembler shows it
	Line        string // of the program's text, if it is known
}

func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Fault.Error())
	if f.Instruction != "" {
		fmt.Fprintf(&b, " (%s)", f.Instruction)
	}
	if f.Line != "" {
		fmt.Fprintf(&b, ", line %q", strings.TrimSpace(f.Line))
	}
	return b.String()
}

func (f *Fault) Unwrap() error { return f.Fault }

// Dump is the error with the State, on several lines.
func (f *Fault) Dump() string { return f.Error() + "\n" + f.State() }

// State is the function and the registers, on several lines.
func (f *Fault) State() string {
	var b strings.Builder
	if f.Function != "" {
		fmt.Fprintf(&b, "  in %s\n", f.Function)
	}
	for i, r := range f.Regs {
		end := " "
		if i%4 == 3 || i == len(f.Regs)-1 {
			end = "\n"
		}
		if i%4 == 0 {
			b.WriteString("  ")
		}
		fmt.Fprintf(&b, "r%-2d %016x%s", i, r, end)
	}
	return b.String()
}

// explain adds to an engine's fault what only the machine knows. The program is the one that was running, which a tail call may have
// made another than the one begun with.
func (m *Machine) explain(p *Program, err error) error {
	var f *engine.Fault
	if !errors.As(err, &f) {
		return err
	}
	if f.Program != p.code.Name {
		p = m.objects.programNamed(f.Program, p)
	}
	full := &Fault{Fault: f}
	if f.Slot >= 0 && f.Slot < len(p.code.Insns) {
		full.Instruction = code.Text(p.code, f.Slot)
		full.Line = p.Line(f.Slot)
		if i := p.code.FuncOf(f.Slot); i >= 0 {
			full.Function = p.code.Funcs[i].Name
		}
	}
	return full
}

// programNamed finds a program of the same collection as another one.
func (o *objects) programNamed(name string, other *Program) *Program {
	if all := o.all.Load(); all != nil {
		for _, x := range *all {
			if x.p != nil && x.p.code.Name == name && x.p.collection == other.collection {
				return x.p
			}
		}
	}
	return other
}

// programWith finds the program whose image it is, or returns the other one.
func (o *objects) programWith(image engine.Image, other *Program) *Program {
	if all := o.all.Load(); all != nil {
		for _, x := range *all {
			if x.p != nil && x.p.image == image {
				return x.p
			}
		}
	}
	return other
}
