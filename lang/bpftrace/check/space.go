package check

import (
	"skep/probe"
	"skep/schema"
)

// space is the memory that an address is one of.
type space uint8

const (
	kernelSpace space = iota
	userSpace
	eitherSpace // the address tells: that of the kernel have the highest bit set
)

func spaceIf(user bool) space {
	if user {
		return userSpace
	}
	return kernelSpace
}

// spaceOf is the memory that pointers, and numbers made of them, are addresses of.
func spaceOf(t *schema.Type) space {
	if t.Either {
		return eitherSpace
	}
	return spaceIf(t.User)
}

func withSpace(t *schema.Type, in space) *schema.Type {
	if spaceOf(t) == in {
		return t
	}
	u := *t
	u.User, u.Either = in != kernelSpace, in == eitherSpace
	return &u
}

// numbers is the memory that a number of unknown origin is taken for an address of.
func (b *block) numbers() space {
	switch b.kind {
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		return userSpace
	case probe.Tracepoint:
		if len(b.points) > 0 && b.points[0].Category == "syscalls" {
			return eitherSpace // from the call's arguments, or from a map that a probe of the kernel has filled
		}
	}
	return kernelSpace
}

// addressSpace is the memory that x, taken for an address, is one of.
func (c *checker) addressSpace(x Expr) space {
	t := x.Type()
	if t.User || t.Kind == schema.Pointer || t.Kind == schema.KSym || c.block == nil {
		return spaceOf(t)
	}
	switch x := x.(type) {
	case *Const:
		return spaceIf(c.block.numbers() != kernelSpace && x.Value >= 0) // the kernel's addresses have the highest bit set
	case *Call:
		if x.Fn == "percpu_kaddr" {
			return kernelSpace
		}
	case *Convert:
		if from := x.X.Type(); from.Kind == schema.Pointer || from.User { // a pointer of the kernel's, or what kptr() made one
			return kernelSpace
		}
	}
	return c.block.numbers()
}

// foundIn is the memory that an address which is found in x is one of: that in which x lies, or if x is a copy of what the script has
// defined, that of the process in the probes of user programs.
func (c *checker) foundIn(x Expr) space {
	if in := spaceAt(x); in != kernelSpace {
		return in
	}
	for {
		switch m := x.(type) {
		case *Member:
			x = m.X
		case *Index:
			x = m.X
		case *VarRef, *MapGet:
			t := x.Type()
			return spaceIf(t.Kind == schema.Struct && t.Def != nil && !t.Def.Kernel && c.block != nil && c.block.numbers() != kernelSpace)
		default:
			return kernelSpace
		}
	}
}

// spaceAt is the memory in which x lies.
func spaceAt(x Expr) space {
	switch x := x.(type) {
	case *Deref:
		return spaceOf(x.X.Type())
	case *Member:
		return spaceAt(x.X)
	case *Index:
		if x.X.Type().Kind == schema.Pointer {
			return spaceOf(x.X.Type())
		}
		return spaceAt(x.X)
	}
	return kernelSpace
}

// spaced is the type t of something that lies in a memory: a pointer found there points there, too.
func spaced(t *schema.Type, in space) *schema.Type {
	if in != kernelSpace && !t.User && (t.Kind == schema.Pointer || t.Kind == schema.Int && t.Size == 8) {
		return withSpace(t, in)
	}
	return t
}
