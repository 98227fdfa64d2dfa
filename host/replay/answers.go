package replay

import (
	"errors"

	"skep/recording"
	"skep/symbol"
	"skep/trace"
)

// Nameless is for replays, which know the names that are in the recording: those of the machine that replays are of other programs.
type Nameless struct{}

var _ trace.Symbols = Nameless{}

// Kernel knows no names.
func (Nameless) Kernel(addrs []uint64) []symbol.Symbol { return make([]symbol.Symbol, len(addrs)) }

// User knows no names.
func (Nameless) User(_ int, addrs []uint64) []symbol.Symbol {
	return make([]symbol.Symbol, len(addrs))
}

// BuildID knows no files.
func (Nameless) BuildID(int, uint64) (id string, offset uint64, ok bool) { return "", 0, false }

// Snapshot does nothing.
func (Nameless) Snapshot(int) {}

// Prepare does nothing.
func (Nameless) Prepare() {}

// Unwind finds no frames: copied stacks are not recorded.
func (Nameless) Unwind(dst []uint64, _ int, _ *symbol.Registers, _ symbol.UserStack, _ int) ([]uint64, error) {
	return dst, errors.New("copied stacks are not recorded")
}

// AskedHas is what questions of has() are about.
const AskedHas = "has"

// Asked knows what the machine of a recording has said: the names of addresses, users, files.
type Asked struct {
	texts map[recording.Answer][]string // by question; the last one is said again and again
	// Missing counts the questions that nobody asked then.
	Missing int
}

// NewAsked takes the answers of a recording.
func NewAsked(answers []recording.Answer) *Asked {
	a := &Asked{texts: map[recording.Answer][]string{}}
	for _, answer := range answers {
		question := recording.Answer{About: answer.About, Question: answer.Question}
		a.texts[question] = append(a.texts[question], answer.Text)
	}
	return a
}

// Answer gives the recorded answer, "" if there is none. The machine that replays is not asked, except by has() (AskedHas), which asks what the
// recording has.
func (a *Asked) Answer(about, question string, ask func() string) string {
	key := recording.Answer{About: about, Question: question}
	texts := a.texts[key]
	if len(texts) == 0 && about == AskedHas {
		return ask()
	}
	if len(texts) == 0 {
		a.Missing++
		return ""
	}
	if len(texts) > 1 {
		a.texts[key] = texts[1:]
	}
	return texts[0]
}

// Asking asks the machine and remembers what it says in a recording. The writer may come later.
type Asking struct {
	Writer  *recording.Writer
	waiting []recording.Answer
	said    map[recording.Answer]bool
}

// mostSaid bounds the answers that are known to be in the recording.
const mostSaid = 1 << 16

// Answer asks.
func (a *Asking) Answer(about, question string, ask func() string) string {
	answer := recording.Answer{About: about, Question: question, Text: ask()}
	if about != "system" && about != "cat" { // those are asked anew each time
		if a.said[answer] {
			return answer.Text
		}
		if a.said == nil || len(a.said) >= mostSaid {
			a.said = map[recording.Answer]bool{}
		}
		a.said[answer] = true
	}
	if a.Writer == nil {
		a.waiting = append(a.waiting, answer)
		return answer.Text
	}
	a.Flush()
	_ = a.Writer.Answer(answer)
	return answer.Text
}

// Flush writes what was asked before there was a writer.
func (a *Asking) Flush() {
	for _, w := range a.waiting {
		_ = a.Writer.Answer(w) // an error of the file comes again with the next event
	}
	a.waiting = nil
}
