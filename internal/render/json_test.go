package render

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestObject reads what is written with the standard library.
func TestObject(t *testing.T) {
	var o Object
	o.Text("text", "a \"b\"\n\xff")
	o.Text("none", "")
	o.Number("number", -3)
	o.Texts("texts", []string{"x", "y"})
	o.Texts("no texts", nil)
	o.Object("object", func(o *Object) { o.Number("n", 1) })
	o.Objects("objects", 2, func(i int, o *Object) { o.Number("i", i) })
	var got any
	if err := json.Unmarshal([]byte(o.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, o.String())
	}
	want := map[string]any{
		"text": "a \"b\"\n\ufffd", "number": -3.0, "texts": []any{"x", "y"}, "object": map[string]any{"n": 1.0},
		"objects": []any{map[string]any{"i": 0.0}, map[string]any{"i": 1.0}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAppendJSON(t *testing.T) {
	got := string(AppendJSON(nil, []byte("a\x7fb\u0085c\x1b\xff\tä\ufffd\"\\\U0001F41D")))
	if want := `"a\u007fb\u0085c\u001b\ufffd\tä` + "\ufffd" + `\"\\` + "\U0001F41D" + `"`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
