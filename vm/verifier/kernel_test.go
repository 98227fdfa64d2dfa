package verifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// kernelUnderTest loads programs into the running kernel, without attaching them, to compare its verdicts with ours.
type kernelUnderTest struct {
	version Kernel
	cpus    int
	maps    map[*mapDef]*ebpf.Map
	log     []byte
	types   *btf.Spec                // nil if the kernel has none
	shared  map[*mapDef]*loadedTypes // what maps with objects in them were made with
}

func (k *kernelUnderTest) options() Options {
	o := Options{CPUs: k.cpus}
	if k.types != nil {
		o.Types = k.types
	}
	return o
}

// attachID is the number of the type that a tracing program is attached to.
func (k *kernelUnderTest) attachID(spec *ebpf.ProgramSpec) uint32 {
	var t btf.Type
	var tp *btf.Typedef
	var f *btf.Func
	name := spec.AttachTo
	if ops, _, ok := strings.Cut(name, ":"); ok && spec.Type == ebpf.StructOps {
		id, _ := k.types.TypeID(structOf(k.types, ops))
		return uint32(id)
	}
	switch {
	case spec.Type == ebpf.LSM:
		name = "bpf_lsm_" + name
	case spec.AttachType == ebpf.AttachTraceIter:
		name = "bpf_iter_" + name
	}
	if spec.AttachType == ebpf.AttachTraceRawTp {
		if k.types.TypeByName("btf_trace_"+spec.AttachTo, &tp) != nil {
			return 0
		}
		t = tp
	} else {
		if k.types.TypeByName(name, &f) != nil {
			return 0
		}
		t = f
	}
	id, err := k.types.TypeID(t)
	if err != nil {
		return 0
	}
	return uint32(id)
}

func runningKernel(t testing.TB) *kernelUnderTest {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	k, err := ParseKernel(unix.ByteSliceToString(u.Release[:]))
	if err != nil {
		t.Fatal(err)
	}
	if newest := Linux7_2; k&^0xff > newest&^0xff {
		t.Skipf("the rules of %v are not known here: the newest are those of %v", k, newest)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	r := &kernelUnderTest{version: k, cpus: possibleCPUs(), maps: map[*mapDef]*ebpf.Map{}, shared: map[*mapDef]*loadedTypes{}, log: make([]byte, 4<<20)}
	if types, err := btf.LoadKernelSpec(); err == nil {
		r.types = types
	}
	t.Cleanup(r.closeMaps)
	return r
}

// closeMaps gives the memory of all maps and types back to the kernel.
func (k *kernelUnderTest) closeMaps() {
	for _, m := range k.maps {
		m.Close()
	}
	clear(k.maps)
	for _, l := range k.shared {
		l.close()
	}
	clear(k.shared)
}

func possibleCPUs() int {
	text, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0
	}
	s := strings.TrimSpace(string(text))
	n, err := strconv.Atoi(s[strings.LastIndexAny(s, "-,")+1:])
	if err != nil {
		return 0
	}
	return n + 1
}

// A kernelAnswer is what the kernel says of a program.
type kernelAnswer struct {
	accepted bool
	insns    int
	states   int
	peak     int
	took     time.Duration
	log      string
	err      error
}

var verificationTime = regexp.MustCompile(`verification time (\d+) usec`)

var processed = regexp.MustCompile(`processed (\d+) insns .* total_states (\d+) peak_states (\d+)`)

