package trace

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/diag"
	"skep/schema"
)

// TestTerminal has text of others that would drive a terminal, in all that shows it: on a terminal it is made visible, elsewhere it
// passes unchanged. The script's own escape sequences always pass.
func TestTerminal(t *testing.T) {
	const evil = "a\x1b[2J\rb\x7f\tc\n\xc2\x9b\xff é…"
	const shown = "a\\x1b[2J\\x0db\\x7f\tc\n\\xc2\\x9b\\xff é…"
	name := &schema.Type{Kind: schema.String, Size: 32}
	memory := make([]byte, 32)
	copy(memory, evil)
	play := func(terminal bool) result {
		s := newScript()
		bold := append(append(literal("\x1b[1m"), verb("s", 0), verb("s", 1)), literal("\x1b[0m\n")...)
		printf := s.event(schema.Event{Kind: schema.Printf, Verbs: bold}, nil, name)
		join := s.event(schema.Event{Kind: schema.Join, Format: " "}, nil, nil)
		system := s.event(schema.Event{Kind: schema.System, Verbs: append(literal("printf '%s' '"), verb("s", 0), literal("' | od -An -c | tr -d ' \\n'")[0])}, nil)
		warn := s.event(schema.Event{Kind: schema.Warnf, Verbs: []schema.Verb{verb("s", 0)}, Span: diag.Span{Start: 8, End: 10}}, nil)
		exit := s.event(schema.Event{Kind: schema.Exit})
		s.table(schema.Map{Name: "@n", Key: name, Value: i64, Max: 2}, map[string][][]byte{string(memory): {words64(1)}})
		s.session.attach = func() {
			s.send(printf, varString{evil, false}, memory)
			s.send(join, varString{"x", false}, varString{evil, false})
			s.send(system, varString{"\x1b\x01", false})
			s.send(warn, varString{evil, false})
			s.send(exit)
		}
		return s.play(t, Options{Terminal: terminal})
	}
	for terminal, text := range map[bool]string{true: shown, false: evil} {
		want := result{
			Output: "\x1b[1m" + text + text + "\x1b[0m\nx " + text + "\n033001\n\n\n@n[" + text + "]: 1\n",
			Errors: "stdin:1:9-10: WARNING: " + text + "\n",
		}
		if d := cmp.Diff(want, play(terminal)); d != "" {
			t.Errorf("terminal %t (-want +got):\n%s", terminal, d)
		}
	}
}
