package check

import (
	"strings"

	"skep/ir"
	"skep/probe"
	"skep/schema"
)

// builtins are the values that are there in every probe, or in some.
func builtins() []function {
	return []function{
		{name: "pid", usage: "pid, pid(init) or pid(curr_ns)", max: 1, form: bare, check: checkID},
		{name: "tid", usage: "tid, tid(init) or tid(curr_ns)", max: 1, form: bare, check: checkID},
		{name: "uid", usage: "uid", form: bare, check: simple(typeU64)},
		{name: "gid", usage: "gid", form: bare, check: simple(typeU64)},
		{name: "username", usage: "username", form: bare, check: simple(typeUserID)},
		{name: "comm", usage: "comm or comm(task)", max: 1, form: bare, check: checkComm},
		{name: "pcomm", usage: "pcomm or pcomm(task)", max: 1, form: bare, check: checkPcomm},
		{name: "ppid", usage: "ppid or ppid(task)", max: 1, form: bare, check: checkPpid},
		{name: "leader_tid", usage: "leader_tid or leader_tid(task)", max: 1, form: bare, check: checkPpid},
		{name: "leader_comm", usage: "leader_comm or leader_comm(task)", max: 1, form: bare, check: checkComm},
		{name: "nsecs", usage: "nsecs, or nsecs(monotonic|boot|tai|sw_tai)", max: 1, form: bare, check: checkNsecs},
		{name: "elapsed", usage: "elapsed", form: bare, check: simple(typeU64)},
		{name: "jiffies", usage: "jiffies", form: bare, check: simple(typeU64)},
		{name: "cpu", usage: "cpu", form: bare, check: simple(typeU64)},
		{name: "ncpus", usage: "ncpus", form: bare, check: simple(typeU64)},
		{name: "numaid", usage: "numaid", form: bare, check: simple(typeU64)},
		{name: "cgroup", usage: "cgroup", form: bare, check: simple(typeU64)},
		{name: "rand", usage: "rand", form: bare, check: simple(typeU64)},
		{name: "cpid", usage: "cpid", form: bare, check: checkCpid},
		{name: "has_cpid", usage: "has_cpid", form: bare, check: func(c *checker, k *call) Expr { return k.boolean(c.HasChild) }},
		{name: "curtask", usage: "curtask", form: bare, check: func(c *checker, k *call) Expr {
			return k.result(pointerTo(incomplete("task_struct"), kernelSpace))
		}},
		{name: "ctx", usage: "ctx", form: bare, check: simple(typeVoidPtr)},
		{name: "probe", usage: "probe", form: bare, check: checkProbe},
		{name: "probetype", usage: "probetype", form: bare, check: checkProbetype},
		{name: "func", usage: "func", form: bare, check: checkFunc},
		{name: "retval", usage: "retval", form: bare, check: checkRetval},
		{name: "returned", usage: "returned()", check: checkReturned},
		{name: "usermode", usage: "usermode", form: bare, check: simple(typeU8)},
	}
}

// simple is the check of a builtin without arguments.
func simple(t *schema.Type) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr { return k.result(t) }
}

func checkID(c *checker, k *call) Expr {
	x := &Call{Node: Node{k.at, typeU32}, Fn: k.f.name}
	if len(k.args) == 1 {
		n, ok := c.choice(k, 0, "curr_ns", "init")
		if !ok {
			return bad(k.at)
		}
		x.Index = n
	}
	return x
}

// taskArg checks a task_struct pointer. A number is taken for a pid, which cannot be looked up on every kernel.
func (c *checker) taskArg(k *call) Expr {
	x := c.expr(k.args[0])
	t := x.Type()
	switch {
	case isBad(x):
	case t.Kind == schema.Pointer && (t.Elem == nil || t.Elem.Kind == schema.Struct && t.Elem.Name == "task_struct"):
	case t.Kind == schema.Int:
		c.list.Errorf(x.Pos(), "%s() of a process id is not supported yet", k.f.name).Hint = k.f.name + "((struct task_struct *)p) takes a task"
		return bad(x.Pos())
	default:
		return c.argError(k, 0, "a struct task_struct *", x)
	}
	return x
}

func checkComm(c *checker, k *call) Expr {
	if len(k.args) == 0 {
		return k.result(typeComm)
	}
	return k.result(typeComm, c.taskArg(k))
}

func checkPcomm(c *checker, k *call) Expr { return checkComm(c, k) }

func checkPpid(c *checker, k *call) Expr {
	if len(k.args) == 0 {
		return k.result(typeI32)
	}
	return k.result(typeI32, c.taskArg(k))
}

func checkNsecs(c *checker, k *call) Expr {
	x := &Call{Node: Node{k.at, typeU64}, Fn: "nsecs"}
	if len(k.args) == 1 {
		n, ok := c.choice(k, 0, "boot", "monotonic", "tai", "sw_tai")
		if !ok {
			return bad(k.at)
		}
		if n >= 2 && !c.needs(k, ir.KtimeTAI, "the clock tai") {
			return bad(k.at)
		}
		x.Index = n
	}
	return x
}

