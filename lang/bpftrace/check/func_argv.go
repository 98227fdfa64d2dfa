package check

import "skep/schema"

// checkArgv is words() of an array of pointers that ends with NULL, as system calls take them: argv(args.argv). The words before first
// are left out.
func checkArgv(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	first := Expr(number(k.at, 0))
	if len(k.args) > 1 {
		first = c.intArg(k, 1)
	}
	t := &schema.Type{Kind: schema.Buffer, Size: maxWords + 4, Format: "words"}
	if !c.wordsForm(k, 2, t) || isBad(x) || isBad(first) {
		return bad(k.at)
	}
	return &Call{Node: Node{k.at, t}, Fn: "argv", Args: []Expr{x, c.convert(first, typeU64)}, Index: maxWords}
}
