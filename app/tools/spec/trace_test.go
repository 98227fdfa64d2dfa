package spec

import (
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/golden"

	"strings"
)

// TestGolden translates the lines of testdata/*.txtar: each file "trace", "count" or "histogram" has a specifier a line.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		out := map[string]string{}
		for _, f := range ar.Files {
			if strings.HasSuffix(f.Name, ".bt") {
				continue
			}
			var b strings.Builder
			n := 0
			for line := range strings.Lines(string(f.Data)) {
				n++
				line = strings.TrimRight(line, "\n")
				text, err := "", error(nil)
				switch f.Name {
				case "trace":
					text, err = Trace(line)
				case "count":
					var d Distributions
					if err = d.Count(line); err == nil {
						text = d.Text()
					}
				case "histogram":
					var d Distributions
					if err = d.Histogram(line); err == nil {
						text = d.Text()
					}
				}
				b.WriteString("# " + line + "\n")
				if err != nil {
					text = err.Error() + "\n"
				}
				b.WriteString(text + "\n")
			}
			out[f.Name+".bt"] = b.String()
		}
		return out
	})
}
