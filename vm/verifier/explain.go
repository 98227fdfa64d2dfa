package verifier

// A Cause is one step on the way to what is known of a value.
type Cause struct {
	Insn int
	Line *Line
	Text string
}

func (v *verifier) explain(e *Rejection) {}
