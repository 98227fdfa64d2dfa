package tools

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Called gives the tool that a program called like this is: by its own name, or with a suffix that Debian gives to the tools of BCC and libbpf-tools.
func Called(program string) (tool string, ok bool) {
	for _, suffix := range []string{"", "-bpfcc", "-libbpf"} {
		if n := len(program) - len(suffix); n > 0 && program[n:] == suffix && Exists(program[:n]) {
			return program[:n], true
		}
	}
	return "", false
}

// Link makes a link to binary for each name of each tool in dir, and tells w what it did. What is there already is left
// alone, unless it is an old link to a skep.
func Link(w io.Writer, dir, binary string) error {
	self, err := os.Stat(binary)
	if err != nil {
		return err
	}
	made, kept, foreign := 0, 0, 0
	for _, tool := range Names() {
		for _, name := range []string{tool, tool + "-bpfcc"} {
			path := filepath.Join(dir, name)
			switch state, err := linkState(path, self); {
			case err != nil:
				return err
			case state == ours:
				kept++
				continue
			case state == other:
				fmt.Fprintf(w, "left alone: %s is something else\n", path)
				foreign++
				continue
			case state == stale:
				if err := os.Remove(path); err != nil {
					return err
				}
			}
			if err := os.Symlink(binary, path); err != nil {
				return err
			}
			made++
		}
	}
	fmt.Fprintf(w, "%d links to %s made in %s", made, binary, dir)
	if kept > 0 {
		fmt.Fprintf(w, ", %d were there", kept)
	}
	if foreign > 0 {
		fmt.Fprintf(w, ", %d names were taken", foreign)
	}
	fmt.Fprintln(w)
	return nil
}

type state uint8

const (
	free  state = iota
	ours        // a link to this binary
	stale       // a link to a skep that is no more
	other
)

func linkState(path string, self fs.FileInfo) (state, error) {
	target, err := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return free, nil
	case err != nil:
		return other, nil // no link
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if filepath.Base(target) == "skep" {
			return stale, nil
		}
		return other, nil
	case err != nil:
		return other, fmt.Errorf("looking where a link leads: %w", err)
	case os.SameFile(info, self):
		return ours, nil
	}
	return other, nil
}
