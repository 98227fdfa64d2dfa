package check

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzCheck parses and checks scripts: whatever they say, checking must end, quickly and without panic, and what it
// accepts must be complete.
func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no test data: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			if filepath.Ext(file.Name) == ".bt" {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		start := time.Now()
		tree, list := checkText(text)
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("checking took %v", d)
		}
		if (tree == nil) != list.HasErrors() {
			t.Fatalf("tree %t, errors %t", tree != nil, list.HasErrors())
		}
		if tree != nil {
			verifyTree(t, "script", tree)
			_ = Dump(tree)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for name, text := range map[string]string{
		"hello": `BEGIN { printf("hi\n"); exit(); }`,
		"slow":  `tracepoint:block:block_rq_complete /args->nr_sector > 0/ { $lat = (nsecs - @start[args->dev, args->sector]) / 1000000; if ($lat > 10) { printf("%d ms\n", $lat); } delete(@start[args->dev, args->sector]); } tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs; }`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if tree, list := checkText(text); tree == nil {
					b.Fatal(list)
				}
			}
		})
	}
}
