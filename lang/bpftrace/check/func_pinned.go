package check

import "strings"

// checkPinned is pinned("path", x): whether a number is a key of a map that another program has pinned, and may change at any time.
func checkPinned(c *checker, k *call) Expr {
	path, ok := c.constStr(k, 0)
	x := c.intArg(k, 1)
	if !ok || isBad(x) {
		return bad(k.at)
	}
	if !strings.HasPrefix(path, "/") {
		c.list.Errorf(k.args[0].Pos(), "a pinned map is named by its whole path, not %q", path).Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	return &Call{Node: Node{k.at, typeBool}, Fn: "pinned", Args: []Expr{c.convert(x, typeU64), c.str(k.args[0].Pos(), path)}}
}
