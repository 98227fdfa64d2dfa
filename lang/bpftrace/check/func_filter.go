package check

import (
	"strings"

	"skep/internal/diag"
	"skep/schema"
)

// maxOneof bounds the comparisons of one oneof().
const maxOneof = 256

// checkOneof compares with each element of a constant list; an empty one, which is what a parameter that was not given is, has them all.
func checkOneof(c *checker, k *call) Expr {
	x := c.expr(k.args[0])
	list, ok := c.constStr(k, 1)
	if !ok || isBad(x) {
		return bad(k.at)
	}
	if x.Type().Kind != schema.String && !isNumber(x.Type()) {
		return c.argError(k, 0, "an integer or a string", x)
	}
	if strings.TrimSpace(list) == "" {
		return k.boolean(true)
	}
	elems := strings.Split(list, ",")
	if len(elems) > maxOneof {
		c.list.Errorf(k.args[1].Pos(), "a list has at most %d elements, not %d", maxOneof, len(elems))
		return bad(k.at)
	}
	var stmts []Stmt
	if _, isConst := truth(x); !isConst {
		// The value is computed once.
		if isLiteralType(x.Type()) {
			x = c.convert(x, typeI64)
		}
		v := &Var{Name: "$oneof", Type: x.Type(), Span: x.Pos()}
		stmts = []Stmt{&SetVar{Span: k.at, Var: v, X: x}}
		x = &VarRef{Node{x.Pos(), x.Type()}, v}
	}
	var any Expr
	for _, e := range elems {
		same := c.isElement(k, x, strings.TrimSpace(e))
		if isBad(same) {
			return bad(k.at)
		}
		if any == nil {
			any = same
			continue
		}
		any = c.both(k.at, "||", any, same)
	}
	if _, isConst := any.(*Const); isConst || stmts == nil {
		return any
	}
	return &Seq{Node{k.at, typeBool}, stmts, any}
}

// isElement compares with one element: a word, a number, or a range of numbers.
func (c *checker) isElement(k *call, x Expr, elem string) Expr {
	at := k.args[1].Pos()
	if x.Type().Kind == schema.String {
		return c.binary(k.at, "==", x, c.str(at, elem))
	}
	if v, ok := parseNumber(elem); ok {
		return c.binary(k.at, "==", x, number(at, v))
	}
	if i := strings.LastIndexByte(elem, '-'); i > 0 {
		low, ok1 := parseNumber(strings.TrimSpace(elem[:i]))
		high, ok2 := parseNumber(strings.TrimSpace(elem[i+1:]))
		if ok1 && ok2 && low <= high {
			return c.both(k.at, "&&", c.binary(k.at, ">=", x, number(at, low)), c.binary(k.at, "<=", x, number(at, high)))
		}
	}
	c.list.Errorf(at, "%q is no number and no range of numbers", elem).Hint = "such as 80,443 or 8000-8100"
	return bad(at)
}

// both is x && y or x || y of booleans.
func (c *checker) both(at diag.Span, op string, x, y Expr) Expr {
	if isBad(x) || isBad(y) {
		return bad(at)
	}
	if value, known := truth(x); known {
		if value == (op == "||") {
			return x
		}
		return y
	}
	if value, known := truth(y); known && value != (op == "||") {
		return x
	}
	return &Binary{Node{at, typeBool}, op, x, y}
}

// checkIncgroup is incgroup("path"): whether the current task is in a control group, or in one below it.
func checkIncgroup(c *checker, k *call) Expr {
	id := checkCgroupID(c, k)
	if isBad(id) {
		return id
	}
	path, _ := c.constStr(k, 0)
	return &Call{Node: Node{k.at, typeBool}, Fn: "incgroup", Args: []Expr{id}, Index: cgroupLevel(path)}
}

// cgroupLevel is how deep a control group is in the hierarchy that the tracer sees. In a cgroup namespace it is deeper in truth.
func cgroupLevel(path string) int {
	rest, ok := strings.CutPrefix(strings.TrimRight(path, "/")+"/", "/sys/fs/cgroup/")
	if !ok {
		return 0
	}
	rest = strings.TrimPrefix(rest, "unified/")
	return strings.Count(rest, "/")
}
