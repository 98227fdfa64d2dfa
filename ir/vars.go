package ir

// Construction of SSA form while building (Braun and others, 2013): a front end reads and writes variables, and phis
// appear where they are needed.

// Var is a variable of a function while it is built. Its values must all have the same Type.
type Var struct {
	Name string
	Type Type
}

type ssaVars struct {
	defs       map[*Block]map[*Var]*Value
	incomplete map[*Block][]pendingPhi // in the order of their making, so that the output does not depend on map order
	replaced   map[*Value]*Value       // phis that turned out to be another value
}

// pendingPhi is a phi of a block whose predecessors are not all known.
type pendingPhi struct {
	v   *Var
	phi *Value
}

// Write sets the variable in the current block.
func (b *Builder) Write(v *Var, x *Value) { b.F.write(b.B, v, x) }

// Read returns the variable's value in the current block; a variable that was never written reads as 0.
func (b *Builder) Read(v *Var) *Value { return b.F.read(b.B, v) }

func (f *Func) write(b *Block, v *Var, x *Value) {
	if f.vars.defs == nil {
		f.vars.defs = map[*Block]map[*Var]*Value{}
		f.vars.incomplete = map[*Block][]pendingPhi{}
		f.vars.replaced = map[*Value]*Value{}
	}
	if f.vars.defs[b] == nil {
		f.vars.defs[b] = map[*Var]*Value{}
	}
	f.vars.defs[b][v] = x
}

// resolve returns what stands for x now: a front end may still hold a phi that has been replaced.
func (f *Func) resolve(x *Value) *Value {
	for f.vars.replaced[x] != nil {
		x = f.vars.replaced[x]
	}
	return x
}

func (f *Func) read(b *Block, v *Var) *Value {
	if x, ok := f.vars.defs[b][v]; ok {
		return f.resolve(x)
	}
	var x *Value
	switch {
	case !b.sealed:
		x = f.newPhi(b, v)
		f.write(b, v, x)
		f.vars.incomplete[b] = append(f.vars.incomplete[b], pendingPhi{v, x})
		return x
	case len(b.Preds) == 0:
		x = f.newValue(OpConst, Scalar)
		x.Block, x.Note = b, v.Name
		b.Values = append([]*Value{x}, b.Values...)
	case len(b.Preds) == 1:
		x = f.read(b.Preds[0], v)
	default:
		x = f.newPhi(b, v)
		f.write(b, v, x) // ends the recursion in loops
		x = f.completePhi(x, v)
	}
	f.write(b, v, x)
	return x
}

func (f *Func) newPhi(b *Block, v *Var) *Value {
	x := f.newValue(OpPhi, v.Type)
	x.Block, x.Note = b, v.Name
	b.Values = append([]*Value{x}, b.Values...)
	return x
}

// completePhi gives the phi its arguments. A phi of one value and itself is taken out at once; its users are told by
// resolve. What becomes trivial only later is the work of the phi pass.
func (f *Func) completePhi(phi *Value, v *Var) *Value {
	for _, p := range phi.Block.Preds {
		x := f.read(p, v)
		phi.Args = append(phi.Args, x)
	}
	same := f.onlyArg(phi)
	if same == nil {
		return phi
	}
	f.vars.replaced[phi] = same
	for i, x := range phi.Block.Values {
		if x == phi {
			phi.Block.Values = append(phi.Block.Values[:i:i], phi.Block.Values[i+1:]...)
			break
		}
	}
	return same
}

// onlyArg returns the one value that the phi can have, or nil.
func (f *Func) onlyArg(phi *Value) *Value {
	var same *Value
	for _, a := range phi.Args {
		if a = f.resolve(a); a == phi || a == same {
			continue
		}
		if same != nil {
			return nil
		}
		same = a
	}
	return same
}

// Seal says that all predecessors of the block are known.
func (b *Block) Seal() {
	if b.sealed {
		return
	}
	b.sealed = true
	pending := b.Func.vars.incomplete[b]
	delete(b.Func.vars.incomplete, b)
	for _, p := range pending {
		b.Func.completePhi(p.phi, p.v)
	}
}

// finishVars forgets the variables and lets every value refer to what stands in the function.
func (f *Func) finishVars() {
	if f.vars.defs == nil {
		return
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				v.Args[i] = f.resolve(a)
			}
		}
	}
	f.vars = ssaVars{}
}
