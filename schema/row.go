package schema

// Column is one column of row() or of a table.
type Column struct {
	Blanks int    // before it
	Lead   string // signs and blanks behind the Blanks, such as "-> ", above it and in each row
	Title  string // above it
	Name   string // its key in JSON
	// Before and After are text around the value; JSON has the value alone. Of a stack, Before stands before each frame.
	Before, After string
	// Verb says how the value is shown. Its Arg is the index of the value: in Event.Args for row(), among the parts of key and values for
	// a table.
	Verb Verb
	// Parts are the pieces of text(), which makes one value of several; nil for a value.
	Parts []Verb
	// Match is a regular expression: a row whose value does not match is not shown.
	Match string
	// Scale divides numbers; 0 for none.
	Scale int64
}

// Form is how print_log2() and the like show a map.
type Form uint8

const (
	FormPlain  Form = iota // as print() does
	FormLog2               // a histogram as BCC draws it
	FormLinear             // the same of lhist()
	FormTable              // a table with Event.Columns
	FormFolded             // a stack on a line, as flame graphs are made of
	FormStacks             // a frame on a line, as BCC's tools show stacks
)

// View is what a map is shown as: the arguments of print_log2() and the like.
type View struct {
	Form    Form
	Unit    string   // log2, linear: of the values
	Section string   // log2, linear: what the keys are; the parts of a key have names with commas between them
	Columns []Column // table
	More    []*Map   // table: other maps with the same keys, whose values follow
	Top     int      // table: rows at most; 0 for all
	Sort    int      // table: the part that rows are sorted by, among those of key and values
	Upward  bool     // table: the largest comes last
	// Folded, stacks: whether "-" or "--" stands between the stacks of user and kernel, and what the kernel's frames are marked with.
	Delimiter bool
	Mark      string
	Plain     bool // stacks: frames without offset and file
	// Folded, stacks: names of the key's parts besides the stacks. One that ends with : stands before its part in text,
	// too; a part without a name is not shown.
	Names []string
	// Stacks: whether the address stands before each frame.
	Addresses bool
	// Folded: name of the value in JSON; stacks: of a histogram's unit, too. "count" if empty.
	Value string
}
