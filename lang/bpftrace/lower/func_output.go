package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// sendCall is a function whose arguments go to user space.
func sendCall(f *fn, x *check.Call) operand {
	f.send(x.Event, x.Args)
	return operand{}
}

// debugfCall lets the kernel write a line to its trace_pipe.
func debugfCall(f *fn, x *check.Call) operand {
	format := x.Args[0].(*check.Str).Value
	args := []*ir.Value{nil, f.b.Const(int64(len(format) + 1))}
	for _, a := range x.Args[1:] {
		if isScalar(a.Type()) {
			args = append(args, f.plain(f.value(a)))
			continue
		}
		p, _ := f.ownString(a)
		args = append(args, f.b.AddConst(p.base, p.off))
	}
	at := f.constString(format)
	args[0] = f.b.AddConst(at.base, at.off)
	f.b.Call(fnTracePrintk, ir.Scalar, 0, args...)
	return operand{}
}

func printCall(f *fn, x *check.Call) operand {
	if x.Event.Kind == schema.PrintMap {
		return mapEvent(f, x)
	}
	return sendCall(f, x)
}

// mapEvent asks user space to print, clear or zero a map.
func mapEvent(f *fn, x *check.Call) operand {
	args := x.Args
	if m, ok := args[0].(*check.MapArg); ok {
		x.Event.Map = f.maps[m.Map].Map
		f.noteType(m.Map.Value)
		if len(x.Event.Args) == len(args) {
			x.Event.Args = x.Event.Args[1:] // the map itself is in Event.Map
		}
		args = args[1:]
	}
	f.send(x.Event, args)
	return operand{}
}

// exitCall tells user space, stops the other programs and ends this one.
func exitCall(f *fn, x *check.Call) operand {
	f.send(x.Event, x.Args)
	f.b.Store(f.b.MapValue(MapState, 0), StateStop, 8, f.b.Const(1))
	f.leave()
	return operand{}
}

// joinMax is the number of strings that join prints at most.
const joinMax = 16

// joinCall sends the strings of an argument vector.
func joinCall(f *fn, x *check.Call) operand {
	e := x.Event
	limit := f.joinLimit()
	if len(e.Args) < joinMax {
		e.Args = make([]schema.Arg, joinMax)
		for i := range e.Args {
			e.Args[i] = schema.Arg{Type: &schema.Type{Kind: schema.String, Size: limit}, Var: true}
		}
	}
	if e.Size == 0 {
		e.Size = headerSize(e.Kind)
		for i := range e.Args {
			e.Args[i].Offset = e.Size
			e.Size += 4
		}
	}
	id := f.eventID(e, nil)
	argv := f.stringAt(x.Args[0])
	rec := f.scratchSlot("record", e.Size+joinMax*roomFor(limit+1))
	f.b.Store(rec, 0, 8, f.b.Const(int64(id)))
	for i := range e.Args {
		f.b.Store(rec, int64(e.Args[i].Offset), 4, f.b.Const(-1))
	}
	t := &tail{rec: rec, off: int64(e.Size)}
	end := f.newBlock()
	total := &ir.Var{Name: "joined", Type: ir.Scalar}
	f.b.Write(total, f.b.Const(0))
	for i := range e.Args {
		p := f.loadInt(argv.at(int64(8*i)), 8, false)
		f.branch(p, nil, end, ir.LikelyThen)
		from := place{space: argv.space, base: p}
		n := f.readString(t.addr(f), f.b.Const(int64(limit+1)), from)
		f.finishString(t, int64(e.Args[i].Offset), n, limit)
		f.b.Write(total, t.n)
	}
	f.b.Jump(end)
	end.Seal()
	f.b.At(end)
	most := int64(joinMax * roomFor(limit+1))
	f.output(rec, f.b.AddConst(f.b.Bound(f.b.Read(total), most, true), t.off))
	return operand{}
}

// joinLimit is the size of each of join's strings: enough for arguments of commands, so that sixteen fit into a record.
func (u *unit) joinLimit() int { return min(u.tree.Config.MaxStrlen, 256) }
