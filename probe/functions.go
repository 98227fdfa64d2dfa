package probe

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"skep/internal/diag"
	"skep/symbol"
)

// functions calls f with the kernel functions whose module and name match the globs, each name once per module: those that ftrace
// can trace, or if their list cannot be read, all functions of kallsyms.
func (c *Catalog) functions(module, name string, f func(module, name string) bool) error {
	file, parse, err := c.openFunctions()
	if err != nil {
		return err
	}
	defer file.Close()
	seen := map[string]bool{}
	s := bufio.NewScanner(file)
	for s.Scan() {
		fn, mod := parse(s.Bytes())
		if fn == nil || !globBytes(name, fn) {
			continue
		}
		m := "vmlinux"
		if mod != nil {
			m = string(mod)
		}
		if module != "" && !Glob(module, m) {
			continue
		}
		if full := m + ":" + string(fn); !seen[full] {
			seen[full] = true
			if !f(m, string(fn)) {
				return nil
			}
		}
	}
	return s.Err()
}

// globBytes is Glob with a quick way out for the common pattern prefix*.
func globBytes(pattern string, name []byte) bool {
	if i := strings.IndexAny(pattern, "*?["); i > 0 && !strings.Contains(pattern, "|") && (len(name) < i || string(name[:i]) != pattern[:i]) {
		return false
	}
	return Glob(pattern, string(name))
}

func (c *Catalog) openFunctions() (io.ReadCloser, func(line []byte) (name, module []byte), error) {
	if f, err := c.tracefs().Open("available_filter_functions"); err == nil {
		// An empty or refused list (lockdown) shows on the first read only.
		r := bufio.NewReaderSize(f, 1<<16)
		if _, err := r.Peek(1); err == nil {
			return readCloser{r, f}, filterFunction, nil
		}
		f.Close()
	}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil, nil, fmt.Errorf("listing kernel functions: %w", err)
	}
	return f, kallsymsFunction, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// filterFunction reads "vfs_read" or "ext4_sync_file [ext4]".
func filterFunction(line []byte) (name, module []byte) {
	name, rest, ok := bytes.Cut(line, []byte(" ["))
	if ok {
		module = bytes.TrimSuffix(rest, []byte("]"))
	}
	if bytes.HasPrefix(name, []byte("__ftrace_invalid_address__")) {
		return nil, nil
	}
	return name, module
}

// kallsymsFunction reads "ffffffff81000000 T vfs_read\t[module]".
func kallsymsFunction(line []byte) (name, module []byte) {
	_, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(rest) < 3 || rest[0]|0x20 != 't' && rest[0]|0x20 != 'w' {
		return nil, nil
	}
	name, mod, ok := bytes.Cut(rest[2:], []byte("\t["))
	if ok {
		module = bytes.TrimSuffix(mod, []byte("]"))
	}
	if bytes.HasPrefix(name, []byte("__cfi_")) || bytes.HasPrefix(name, []byte("__pfx_")) || bytes.HasPrefix(name, []byte("bpf_prog_")) || string(module) == "bpf" {
		return nil, nil
	}
	return name, module
}

// NearestFunction gives the kernel function that name was probably meant to be, or "".
func (c *Catalog) NearestFunction(name string) string {
	var names []string
	prefix := name[:min(2, len(name))]
	_ = c.functions("", prefix+"*", func(_, fn string) bool {
		if len(fn) <= len(name)+3 {
			names = append(names, fn)
		}
		return true
	})
	return diag.Nearest(name, names)
}

// insideFunction reports whether an offset may lie in a function of the kernel, since the kernel itself takes any address of an
// instruction. It cannot be told of functions of modules, and of those that are not known.
func insideFunction(name string, offset uint64) bool {
	var start, next uint64
	err := symbol.NewKernel().Each(func(addr uint64, _ byte, symbol, module []byte) bool {
		switch {
		case start != 0 && addr > start: // the kernel's own symbols come first, in the order of their addresses
			next = addr
			return false
		case string(symbol) == name && len(module) == 0:
			start = addr
		}
		return len(module) == 0
	})
	return err != nil || next == 0 || start+offset < next
}
