package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// pathCall is the path of a struct path where it must be kept.
func pathCall(f *fn, x *check.Call) operand {
	n := size(x.T)
	slot := f.scratchSlot("path", n)
	f.zeroLong(slot, n)
	f.readPath(slot, n, x)
	return operand{place: place{base: slot, padded: true}}
}

// appendPath appends a path to a record.
func (f *fn) appendPath(t *tail, lengthAt int64, x *check.Call) {
	n := size(x.T)
	r := f.readPath(t.addr(f), n, x)
	f.finishString(t, lengthAt, r, n)
}

// readPath writes a path with its NUL to own memory and returns its length, or a negative number.
func (f *fn) readPath(dst *ir.Value, n int, x *check.Call) *ir.Value {
	if f.probe.Points[0].Kind != probe.Fentry && f.probe.Points[0].Kind != probe.Fexit {
		return f.walkPath(dst, n, x)
	}
	f.need(ir.DPath, x.Span, "path")
	r := f.b.Call(fnDPath, ir.Scalar, 0, f.pathArg(x.Args[0]), dst, f.b.Const(int64(n)))
	f.helperError(r, helperName(fnDPath))
	return r
}

// pathArg is a pointer to struct path as the verifier knows it.
func (f *fn) pathArg(x check.Expr) *ir.Value {
	switch a := x.(type) {
	case *check.AddrOf:
		p := f.placeOf(a.X)
		return f.b.AddConst(p.base, p.off)
	}
	if !isScalar(x.Type()) {
		p := f.at(x)
		return f.b.AddConst(p.base, p.off)
	}
	return f.value(x)
}

const (
	maxParts   = 64  // names in a path that is walked by hand, mount points counted twice
	maxNameLen = 255 // of a name in a path (NAME_MAX)
	cutMark    = "..."
)

// pathOffsets are where the kernel keeps what a path is made of.
type pathOffsets struct {
	pathMnt, pathDentry          int64 // in struct path
	parent, name, nameLen        int64 // in struct dentry
	mntRoot                      int64 // in struct vfsmount
	mount, mntParent, mountpoint int64 // in struct mount: its vfsmount, and where it is mounted
	fs, root                     int64 // in struct task_struct and fs_struct
}

func (f *fn) pathOffsets(x *check.Call) pathOffsets {
	member := func(structName, name string) int64 {
		off, ok := f.kernelOffset(structName, name)
		if !ok {
			f.fail(x.Span, "path() needs the kernel's BTF, in which there is no %s.%s", structName, name)
		}
		return off
	}
	return pathOffsets{
		pathMnt: member("path", "mnt"), pathDentry: member("path", "dentry"),
		parent: member("dentry", "d_parent"), name: member("dentry", "d_name") + member("qstr", "name"),
		nameLen: member("dentry", "d_name") + member("qstr", "len"), mntRoot: member("vfsmount", "mnt_root"),
		mount: member("mount", "mnt"), mntParent: member("mount", "mnt_parent"), mountpoint: member("mount", "mnt_mountpoint"),
		fs: member("task_struct", "fs"), root: member("fs_struct", "root"),
	}
}

