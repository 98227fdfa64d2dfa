package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"skep/internal/ktest/boot"
)

// apiPackage marks the packages whose tests want kernels: their tests import it.
const apiPackage = "skep/internal/ktest"

// A Package is one whose tests are to be run on the kernels.
type Package struct {
	Path     string // import path
	Dir      string // its folder on the host
	Relative string // its folder relative to the module
	Binary   string // the built tests, "" if they did not build
	Problem  string // what the build printed
}

// Packages gives those of the matched packages whose tests import the test API, and those of which it cannot be known
// because they do not even parse; others are the rest.
func Packages(ctx context.Context, patterns []string) (packages []Package, others []string, err error) {
	args := append([]string{"list", "-e", "-json=ImportPath,Dir,Module,TestImports,XTestImports,Error"}, patterns...)
	out, err := run(ctx, "go", args...)
	if err != nil {
		return nil, nil, err
	}
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			Module                    struct{ Dir string }
			TestImports, XTestImports []string
			Error                     struct{ Err string }
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, others, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("reading what go list prints: %w", err)
		}
		if p.Module.Dir == "" && p.Error.Err != "" {
			return nil, nil, fmt.Errorf("package %s: %s", p.ImportPath, p.Error.Err)
		}
		imports := slices.Concat(p.TestImports, p.XTestImports)
		if p.ImportPath != apiPackage && !slices.Contains(imports, apiPackage) && p.Error.Err == "" {
			others = append(others, p.ImportPath)
			continue
		}
		relative, err := filepath.Rel(p.Module.Dir, p.Dir)
		if err != nil {
			return nil, nil, err
		}
		packages = append(packages, Package{Path: p.ImportPath, Dir: p.Dir, Relative: relative})
	}
}

// BuildTests builds each package's tests into dir, static and with their symbols, which tests look up in themselves.
func BuildTests(ctx context.Context, packages []Package, dir string) {
	for i := range packages {
		p := &packages[i]
		binary := filepath.Join(dir, strings.ReplaceAll(p.Relative, "/", "_")+".test")
		if _, err := run(ctx, "go", "test", "-c", "-ldflags=-w", "-o", binary, p.Path); err != nil {
			p.Problem = err.Error()
			continue
		}
		p.Binary = binary
	}
}

// Commands are the programs of the module that every guest gets.
type Commands struct {
	Init string
	Work string
	Skep string // "" if it does not build
}

// BuildCommands builds them into dir. A skep that does not build is no reason to run none of the tests.
func BuildCommands(ctx context.Context, dir string, progress io.Writer) (Commands, error) {
	c := Commands{Init: filepath.Join(dir, "init"), Work: filepath.Join(dir, "work")}
	if _, err := run(ctx, "go", "build", "-o", c.Init, apiPackage+"/guest"); err != nil {
		return c, err
	}
	if _, err := run(ctx, "go", "build", "-o", c.Work, apiPackage+"/work"); err != nil {
		return c, err
	}
	skep := filepath.Join(dir, "skep")
	if _, err := run(ctx, "go", "build", "-o", skep, "skep/cmd/skep"); err != nil {
		fmt.Fprintf(progress, "guests are without skep: %v\n", err)
		return c, nil
	}
	c.Skep = skep
	return c, nil
}

// An Addition is a file or folder of the host that the caller wants in the guests.
type Addition struct{ Host, Guest string }

// ParseAddition reads HOST:GUEST, or one path for both.
func ParseAddition(text string) Addition {
	host, guest, ok := strings.Cut(text, ":")
	if !ok {
		guest = host
	}
	return Addition{host, guest}
}

// NewRoot gives what all guests have in common: a shell, the small Unix tools, the module's programs.
func NewRoot(c Commands, additions []Addition) (*boot.Root, error) {
	root := boot.NewRoot()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", boot.ErrNoEmulator, err)
	}
	if err := root.File("/bin/busybox", busybox); err != nil {
		return nil, err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("asking busybox for its tools: %w", err)
	}
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			root.Symlink("/bin/"+name, "busybox")
		}
	}
	// A real bash: the usual target of a user-space probe, and its library another.
	if _, err := os.Stat("/bin/bash"); err != nil {
		return nil, fmt.Errorf("%w (%w)", boot.ErrNoEmulator, err)
	}
	if err := root.Program("/bin/bash", "/bin/bash"); err != nil {
		return nil, err
	}
	if err := root.File("/bin/work", c.Work); err != nil {
		return nil, err
	}
	if c.Skep != "" {
		if err := root.File("/bin/skep", c.Skep); err != nil {
			return nil, err
		}
		root.Symlink("/bin/bpftrace", "skep")
	}
	for _, a := range additions {
		st, err := os.Stat(a.Host)
		if err != nil {
			return nil, err
		}
		if st.IsDir() {
			err = root.Tree(a.Guest, a.Host)
		} else {
			err = root.Program(a.Guest, a.Host)
		}
		if err != nil {
			return nil, fmt.Errorf("adding %s: %w", a.Host, err)
		}
	}
	return root, nil
}

// run gives a Go command's output; its error has what the command complained about.
func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, strings.TrimSpace(problems.String()))
	}
	return string(out), nil
}
