package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// A suite of the archive; security updates have an address of their own.
type suite struct {
	name     string
	security bool
}

// fill downloads the newest cloud kernel of the first suite that has one and unpacks it into dir.
func fill(ctx context.Context, dir string, from []suite) error {
	var errs []error
	for _, s := range from {
		err := fillFrom(ctx, dir, s)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("suite %s: %w", s.name, err))
	}
	return errors.Join(errs...)
}

func fillFrom(ctx context.Context, dir string, s suite) error {
	if _, err := os.Stat(keyring); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	address, err := mirror(ctx, s.security)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	a, err := newApt(ctx, work, address, s.name)
	if err != nil {
		return err
	}
	a.options = append(a.options, "Dir::State::status=/dev/null") // nothing depends on what is installed
	packages, err := a.kernelPackages(ctx)
	if err != nil {
		return err
	}
	if _, err := a.run(ctx, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	debs, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, deb := range debs {
		if _, err := a.run(ctx, "dpkg", "-x", deb, dir); err != nil {
			return err
		}
	}
	return nil
}

// mirror asks the machine's apt where the archive is.
func mirror(ctx context.Context, security bool) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("%w: asking apt-get for its address: %w", ErrUnavailable, err)
	}
	for _, uri := range strings.Fields(string(out)) {
		path := strings.TrimSuffix(uri, "/")
		if security && strings.HasSuffix(path, "debian-security") || !security && strings.HasSuffix(path, "/debian") {
			return uri, nil
		}
	}
	return "", fmt.Errorf("%w: none among the sources of apt-get", ErrUnavailable)
}

// apt runs Debian's tools with state of its own, so that the machine's lists and packages stay as they are.
type apt struct {
	dir     string
	options []string
}

// newApt reads the lists of these suites into dir.
func newApt(ctx context.Context, dir, address string, suites ...string) (*apt, error) {
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	list := filepath.Join(dir, "sources.list")
	options := []string{
		"Dir::Etc::sourcelist=" + list,
		"Dir::Etc::sourceparts=-",
		"Dir::State::lists=" + filepath.Join(dir, "lists"),
		"Dir::Cache=" + filepath.Join(dir, "cache"),
		"APT::Sandbox::User=root", // the sandbox user may not enter the cache folder of root
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
		"Acquire::Retries=2",
	}
	var sources strings.Builder
	for _, suite := range suites {
		fmt.Fprintf(&sources, "deb [arch=amd64 signed-by=%s] %s %s main\n", keyring, address, suite)
	}
	if err := os.WriteFile(list, []byte(sources.String()), 0o644); err != nil {
		return nil, err
	}
	a := &apt{dir, options}
	if _, err := a.run(ctx, "apt-get", "update", "--error-on=any"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return a, nil
}

func (a *apt) run(ctx context.Context, tool string, args ...string) (string, error) {
	argv := args
	if tool != "dpkg" {
		argv = nil
		for _, o := range a.options {
			argv = append(argv, "-o", o)
		}
		argv = append(argv, args...)
	}
	cmd := exec.CommandContext(ctx, tool, argv...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", tool, args[0], err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// kernelPackages follows the suite's meta package to the packages that hold the image and the modules: one package
// in the stable suites, several behind an empty one in newer ones.
func (a *apt) kernelPackages(ctx context.Context) ([]string, error) {
	meta, err := a.run(ctx, "apt-cache", "depends", "linux-image-cloud-amd64")
	if err != nil {
		return nil, err
	}
	image := kernelDepends(meta)
	if len(image) != 1 {
		return nil, fmt.Errorf("linux-image-cloud-amd64 depends on %q, not on one image", image)
	}
	parts, err := a.run(ctx, "apt-cache", "depends", image[0])
	if err != nil {
		return nil, err
	}
	return append(image, kernelDepends(parts)...), nil
}

var kernelPackage = regexp.MustCompile(`(?m)^ +Depends: (linux-(?:image|binary|modules)-[0-9]\S+)$`)

// kernelDepends picks the kernel's own packages from what `apt-cache depends` prints.
func kernelDepends(depends string) []string {
	var names []string
	for _, m := range kernelPackage.FindAllStringSubmatch(depends, -1) {
		names = append(names, m[1])
	}
	return names
}