// walkPath makes a path where the kernel's d_path is not allowed: it goes from the name up to the root of the current task, or of all,
// and writes each name before what it has. The path of a file that has been removed has no mark, and what is no file has the names of
// its dentries.
func (f *fn) walkPath(dst *ir.Value, n int, x *check.Call) *ir.Value {
	o := f.pathOffsets(x)
	word := func(base *ir.Value, off int64) *ir.Value {
		return f.loadInt(place{space: kernel, base: base, off: off}, 8, false)
	}
	// Names are written before each other into room of a power of two, from its end; behind it is room for a name more, since the
	// verifier knows of an offset only that it is within the room.
	room := int64(roomFor(n))
	buf := f.scratchSlot("walk", int(room)+maxNameLen+1)
	f.b.Store(buf, room, 1, f.b.Const(0))
	at := &ir.Var{Name: "at", Type: ir.Scalar}
	dentry, mnt, round := &ir.Var{Name: "dentry", Type: ir.Scalar}, &ir.Var{Name: "mnt", Type: ir.Scalar}, &ir.Var{Name: "round", Type: ir.Scalar}

	start := f.plain(f.pathArg(x.Args[0]))
	f.b.Write(mnt, word(start, o.pathMnt))
	f.b.Write(dentry, word(start, o.pathDentry))
	f.b.Write(at, f.b.Const(room))
	f.b.Write(round, f.b.Const(0))
	root := f.b.AddConst(word(f.plain(f.curtask()), o.fs), o.root)
	rootMnt, rootDentry := word(root, o.pathMnt), word(root, o.pathDentry)

	head, body, up, cut, end := f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock(), f.newBlock()
	f.enterLoop()
	f.b.Jump(head)
	f.b.At(head)
	f.b.If(f.b.Binary(ir.OpULt, f.b.Read(round), f.b.Const(maxParts)), body, cut, ir.LikelyThen)
	body.Seal()
	f.b.At(body)
	f.b.Write(round, f.b.AddConst(f.b.Read(round), 1))
	f.branch(f.b.Read(dentry), nil, end, ir.LikelyThen)
	f.ifElse(f.b.Binary(ir.OpEq, f.b.Read(dentry), rootDentry), ir.LikelyElse, func() {
		f.branch(f.b.Binary(ir.OpEq, f.b.Read(mnt), rootMnt), end, nil, ir.LikelyThen)
	}, nil)
	parent := word(f.b.Read(dentry), o.parent)
	f.ifElse(f.b.Binary(ir.OpEq, f.b.Read(dentry), word(f.b.Read(mnt), o.mntRoot)), ir.LikelyElse, func() {
		// The root of what is mounted: the path goes on where that is.
		above := word(f.b.Read(mnt), o.mntParent-o.mount)
		next := f.b.AddConst(above, o.mount)
		f.branch(f.b.Binary(ir.OpEq, next, f.b.Read(mnt)), end, nil, ir.LikelyElse)
		f.b.Write(dentry, word(f.b.Read(mnt), o.mountpoint-o.mount))
		f.b.Write(mnt, next)
		f.b.Jump(up)
	}, nil)
	f.branch(f.b.Binary(ir.OpEq, parent, f.b.Read(dentry)), end, nil, ir.LikelyElse)
	length := f.loadInt(place{space: kernel, base: f.b.Read(dentry), off: o.nameLen}, 4, false)
	length = f.b.Bound(length, maxNameLen, false)
	// Dots stand for what does not fit.
	f.branch(f.b.Binary(ir.OpULt, f.b.Read(at), f.b.AddConst(length, int64(int(room)-n+2+len(cutMark)))), cut, nil, ir.LikelyElse)
	first := f.b.Bound(f.b.Binary(ir.OpSub, f.b.Read(at), length), room-1, false)
	name := word(f.b.Read(dentry), o.name)
	// Some kernels' verifiers forget the bound when they meet the next helper.
	f.b.Call(fnProbeReadKernel, ir.Scalar, 0, f.b.Binary(ir.OpAdd, buf, first), f.b.Bound(length, maxNameLen, false), name)
	slash := f.b.Bound(f.b.AddConst(first, -1), room-1, false)
	f.b.Store(f.b.Binary(ir.OpAdd, buf, slash), 0, 1, f.b.Const('/'))
	f.b.Write(at, slash)
	f.b.Write(dentry, parent)
	f.b.Jump(up)
	up.Seal()
	f.b.At(up)
	f.b.Jump(head)
	head.Seal()
	cut.Seal()
	f.b.At(cut)
	mark := f.b.Bound(f.b.AddConst(f.b.Read(at), -int64(len(cutMark))), room-1, false)
	for i := range cutMark {
		f.b.Store(f.b.Binary(ir.OpAdd, buf, mark), int64(i), 1, f.b.Const(int64(cutMark[i])))
	}
	f.b.Write(at, mark)
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	f.ifElse(f.b.Binary(ir.OpEq, f.b.Read(at), f.b.Const(room)), ir.LikelyElse, func() {
		f.b.Store(buf, room-1, 1, f.b.Const('/'))
		f.b.Write(at, f.b.Const(room-1))
	}, nil)
	from := place{space: kernel, base: f.b.Binary(ir.OpAdd, buf, f.b.Bound(f.b.Read(at), room-1, false))}
	return f.readString(dst, f.b.Const(int64(n)), from)
}
