package check

import (
	"strings"
	"testing"
)

func TestLongProbe(t *testing.T) {
	text := func(statements int) string { return "BEGIN, END { " + strings.Repeat("@++;", statements) + " }" }
	if _, list := checkText(text(maxStatements)); list.HasErrors() {
		t.Errorf("%d statements: %v", maxStatements, list)
	}
	_, list := checkText(text(maxStatements + 1))
	if want := "script.bt:1:1-10: ERROR: this probe is too long: it has more than 10000 statements\n"; !strings.HasPrefix(list.Error(), want) {
		t.Errorf("one more: %s\nwant %s", list.Error(), want)
	}
}
