package check

import (
	"skep/probe"
	"skep/schema"
)

// inUser reports whether numbers are taken for addresses of the current process.
func (b *block) inUser() bool {
	switch b.kind {
	case probe.Uprobe, probe.Uretprobe:
		return true
	case probe.Tracepoint:
		return len(b.points) > 0 && b.points[0].Category == "syscalls"
	}
	return false
}

// userAddress reports whether x, taken for an address, is one of user memory. A number of unknown origin is in the probes of user
// programs, unless kptr() says otherwise.
func (c *checker) userAddress(x Expr) bool {
	t := x.Type()
	if t.User || t.Kind == schema.Pointer || t.Kind == schema.KSym || c.block == nil || !c.block.inUser() {
		return t.User
	}
	switch x := x.(type) {
	case *Const:
		return x.Value >= 0 // the kernel's addresses have the highest bit set
	case *Call:
		return x.Fn != "percpu_kaddr"
	case *Convert:
		return x.X.Type().Kind != schema.Pointer && !x.X.Type().User
	}
	return true
}

// foundInUser reports whether an address that is found in x is one of user memory: it lies there, or is a copy of what the script has
// defined, read in the probe of a user program.
func (c *checker) foundInUser(x Expr) bool {
	if userPlace(x) {
		return true
	}
	for {
		switch m := x.(type) {
		case *Member:
			x = m.X
		case *Index:
			x = m.X
		case *VarRef, *MapGet:
			t := x.Type()
			return t.Kind == schema.Struct && t.Def != nil && !t.Def.Kernel && c.block != nil && c.block.inUser()
		default:
			return false
		}
	}
}

// userPlace reports whether x lies in user memory.
func userPlace(x Expr) bool {
	switch x := x.(type) {
	case *Deref:
		return x.X.Type().User
	case *Member:
		return userPlace(x.X)
	case *Index:
		if x.X.Type().Kind == schema.Pointer {
			return x.X.Type().User
		}
		return userPlace(x.X)
	}
	return false
}

// spaced is the type t of something that lies in user memory or not: a pointer found there points there, too.
func spaced(t *schema.Type, user bool) *schema.Type {
	if user && !t.User && (t.Kind == schema.Pointer || t.Kind == schema.Int && t.Size == 8) {
		u := *t
		u.User = true
		return &u
	}
	return t
}
