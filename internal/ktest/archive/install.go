package archive

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
)

// InstallBackport installs a package's newer version from the backports of this machine's Debian. The machine's list
// of sources stays as it is.
func InstallBackport(ctx context.Context, name string) error {
	codename, err := debianCodename("/etc/os-release")
	if err != nil {
		return err
	}
	address, err := mirror(ctx, false)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ktest-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a, err := newApt(ctx, dir, address, codename, codename+"-backports")
	if err != nil {
		return err
	}
	_, err = a.run(ctx, "apt-get", "install", "-y", "--no-install-recommends", name+"/"+codename+"-backports")
	return err
}

func debianCodename(release string) (string, error) {
	f, err := os.Open(release)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", fmt.Errorf("%s has no VERSION_CODENAME", release)
}
