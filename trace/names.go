package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// names remembers the names of users and cgroups.
type names struct {
	answers     Answers
	users       map[uint32]string
	cgroups     map[uint64][]cgroupPath
	cgroupRoots []cgroupRoot
	cgroupsRead bool
	cgroupsAt   time.Time // of the last walk
}

// user is the name of a user id in /etc/passwd, or the number.
func (n *names) user(uid uint32) string {
	if n.answers == nil {
		return n.ownUser(uid)
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if name := n.answers.Answer("user", number, func() string { return n.ownUser(uid) }); name != "" {
		return name
	}
	return number
}

func (n *names) ownUser(uid uint32) string {
	if n.users == nil {
		n.users = map[uint32]string{}
		if f, err := os.Open("/etc/passwd"); err == nil {
			defer f.Close()
			for s := bufio.NewScanner(f); s.Scan(); {
				fields := strings.SplitN(s.Text(), ":", 4)
				if len(fields) < 4 {
					continue
				}
				if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil && n.users[uint32(id)] == "" {
					n.users[uint32(id)] = fields[0]
				}
			}
		}
	}
	name := n.users[uid]
	if name == "" {
		name = strconv.FormatUint(uint64(uid), 10)
		n.users[uid] = name
	}
	return name
}

// cgroupRoot is a mounted cgroup hierarchy.
type cgroupRoot struct {
	name string // "unified" for version 2, else the controllers
	path string
}

// cgroupPath is the path of a cgroup inside a hierarchy.
type cgroupPath struct{ hierarchy, inside string }

// cgroupWalkInterval bounds how often the hierarchy is walked for an id that it did not have.
const cgroupWalkInterval = time.Second

// cgroup is the path of a cgroup id: "unified:/system.slice", with one path for each hierarchy that has the id and whose name the
// filter matches, separated by commas; "" if there is none.
func (n *names) cgroup(id uint64, filter string) string {
	if n.answers == nil {
		return n.ownCgroup(id, filter)
	}
	return n.answers.Answer("cgroup", strconv.FormatUint(id, 10)+" "+filter, func() string { return n.ownCgroup(id, filter) })
}

func (n *names) ownCgroup(id uint64, filter string) string {
	paths, ok := n.cgroups[id]
	if !ok && (!n.cgroupsRead || time.Since(n.cgroupsAt) >= cgroupWalkInterval) {
		if n.cgroupRoots == nil {
			n.cgroupRoots = cgroupMounts()
		}
		n.cgroupsRead, n.cgroupsAt, n.cgroups = true, time.Now(), map[uint64][]cgroupPath{}
		for _, root := range n.cgroupRoots {
			walkCgroups(root, n.cgroups)
		}
		paths = n.cgroups[id]
	}
	var text strings.Builder
	for _, p := range paths {
		if match, _ := filepath.Match(filter, p.hierarchy); filter != "" && !match {
			continue
		}
		if text.Len() > 0 {
			text.WriteByte(',')
		}
		text.WriteString(p.hierarchy + ":" + p.inside)
	}
	return text.String()
}

// cgroupMounts finds the hierarchies in the tracer's mounts.
func cgroupMounts() []cgroupRoot {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var roots []cgroupRoot
	for line := range strings.Lines(string(data)) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		mount, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(mount) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			roots = append(roots, cgroupRoot{"unified", unescapeMount(mount[4])})
		case "cgroup":
			path := unescapeMount(mount[4])
			roots = append(roots, cgroupRoot{filepath.Base(path), path})
		}
	}
	return roots
}

// unescapeMount undoes the \040 of mountinfo.
func unescapeMount(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] == '\\' {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				s = s[:i] + string(rune(c)) + s[i+4:]
			}
		}
	}
	return s
}

// maxCgroups bounds a walk.
const maxCgroups = 1 << 16

// walkCgroups adds all cgroups of a hierarchy by their ids, which are what name_to_handle_at gives for their folders.
func walkCgroups(root cgroupRoot, into map[uint64][]cgroupPath) {
	filepath.WalkDir(root.path, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if len(into) >= maxCgroups {
			return filepath.SkipAll
		}
		id, ok := cgroupID(path)
		if !ok {
			return nil
		}
		inside := strings.TrimPrefix(path, root.path)
		if inside == "" {
			inside = "/"
		}
		into[id] = append(into[id], cgroupPath{root.name, inside})
		return nil
	})
}

func cgroupID(path string) (uint64, bool) {
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil || h.Size() < 8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(bytes.Clone(h.Bytes())), true
}
