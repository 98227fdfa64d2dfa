package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"skep/internal/diag"
	"skep/symbol"
)

// expandUSDT reads file:probe and file:provider:probe. One name may stand for several places, as the compiler has copied the code.
func expandUSDT(e *expansion, kind Kind) error {
	if len(e.parts) < 3 || len(e.parts) > 4 || e.parts[1].text == "" || e.parts[len(e.parts)-1].text == "" {
		return e.usage(kind)
	}
	files, err := e.binaries()
	if err != nil {
		return err
	}
	provider, name := "*", e.parts[len(e.parts)-1].text
	if len(e.parts) == 4 && e.parts[2].text != "" {
		provider = e.parts[2].text
	}
	var all []string
	found := false
	for _, path := range files {
		probes, err := usdtsIn(e.opt.PID, path)
		if err != nil {
			if HasWildcard(e.parts[1].text) {
				continue
			}
			failed := e.errorf(1, "%v", err)
			if errors.Is(err, fs.ErrNotExist) {
				failed.Message, failed.Err = fmt.Sprintf("there is no file %s", path), ErrNoMatch
			}
			return failed
		}
		binary := path
		if absolute, err := filepath.Abs(path); err == nil {
			binary = absolute
		}
		if e.opt.PID != 0 {
			binary = fmt.Sprintf("/proc/%d/root%s", e.opt.PID, binary)
		}
		for i := range probes {
			u := &probes[i]
			all = append(all, u.Name)
			if !Glob(provider, u.Provider) || !Glob(name, u.Name) {
				continue
			}
			found = true
			if !e.add(Point{
				Kind: kind, Name: "usdt:" + path + ":" + u.Provider + ":" + u.Name,
				Binary: binary, Function: u.Name, FileOffset: u.Offset, USDT: u,
			}) {
				return nil
			}
		}
	}
	if found {
		return nil
	}
	near := ""
	if n := diag.Nearest(name, all); n != "" && !HasWildcard(name) {
		near = "usdt:" + e.parts[1].text + ":" + n
	}
	return e.noMatch(len(e.parts)-1, "USDT probe "+name+" in "+e.parts[1].text, near)
}

func usdtsIn(pid int, path string) ([]symbol.USDT, error) {
	file, err := symbol.OpenELFIn(pid, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.USDTs()
}

// usdtArgs lists what is known of a probe's arguments.
func (l *listing) usdtArgs(u *symbol.USDT) {
	for i, a := range u.Args {
		fmt.Fprintf(l.w, "    %s arg%d\n", usdtType(a), i)
	}
}

func usdtType(a symbol.USDTArg) string {
	switch {
	case a.Unknown != "":
		return "?"
	case a.Signed:
		return fmt.Sprintf("int%d", 8*a.Size)
	}
	return fmt.Sprintf("uint%d", 8*a.Size)
}
