package kernel

import (
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"skep/host"
)

// Privileges says early whether this process may trace: nil, or a *host.Privilege or *host.Missing.
func Privileges() error {
	caps, err := effective()
	if err != nil {
		return err
	}
	admin := caps&(1<<unix.CAP_SYS_ADMIN) != 0
	for _, c := range []struct {
		bit    uint
		name   string
		action string
	}{
		{unix.CAP_BPF, "CAP_BPF", "loading programs"},
		{unix.CAP_PERFMON, "CAP_PERFMON", "tracing"},
	} {
		if !admin && caps&(1<<c.bit) == 0 {
			return &host.Privilege{Capability: c.name, Action: c.action, Way: "run as root, or with CAP_BPF and CAP_PERFMON", Err: unix.EPERM}
		}
	}
	if inUserNamespace() {
		return &host.Privilege{Capability: "CAP_BPF outside of this user namespace", Action: "loading programs",
			Way: "run in the first user namespace: as the machine's root, in a privileged container", Err: unix.EPERM}
	}
	// An attribute of zeros names no map that could be made: EINVAL is the answer of a kernel that listens.
	switch _, err := bpf(unix.BPF_MAP_CREATE, &mapCreateAttr{}); {
	case errors.Is(err, unix.ENOSYS):
		return noBPF(err)
	case errors.Is(err, unix.EPERM):
		return denied("bpf(2)", err)
	}
	return nil
}

// effective gives the capabilities of this thread.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// inUserNamespace: the first namespace maps all ids to themselves.
func inUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	f := strings.Fields(string(text))
	return len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295"
}

// denied explains EPERM, which has several causes.
func denied(action string, err error) error {
	caps, capErr := effective()
	admin := caps&(1<<unix.CAP_SYS_ADMIN) != 0
	switch {
	case capErr == nil && !admin && caps&(1<<unix.CAP_BPF) == 0:
		return &host.Privilege{Capability: "CAP_BPF", Action: action, Way: "run as root, or with CAP_BPF and CAP_PERFMON", Err: err}
	case capErr == nil && !admin && caps&(1<<unix.CAP_PERFMON) == 0:
		return &host.Privilege{Capability: "CAP_PERFMON", Action: action, Way: "run as root, or with CAP_BPF and CAP_PERFMON", Err: err}
	case inUserNamespace():
		return &host.Privilege{Capability: "CAP_BPF outside of this user namespace", Action: action,
			Way: "run as the machine's root", Err: err}
	}
	switch l := lockdown(); {
	case l == "confidentiality":
		return &host.Missing{What: action, Why: "lockdown=confidentiality forbids it"}
	case version() < 5<<16|11<<8 && memlockIsLow():
		return &host.Privilege{Capability: "memory (RLIMIT_MEMLOCK)", Action: action, Way: "ulimit -l unlimited", Err: err}
	case underSeccomp():
		return &host.Privilege{Capability: "a permission that the seccomp profile of this container or service denies", Action: action,
			Way: "allow bpf(2) and perf_event_open(2) in it, or run outside", Err: err}
	case l == "integrity":
		return &host.Missing{What: action, Why: "lockdown=integrity forbids it"}
	}
	return &host.Privilege{Capability: "a permission that a security module denies", Action: action, Way: "see the kernel's log", Err: err}
}

// underSeccomp reports whether a filter of system calls is on this process.
func underSeccomp() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode != 0
}

func memlockIsLow() bool {
	var now unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now) == nil && now.Cur < 1<<30
}

func noBPF(err error) error {
	return &host.Missing{What: "bpf(2)", Why: "the kernel is built without CONFIG_BPF_SYSCALL, or seccomp hides it"}
}

// lockdown gives the state of the kernel's lockdown: "none", "integrity", "confidentiality", or "" if that is not known.
var lockdown = sync.OnceValue(func() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if errors.Is(err, os.ErrNotExist) {
		text = readPrivately("securityfs", "lockdown")
	}
	_, now, _ := strings.Cut(string(text), "[")
	now, _, _ = strings.Cut(now, "]")
	return now
})

// readPrivately reads a file of a file system that is not mounted.
func readPrivately(fstype, file string) []byte {
	conf, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil
	}
	defer unix.Close(conf)
	if unix.FsconfigCreate(conf) != nil {
		return nil
	}
	dir, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var buf [256]byte
	n, _ := unix.Read(fd, buf[:])
	return buf[:max(n, 0)]
}

// raiseMemlock lifts the limit that kernels before 5.11 count maps and programs against.
func raiseMemlock() {
	if version() >= 5<<16|11<<8 {
		return
	}
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited) != nil {
		var now unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now) == nil {
			now.Cur = now.Max
			// Without the right to more, what there is.
			unix.Setrlimit(unix.RLIMIT_MEMLOCK, &now)
		}
	}
}
