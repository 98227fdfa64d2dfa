package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// twins are what file descriptors mean: to the kernel by themselves, to our maps by the functions of Options.
type twins struct {
	maps    map[uint32]Map
	targets map[uint32]uint64
	xdp     map[uint32]bool // sockets of AF_XDP
	errs    map[uint32]error
	fds     []uint32
	inner   *kernelMap
}

func (w *twins) options(o *Options) {
	o.Map = func(fd uint32) (Map, error) {
		if m := w.maps[fd]; m != nil {
			return m, nil
		}
		if err := w.errs[fd]; err != nil {
			return nil, err
		}
		return nil, EBADF
	}
	o.Target = func(t ebpf.MapType, fd uint32) (uint64, error) {
		if sockets := t == ebpf.XSKMap || t == ebpf.SockMap || t == ebpf.SockHash; sockets && w.xdp[fd] != (t == ebpf.XSKMap) && w.targets[fd] != 0 {
			return 0, EOPNOTSUPP
		}
		if target := w.targets[fd]; target != 0 {
			return target, nil
		}
		if err := w.errs[fd]; err != nil {
			return 0, err
		}
		return 0, EBADF
	}
	o.Device = func(i uint32) bool {
		_, err := net.InterfaceByIndex(int(i))
		return err == nil
	}
}

// fd gives values that begin with a file descriptor.
func (w *twins) fd(r *rand.Rand, value []byte) {
	clear(value)
	fd := w.fds[r.IntN(len(w.fds))]
	if len(value) == 8 {
		binary.NativeEndian.PutUint64(value, uint64(fd))
		return
	}
	binary.NativeEndian.PutUint32(value, fd)
}

// noFD is a file descriptor that is not open.
const noFD = 1 << 20

func newTwins(t *testing.T) *twins {
	w := &twins{maps: map[uint32]Map{}, targets: map[uint32]uint64{}, errs: map[uint32]error{}, xdp: map[uint32]bool{}}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	w.errs[uint32(null.Fd())] = EINVAL
	w.fds = []uint32{noFD, uint32(null.Fd())}
	return w
}

// mapTwins are maps like an attr, and one that is not.
func mapTwins(t *testing.T, like *attr) *twins {
	w := newTwins(t)
	other := *like
	other.valueSize += 8
	more := *like
	more.maxEntries++
	for _, a := range []*attr{like, like, like, &other, &more} {
		k, err := inKernel(t, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.close)
		id := k.id(t)
		m, err := create(a, Options{CPUs: ebpf.MustPossibleCPU(), ID: id, Handle: uint64(id)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		w.maps[uint32(k.fd)] = m
		w.fds = append(w.fds, uint32(k.fd))
		if w.inner == nil {
			w.inner = k
		}
	}
	return w
}

func (m *kernelMap) id(t *testing.T) uint32 {
	fd, err := unix.Dup(m.fd)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	info, err := k.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return uint32(id)
}

// programTwins are programs of one type.
func programTwins(t *testing.T, kind ebpf.ProgramType, attach ebpf.AttachType) *twins {
	w := newTwins(t)
	for range 3 {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, AttachType: attach, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		w.targets[uint32(p.FD())] = uint64(id)
		w.fds = append(w.fds, uint32(p.FD()))
	}
	return w
}

// socketTwins are listening sockets, which a sockmap takes, sockets that an XSK map takes, and a file that is none.
func socketTwins(t *testing.T) *twins {
	w := newTwins(t)
	w.errs[w.fds[1]] = Errno(unix.ENOTSOCK)
	for range 3 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
		w.socket(t, fd)
	}
	for range 2 {
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		w.socket(t, fd)
		w.xdp[uint32(fd)] = true
	}
	return w
}

func (w *twins) socket(t *testing.T, fd int) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	w.targets[uint32(fd)] = cookie
	w.fds = append(w.fds, uint32(fd))
}

// devices gives values of devmaps: an interface, often the loopback, and sometimes a program.
func devices(w *twins) func(*rand.Rand, []byte) {
	return func(r *rand.Rand, value []byte) {
		binary.NativeEndian.PutUint32(value, []uint32{0, 1, 1, 1, 1 << 20}[r.IntN(5)])
		withProgram(w, r, value)
	}
}

// queues gives values of CPU maps.
func queues(w *twins) func(*rand.Rand, []byte) {
	return func(r *rand.Rand, value []byte) {
		binary.NativeEndian.PutUint32(value, []uint32{0, 1, 16384, 16385}[r.IntN(4)])
		withProgram(w, r, value)
	}
}

func withProgram(w *twins, r *rand.Rand, value []byte) {
	if len(value) == 8 {
		fd := uint32(0)
		switch r.IntN(4) {
		case 0:
			fd = 0xffffffff
		case 1:
			fd = w.fds[r.IntN(len(w.fds))]
		}
		binary.NativeEndian.PutUint32(value[4:], fd)
	}
}

// taskTwins are this process, by two file descriptors, and a child.
func taskTwins(t *testing.T) *twins {
	w := newTwins(t)
	w.errs[w.fds[1]] = EBADF
	child := exec.Command("cat")
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	for _, pid := range []int{os.Getpid(), os.Getpid(), child.Process.Pid} {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		w.targets[uint32(fd)] = uint64(pid)
		w.fds = append(w.fds, uint32(fd))
	}
	return w
}