// load asks the kernel. With verbose, the log has each instruction.
func (k *kernelUnderTest) load(p *program, verbose bool) kernelAnswer {
	var b bytes.Buffer
	types, closeTypes, err := k.loadTypes(p)
	if err != nil {
		return kernelAnswer{err: err, log: "types: " + err.Error()}
	}
	defer closeTypes()
	for i, in := range p.insns {
		if m := p.maps[i]; m != nil {
			fd, err := k.mapOf(m, types)
			if err != nil {
				return kernelAnswer{err: err, log: "map: " + err.Error()}
			}
			in.Imm = int32(fd)
		}
		if t := p.localType(uint64(uint32(in.Imm))); t != nil && (in.isALU() || in.Op == loadImm64) {
			in.Imm = int32(types.ids[t])
		}
		if name := p.kfuncs[i]; name != "" {
			in.Imm, in.Off = k.kfuncID(name), 0
		}
		b.WriteByte(in.Op)
		b.WriteByte(in.Regs)
		_ = binary.Write(&b, binary.LittleEndian, in.Off)
		_ = binary.Write(&b, binary.LittleEndian, in.Imm)
	}
	insns, license := b.Bytes(), append([]byte(p.spec.License), 0)
	attr := struct {
		progType, insnCount  uint32
		insns, license       uint64
		logLevel, logSize    uint32
		logBuf               uint64
		kernVersion, flags   uint32
		name                 [16]byte
		ifindex, attachType  uint32
		btfFD, funcInfoSize  uint32
		funcInfo             uint64
		funcCount, lineSize  uint32
		lineInfo             uint64
		lineCount, attachBTF uint32
		attachProg, corN     uint32
	}{progType: uint32(p.spec.Type), insnCount: uint32(len(p.insns)), attachType: uint32(p.spec.AttachType), flags: p.spec.Flags}
	if (p.spec.Type == ebpf.Tracing || p.spec.Type == ebpf.LSM || p.spec.Type == ebpf.StructOps) && k.types != nil {
		attr.attachBTF = k.attachID(p.spec)
	}
	if ops, member, ok := strings.Cut(p.spec.AttachTo, ":"); ok && p.spec.Type == ebpf.StructOps && k.types != nil {
		attr.attachType = uint32(slices.IndexFunc(structOf(k.types, ops).Members, func(m btf.Member) bool { return m.Name == member }))
	}
	attr.insns, attr.license = address(insns), address(license)
	funcs := types.places(p)
	if types.fd >= 0 && len(funcs) > 0 {
		attr.btfFD, attr.funcInfo, attr.funcInfoSize, attr.funcCount = uint32(types.fd), address(funcs), 8, uint32(len(funcs)/8)
	}
	attr.logLevel, attr.logBuf, attr.logSize = 4, address(k.log), uint32(len(k.log))
	if verbose {
		attr.logLevel = 2 | 4
	}
	k.log[0] = 0
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	for errno == unix.EAGAIN { // a signal came while the kernel walked
		fd, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}
	runtime.KeepAlive(insns)
	runtime.KeepAlive(funcs)
	runtime.KeepAlive(license)
	a := kernelAnswer{accepted: errno == 0, log: unix.ByteSliceToString(k.log)}
	if errno == 0 {
		unix.Close(int(fd))
	} else {
		a.err = errno
		if !verbose {
			return k.load(p, true)
		}
	}
	if m := verificationTime.FindStringSubmatch(a.log); m != nil {
		n, _ := strconv.Atoi(m[1])
		a.took = time.Duration(n) * time.Microsecond
	}
	if m := processed.FindStringSubmatch(a.log); m != nil {
		a.insns, _ = strconv.Atoi(m[1])
		a.states, _ = strconv.Atoi(m[2])
		a.peak, _ = strconv.Atoi(m[3])
	}
	return a
}

func structOf(types *btf.Spec, name string) *btf.Struct {
	var s *btf.Struct
	if types.TypeByName(name, &s) != nil {
		return &btf.Struct{}
	}
	return s
}

// kfuncID is the number of the type of a function of the kernel; 0 if it has none.
func (k *kernelUnderTest) kfuncID(name string) int32 {
	var f *btf.Func
	if k.types == nil || k.types.TypeByName(name, &f) != nil {
		return 0
	}
	id, err := k.types.TypeID(f)
	if err != nil {
		return 0
	}
	return int32(id)
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

func (k *kernelUnderTest) mapOf(m *mapDef, types *loadedTypes) (int, error) {
	if have := k.maps[m]; have != nil {
		return have.FD(), nil
	}
	if types.shares(m) {
		made, err := types.makeMap(m)
		if err == nil {
			k.maps[m] = made
			return made.FD(), nil
		}
		return 0, err
	}
	spec := m.spec.Copy()
	spec.Name = ""
	switch {
	case m.kconfig != nil:
		value := make([]byte, spec.ValueSize)
		for offset, name := range m.kconfig {
			if name == "LINUX_KERNEL_VERSION" {
				binary.NativeEndian.PutUint32(value[offset:], uint32(k.version))
			}
		}
		spec.Contents = []ebpf.MapKV{{Key: uint32(0), Value: value}}
	case spec.Type == ebpf.Arena:
		spec.MapExtra = 1 << 44 // where it would be in user space
	case m.frozen == nil:
		spec.Contents = nil // programs in it are of no interest here
	}
	made, err := ebpf.NewMap(spec)
	if err != nil {
		return 0, fmt.Errorf("creating the map %s: %w", m.name, err)
	}
	if m.frozen != nil || m.kconfig != nil {
		if err := made.Freeze(); err != nil {
			return 0, err
		}
	}
	k.maps[m] = made
	return made.FD(), nil
}

// reason is the line of a log that tells why the program was rejected.
func (a kernelAnswer) reason() string {
	lines := strings.Split(strings.TrimSpace(a.log), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if l := lines[i]; !strings.HasPrefix(l, "processed") && !strings.HasPrefix(l, "insns processed") && !strings.HasPrefix(l, "stack depth") && !strings.HasPrefix(l, "verification time") && l != "" {
			return l
		}
	}
	if a.err != nil {
		return a.err.Error()
	}
	return ""
}
