package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/internal/diag"
)

// Machine is where the names of a command line are looked up.
type Machine struct {
	Root string // "/", or another root in tests
	PID  int    // our own
}

// ThisMachine is the machine that skep runs on.
func ThisMachine() *Machine { return &Machine{Root: "/", PID: os.Getpid()} }

func (m *Machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.Root}, parts...)...)
}

// userID gives the number of a user.
func (m *Machine) userID(name string) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(id), nil
	}
	text, err := os.ReadFile(m.path("etc/passwd"))
	if err != nil {
		return 0, fmt.Errorf("looking up the user %q: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		// name:password:uid:…
		if f := strings.SplitN(line, ":", 4); len(f) == 4 && f[0] == name {
			if id, err := strconv.ParseUint(f[2], 10, 32); err == nil {
				return uint32(id), nil
			}
		}
	}
	return 0, fmt.Errorf("there is no user %q", name)
}

// errnoOf gives the number of an error that is called by its name.
func errnoOf(name string) (string, error) {
	if n, err := strconv.ParseUint(name, 0, 12); err == nil && n > 0 {
		return strconv.FormatUint(n, 10), nil
	}
	const last = 133 // EHWPOISON
	var names []string
	for n := range last {
		have := unix.ErrnoName(unix.Errno(n + 1))
		if have == name {
			return strconv.Itoa(n + 1), nil
		}
		names = append(names, have)
	}
	err := fmt.Sprintf("there is no error %q", name)
	if near := diag.Nearest(name, names); near != "" {
		err += "; did you mean " + near + "?"
	}
	return "", errors.New(err)
}

// disk gives the kernel's name of a disk or partition.
func (m *Machine) disk(name string) (string, error) {
	name = strings.TrimPrefix(name, "/dev/")
	kernel := name
	if target, err := filepath.EvalSymlinks(m.path("dev", name)); err == nil { // such as mapper/x, which leads to dm-0
		kernel = filepath.Base(target)
	}
	if _, err := os.Stat(m.path("sys/class/block", kernel)); err != nil {
		return "", fmt.Errorf("there is no disk %q", name)
	}
	return kernel, nil
}

// cgroups is the folder of the unified hierarchy.
func (m *Machine) cgroups() string {
	root := m.path("sys/fs/cgroup")
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		if hybrid := filepath.Join(root, "unified"); isDir(hybrid) {
			return hybrid
		}
	}
	return root
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// cgroup finds the folder of a control group, given from the root of files or from that of control groups.
func (m *Machine) cgroup(name string) (string, error) {
	root := m.cgroups()
	for _, path := range []string{m.path(name), filepath.Join(root, name)} {
		if rel, err := filepath.Rel(root, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") && isDir(path) {
			return path, nil
		}
	}
	if isDir(m.path(name)) && strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%s is no control group: they are below %s", name, root)
	}
	return "", fmt.Errorf("there is no control group %s below %s", name, root)
}

// minContainer is how much of a container's id must be given.
const minContainer = 4

// Engines name the control group of a container "ID", "engine-ID.scope", "lxc.payload.NAME" or "machine-NAME.scope".
var containerID = pattern(`^(?:[a-z][a-z-]*-)?([0-9a-f]{12,64})(?:\.scope)?$`)

// containerOf gives the id of the container that a control group of this name belongs to, or "".
func containerOf(name string) string {
	if strings.Contains(name, "conmon") {
		return "" // the process that watches the container
	}
	if m := containerID().FindStringSubmatch(name); m != nil {
		return m[1]
	}
	if n, ok := strings.CutPrefix(name, "lxc.payload."); ok {
		return n
	}
	if n, ok := strings.CutPrefix(strings.TrimSuffix(name, ".scope"), "machine-"); ok {
		return n
	}
	return ""
}

// container finds the control group of the container whose id begins like this.
func (m *Machine) container(id string) (string, error) {
	if len(id) < minContainer {
		return "", fmt.Errorf("--container: give at least %d characters of the id, not %q", minContainer, id)
	}
	root := m.cgroups()
	found, others := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) && path != root {
				return nil // a control group that has just ended
			}
			return err
		}
		c := containerOf(d.Name())
		switch {
		case c == "" || path == root:
		case !strings.HasPrefix(c, id):
			others[c] = true
		case found[c] == "" || len(path) < len(found[c]):
			found[c] = path
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("looking for the container: %w", err)
	}
	if path, ok := found[id]; ok {
		return path, nil
	}
	switch len(found) {
	case 1:
		for _, path := range found {
			return path, nil
		}
	case 0:
		if len(others) == 0 {
			return "", fmt.Errorf("there is no container %s: there is none at all below %s", id, root)
		}
		return "", fmt.Errorf("there is no container %s; there are %s", id, shortIDs(others))
	}
	all := map[string]bool{}
	for c := range found {
		all[c] = true
	}
	return "", fmt.Errorf("%d containers begin with %s: %s", len(all), id, shortIDs(all))
}

// shortIDs lists some ids, as much of them as engines show.
func shortIDs(ids map[string]bool) string {
	const most = 5
	var list []string
	for id := range ids {
		list = append(list, id[:min(12, len(id))])
	}
	slices.Sort(list)
	if len(list) > most {
		list = append(list[:most], "…")
	}
	return strings.Join(list, ", ")
}

// maxPID is the highest number that a process can have (PID_MAX_LIMIT). Inodes of namespaces are far above it.
const maxPID = 1 << 22

var nsLink = pattern(`^mnt:\[(\d+)\]$`)

// mountNamespace gives the inode of a mount namespace: of a number, of a process, of /proc/PID/ns/mnt, or of what that link says.
func (m *Machine) mountNamespace(text string) (uint64, error) {
	if l := nsLink().FindStringSubmatch(text); l != nil {
		text = l[1]
	}
	path := text
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n > maxPID {
			if n > 1<<32-1 {
				return 0, fmt.Errorf("%s is no inode of a namespace", text)
			}
			return n, nil
		}
		path = m.path("proc", text, "ns/mnt")
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if path != text && errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("there is no process %s", text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("looking at %s: %w", path, err)
		}
		return 0, fmt.Errorf("%q is a number of a namespace or of a process, or a path such as /proc/1/ns/mnt", text)
	}
	return st.Ino, nil
}
