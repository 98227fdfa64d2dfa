package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func upper(t *testing.T, ar *txtar.Archive) map[string]string {
	return map[string]string{"out": strings.ToUpper(File(t, ar, "in")), "errors": ""}
}

func TestRun(t *testing.T) {
	if Updating() {
		t.Skip("would compare with what it writes")
	}
	name := filepath.Join(t.TempDir(), "a.txtar")
	if err := os.WriteFile(name, []byte("-- in --\nabc\n-- out --\nABC\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	Run(t, name, upper)
}

func TestUpdate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.txtar")
	if err := os.WriteFile(name, []byte("comment\n-- in --\nabc\n-- errors --\nold\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := update(name, ar, upper(t, ar)); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(name)
	if want := "comment\n-- in --\nabc\n-- out --\nABC\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
