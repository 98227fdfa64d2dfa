package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// contentsFile lists what was unpacked from packages whose signatures had been checked. The packages themselves are
// not kept, so this is how a kernel that was changed or damaged later is noticed.
const contentsFile = "contents.sha256"

// errChanged says that a folder does not hold what was unpacked into it.
var errChanged = errors.New("is not what was fetched")

func noteContents(home string) error {
	text, err := contents(home)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, contentsFile), text, 0o644)
}

// checkContents names a file that is not what it was; a folder without notes gives [fs.ErrNotExist].
func checkContents(home string) error {
	want, err := os.ReadFile(filepath.Join(home, contentsFile))
	if err != nil {
		return err
	}
	got, err := contents(home)
	if err != nil {
		return err
	}
	if bytes.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("%w: %s", errChanged, firstDifference(string(want), string(got)))
}

// contents has a line per file in the order of the names, as sha256sum prints it; of a link its target is hashed.
func contents(home string) ([]byte, error) {
	var text bytes.Buffer
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(home, path)
		if err != nil || name == contentsFile {
			return err
		}
		sum := sha256.New()
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			io.WriteString(sum, "-> "+target)
		} else if err := copyFile(sum, path); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum.Sum(nil), name)
		return nil
	})
	return text.Bytes(), err
}

func copyFile(to io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

func firstDifference(want, got string) string {
	have := map[string]string{}
	for line := range strings.Lines(got) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		have[name] = sum
	}
	for line := range strings.Lines(want) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		switch now, ok := have[name]; {
		case !ok:
			return name + " is missing"
		case now != sum:
			return name + " has changed"
		}
		delete(have, name)
	}
	for name := range have {
		return name + " was not there"
	}
	return contentsFile + " has changed"
}
