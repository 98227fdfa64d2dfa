package check

import (
	"fmt"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
)

// Limits on the size of one probe's program. The time and memory that compiling takes grow faster than the program does: at these, it is
// some seconds and about a gigabyte.
const (
	maxStatements  = 10000
	maxCopies      = 4096  // statements that unroll makes
	maxCopiedNodes = 40000 // expressions in them
)

// size is what a probe's program is made of, macros expanded and unroll written out.
type size struct {
	statements, nodes             int
	copiedStatements, copiedNodes int // those that stand in an unroll
}

func (c *checker) countStatement() {
	if c.size.statements++; c.size.statements > maxStatements {
		c.tooLong()
	}
}

// heading is the place of the attach points of the block.
func (c *checker) heading() diag.Span {
	points := c.block.probe.Points
	return points[0].Span.To(points[len(points)-1].Span)
}

// unrolled counts the copies that an unroll makes of its body, which is what has come since before; unrolls in it are counted already.
func (c *checker) unrolled(s *syntax.UnrollStmt, before size, n int) {
	if n < 2 {
		return
	}
	statements, nodes := n*(c.size.statements-before.statements), n*(c.size.nodes-before.nodes)
	c.nodes += nodes - (c.size.nodes - before.nodes)
	c.size = size{
		before.statements + statements, before.nodes + nodes,
		before.copiedStatements + statements, before.copiedNodes + nodes,
	}
	switch {
	case c.size.copiedStatements > maxCopies:
		c.tooManyCopies(s, statements, c.size.copiedStatements, "statements", maxCopies)
	case c.size.copiedNodes > maxCopiedNodes:
		c.tooManyCopies(s, nodes, c.size.copiedNodes, "expressions", maxCopiedNodes)
	case c.size.statements > maxStatements:
		c.tooLong()
	}
}

func (c *checker) tooLong() {
	c.stop(c.heading(), fmt.Sprintf("this probe is too long: it has more than %d statements", maxStatements))
}

func (c *checker) tooManyCopies(s *syntax.UnrollStmt, own, all int, of string, most int) {
	c.stopped = true
	d := c.list.Errorf(s.Count.Pos(), "this unroll makes %d %s: a probe may have %d in its unrolls", own, of, most)
	if own < all {
		d.Message = fmt.Sprintf("the unrolls up to this one make %d %s: a probe may have %d in its unrolls", all, of, most)
	}
	d.Hint = "for ($i : 0..n) { … } and while (…) { … } need no copies"
}
