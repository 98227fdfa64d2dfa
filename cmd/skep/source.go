package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"skep/app/tools"
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
)

// maxScript is far above any script; a larger file is something else.
const maxScript = 16 << 20

// readSource reads the script that the command line names. Diagnostics call a program of -e and standard input "stdin", as bpftrace does.
func readSource(env *environment, o *options) (*diag.Source, error) {
	if o.source != nil {
		return o.source, nil
	}
	if len(o.program) > 0 {
		return &diag.Source{Name: "stdin", Text: strings.Join(o.program, "\n")}, nil
	}
	in, name := env.stdin, "stdin"
	if o.file != "-" {
		f, err := os.Open(o.file)
		if errors.Is(err, os.ErrNotExist) {
			if near := tools.Nearest(o.file); near != "" {
				return nil, fmt.Errorf("reading the script: %w; did you mean the tool %s?", err, near)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading the script: %w", err)
		}
		defer f.Close()
		in, name = f, o.file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxScript+1))
	if err != nil {
		return nil, fmt.Errorf("reading the script: %w", err)
	}
	if len(text) > maxScript {
		return nil, fmt.Errorf("reading the script: %s is larger than %d MiB", name, maxScript>>20)
	}
	src := &diag.Source{Name: name, Text: strings.TrimPrefix(string(text), "\ufeff")} // editors may mark UTF-8
	if !o.fmt {
		tools.Complete(src)
	}
	return src, nil
}

func parseOptionsOf(o *options) syntax.Options { return syntax.Options{Format: o.fmt} }

// show prints the diagnostics and reports whether there is an error among them.
func show(env *environment, o *options, list *diag.List) bool {
	if list == nil || len(list.All) == 0 {
		return false
	}
	tools.Trace(list)
	shown := &diag.List{Source: list.Source}
	for _, d := range list.All {
		if d.Severity == diag.Error || !o.noWarnings {
			shown.All = append(shown.All, d)
		}
	}
	diag.Render(env.stderr, shown, colours(env.stderr))
	return list.HasErrors()
}

// colours reports whether f is a terminal that shows colours; NO_COLOR and BPFTRACE_COLOR decide otherwise.
func colours(f *os.File) bool {
	switch os.Getenv("BPFTRACE_COLOR") {
	case "always":
		return true
	case "never":
		return false
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return isTerminal(f)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