func checkCpid(c *checker, k *call) Expr {
	if !c.HasChild {
		c.list.Warnf(k.at, "cpid is the process that -c starts; there is no -c, so it is 0")
		return &Const{Node{k.at, typeU32}, 0}
	}
	return k.result(typeU32)
}

func checkProbe(c *checker, k *call) Expr {
	c.block.usesProbe = true
	return k.result(c.nameType())
}

// nameType is the type of probe, and of func where that is known when the script is compiled. Its Len is the size of a string that
// holds each name.
func (c *checker) nameType() *schema.Type {
	if c.names == nil {
		n := 1
		for _, b := range c.blocks {
			for _, p := range b.points {
				n = max(n, len(p.Name)+1, len(p.Function)+1)
			}
		}
		c.names = &schema.Type{Kind: schema.ProbeName, Size: 4, Len: (n + 7) &^ 7}
	}
	return c.names
}

// checkTarget is probe without the kind of probe: what it is on.
func checkTarget(c *checker, k *call) Expr {
	c.block.usesProbe = true
	t := *c.nameType()
	t.Format = schema.TargetFormat
	return &Call{Node: Node{k.at, &t}, Fn: "probe"}
}

func checkProbetype(c *checker, k *call) Expr {
	switch c.block.kind {
	case probe.Begin, probe.End, probe.SelfSignal:
		return c.str(k.at, "special")
	}
	return c.str(k.at, kindName(c.block.kind))
}

func checkFunc(c *checker, k *call) Expr {
	switch c.block.kind {
	case probe.Kprobe, probe.Kretprobe:
		c.block.usesFunc = true
		return k.result(typeKSym)
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		c.block.usesFunc = true
		return k.result(typeUSym)
	case probe.Fentry, probe.Fexit:
		c.block.usesFunc = true
		return k.result(c.nameType())
	}
	return c.notHere(k, "func", "kprobe, kretprobe, fentry, fexit, uprobe and uretprobe")
}

func withArticle(noun string) string {
	if strings.IndexByte("aeio", noun[0]) >= 0 { // "a uprobe"
		return "an " + noun
	}
	return "a " + noun
}

// notHere says that something does not exist in this kind of probe.
func (c *checker) notHere(k *call, name, where string) Expr {
	c.list.Errorf(k.at, "%s cannot be used in %s probe", name, withArticle(kindName(c.block.kind))).Hint = "it is there in " + where + " probes"
	return bad(k.at)
}

func checkRetval(c *checker, k *call) Expr {
	switch c.block.kind {
	case probe.Kretprobe:
		return k.result(typeU64)
	case probe.Uretprobe:
		return k.result(typeUser64)
	case probe.Fexit:
		if t := c.block.args.Retval; t != nil {
			return k.result(t)
		}
		if c.block.missing {
			return bad(k.at)
		}
		if c.block.argsErr != nil {
			c.list.Errorf(k.at, "the type of retval is not known: %v", c.block.argsErr)
		} else {
			c.list.Errorf(k.at, "the function returns nothing")
		}
		return bad(k.at)
	}
	return c.notHere(k, "retval", "kretprobe, uretprobe and fexit")
}

// checkReturned is retval as a number of the width and sign that the kernel's description of the functions gives it: a kernel function that
// returns int leaves the upper half of the register to chance. Where nothing is said, or the functions differ, it has 64 bits and a sign.
func checkReturned(c *checker, k *call) Expr {
	x := checkRetval(c, &call{k.at, c.function("retval"), nil})
	if isBad(x) || c.block.kind == probe.Fexit {
		return x
	}
	t := typeI64
	if c.block.kind == probe.Kretprobe {
		for i, p := range c.block.points {
			one := c.returnType(p)
			if i > 0 && !same(one, t) {
				t = typeI64
				break
			}
			t = one
		}
	}
	return castNumber(k.at, x, t)
}

// returnType is the type of what a function of the kernel returns if that is a number of less than 64 bits, else int64.
func (c *checker) returnType(p probe.Point) *schema.Type {
	proto, err := c.Catalog.Signature(p)
	if err != nil {
		return typeI64
	}
	t := c.types.fromBTF(proto.Return)
	switch {
	case t.Kind != schema.Int && t.Kind != schema.Enum && t.Kind != schema.Bool || t.Size == 0 || t.Size >= 8:
		return typeI64
	case t.Kind == schema.Bool:
		return intType(1, false)
	}
	return intType(t.Size, t.Signed)
}

// needs reports an error if the target's kernel lacks a feature.
func (c *checker) needs(k *call, f ir.Feature, what string) bool {
	if c.Target.Supports(f) {
		return true
	}
	v := f.Since()
	c.list.Errorf(k.at, "%s needs Linux %d.%d; this is %d.%d", what, v>>16, v>>8&0xff, c.Target.Kernel>>16, c.Target.Kernel>>8&0xff)
	return false
}

// kindName is the provider's name as users write it.
func kindName(k probe.Kind) string {
	if name := k.String(); name != "probe" {
		return name
	}
	return "this kind of"
}
