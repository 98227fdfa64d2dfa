package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// wordsSource is the context of raw tracepoints and of fentry and fexit: an array of 64-bit arguments, then the result.
type wordsSource struct {
	noArgs
	typed bool
	kind  probe.Kind
}

func (s wordsSource) field(f *fn, x *check.ArgsField) operand {
	return s.word(f, x.Field.Offset/8, x.Field.Type)
}

func (s wordsSource) word(f *fn, i int, t *schema.Type) operand {
	if !isScalar(t) {
		return operand{place: place{base: f.context(), off: int64(8 * i)}}
	}
	if s.typed && isTypedPointer(t) {
		return operand{v: f.b.LoadPointer(f.context(), int64(8*i))}
	}
	v := f.b.Load(f.context(), int64(8*i), 8, false)
	return operand{v: f.wrap(v, t)}
}

// isTypedPointer reports whether the verifier knows what a pointer from the kernel's BTF points to: a struct, of which the name is
// enough here.
func isTypedPointer(t *schema.Type) bool {
	return t.Kind == schema.Pointer && !t.User && t.Elem != nil && t.Elem.Kind == schema.Struct && t.Elem.Name != "" &&
		(t.Elem.Def == nil || isKernelStruct(t.Elem))
}

// isKernelStruct reports whether a type is a struct as the kernel's BTF has it, not the script's own of that name.
func isKernelStruct(t *schema.Type) bool {
	return t.Kind == schema.Struct && t.Name != "" && t.Def != nil && t.Def.Kernel && !t.Def.Union
}

func (s wordsSource) arg(f *fn, n int, at check.Expr) *ir.Value {
	if s.kind != probe.RawTracepoint {
		return noArgs{}.arg(f, n, at)
	}
	return f.b.Load(f.context(), int64(8*n), 8, false)
}

func (s wordsSource) retval(f *fn, at check.Expr) operand {
	if s.kind != probe.Fexit {
		return noArgs{}.retval(f, at)
	}
	t := f.probe.Args.Retval
	if t == nil {
		t = at.Type()
	}
	return s.word(f, f.probe.Args.NParams, t)
}
