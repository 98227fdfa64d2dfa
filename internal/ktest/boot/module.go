package boot

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wantedModules are the drivers that guests load; one that a kernel has built in is left out.
func wantedModules() []string {
	return []string{"virtio_pci", "virtio_console", "veth", "dummy", "sch_ingress", "cls_bpf", "null_blk"}
}

// A module is a driver, decompressed: its signature is behind the code and stays valid.
type module struct {
	name string
	code []byte
}

// modules reads the wanted drivers of a kernel and what they depend on, in the order to load them. The packages
// come without modules.dep, which is made at installation, so the dependencies are read from the modules.
func modules(dir string, wanted []string) ([]module, error) {
	files, err := moduleFiles(dir)
	if err != nil {
		return nil, err
	}
	var ordered []module
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		if done[name] || files[name] == "" {
			return nil
		}
		done[name] = true
		code, err := decompress(files[name])
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		depends, err := moduleDepends(code)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		ordered = append(ordered, module{name, code})
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// moduleFiles finds every module; names have "_" where file names may have "-".
func moduleFiles(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, _, ok := strings.Cut(d.Name(), ".ko"); ok && !d.IsDir() {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return nil
	})
	return files, err
}

func decompress(path string) ([]byte, error) {
	var tool string
	switch filepath.Ext(path) {
	case ".xz":
		tool = "xz"
	case ".zst":
		tool = "zstd"
	case ".gz":
		tool = "gzip"
	default:
		return os.ReadFile(path)
	}
	out, err := exec.Command(tool, "-dc", path).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w (%w)", ErrNoEmulator, err)
	}
	if err != nil {
		return nil, fmt.Errorf("decompressing with %s: %w", tool, err)
	}
	return out, nil
}

// moduleDepends reads "depends=a,b" from the module's list of zero-terminated properties.
func moduleDepends(code []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for property := range bytes.SplitSeq(info, []byte{0}) {
		if value, ok := bytes.CutPrefix(property, []byte("depends=")); ok && len(value) > 0 {
			return strings.Split(string(value), ","), nil
		}
	}
	return nil, nil
}
