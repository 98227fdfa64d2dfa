package ir

var opNames = [...]string{
	OpInvalid: "invalid", OpConst: "const", OpParam: "param", OpPhi: "phi",
	OpAdd: "add", OpSub: "sub", OpMul: "mul", OpUDiv: "udiv", OpSDiv: "sdiv", OpUMod: "umod", OpSMod: "smod",
	OpAnd: "and", OpOr: "or", OpXor: "xor", OpShl: "shl", OpShr: "shr", OpSar: "sar", OpNeg: "neg",
	OpZExt: "zext", OpSExt: "sext", OpSwap: "swap",
	OpEq: "eq", OpNe: "ne", OpULt: "ult", OpULe: "ule", OpSLt: "slt", OpSLe: "sle",
	OpBound: "bound", OpLoad: "load", OpLoadS: "loads", OpStore: "store", OpZero: "zero", OpCopy: "copy",
	OpAtomicAdd: "atomicadd", OpFetchAdd: "fetchadd", OpAtomicOr: "atomicor", OpXchg: "xchg", OpCmpXchg: "cmpxchg",
	OpSlot: "slot", OpMap: "map", OpMapValue: "mapvalue", OpFuncAddr: "funcaddr", OpCall: "call", OpCallFunc: "callfunc",
	OpJump: "jump", OpIf: "if", OpReturn: "return",
}

func (o Op) String() string { return opNames[o] }

var typeNames = [...]string{Void: "void", Scalar: "scalar", Pointer: "ptr", MaybeNull: "null", MapHandle: "map",
	FuncHandle: "func", KernelPointer: "kptr"}

func (t Type) String() string { return typeNames[t] }

var whereNames = [...]string{Auto: "auto", Stack: "stack", Scratch: "scratch"}

func (w Where) String() string { return whereNames[w] }

// effect reports whether the operation must stay even if nobody uses its result.
func (v *Value) effect() bool {
	switch v.Op {
	case OpStore, OpZero, OpCopy, OpAtomicAdd, OpFetchAdd, OpAtomicOr, OpXchg, OpCmpXchg, OpCallFunc, OpJump, OpIf, OpReturn:
		return true
	case OpCall:
		return v.Aux2&(Pure|Droppable) == 0
	}
	return false
}

func (o Op) binary() bool { return o >= OpAdd && o <= OpSar }

func (o Op) compare() bool { return o >= OpEq && o <= OpSLe }

func (o Op) commutative() bool {
	switch o {
	case OpAdd, OpMul, OpAnd, OpOr, OpXor, OpEq, OpNe:
		return true
	}
	return false
}

func (o Op) terminator() bool { return o >= OpJump }

// memory reports whether Args[0] is an address to which Aux is added.
func (o Op) memory() bool {
	switch o {
	case OpLoad, OpLoadS, OpStore, OpZero, OpAtomicAdd, OpFetchAdd, OpAtomicOr, OpXchg, OpCmpXchg:
		return true
	}
	return false
}
