// Package machine shows collections of the machine of package vm as hosts show what they have loaded: their maps and rings as user
// space reads them.
package machine

import (
	"errors"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/host"
	"skep/ir"
	"skep/vm"
	vmmaps "skep/vm/maps"
)

// KernelVersion is that of the kernel which the machine is like.
const KernelVersion = 6<<16 | 12<<8

// Target is the machine as something to compile for.
func Target(arch string, cpus int) *ir.Target {
	return &ir.Target{Kernel: KernelVersion, Arch: arch, CPUs: cpus, Has: has}
}

func has(f ir.Feature) bool {
	switch f {
	case ir.BTFTracepoint, ir.FentryProg, ir.CurrentTaskBTF: // no memory of the kernel to point to
		return false
	case ir.KprobeHooks, ir.KprobeMulti, ir.TracingCookie, ir.FuncIPKprobe, ir.DPath, ir.CopyFromUserTask, ir.TaskPtRegs:
		return false
	case ir.UprobeMulti, ir.MayGoto:
		return false
	}
	return f.Since() <= KernelVersion
}

// Loaded is a collection in a machine of its own.
type Loaded struct {
	Machine    *vm.Machine
	Collection *vm.Collection

	maps  map[string]*Map
	rings map[string]*Ring
	state []uint64
}

// Load makes a machine and loads the collection, whose programs are verified. Ring buffers get the sizes that the options say.
func Load(spec *ebpf.CollectionSpec, in vm.Options, opt host.Options) (l *Loaded, err error) {
	in.KernelVersion = KernelVersion
	l = &Loaded{maps: map[string]*Map{}, rings: map[string]*Ring{}}
	if l.Machine, err = vm.New(in); err != nil {
		return nil, err
	}
	if l.Collection, err = l.Machine.Load(withRings(spec, opt), &vm.LoadOptions{Verify: true}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	for name, m := range l.Collection.Maps {
		if r, ok := m.(*vmmaps.RingBuf); ok {
			l.rings[name] = NewRing(r)
			continue
		}
		l.maps[name] = NewMap(m, l.Machine.CPUs())
	}
	if m, ok := l.Collection.Maps[opt.StateMap].(*vmmaps.Array); ok {
		b := m.Bytes() // the start of a page, so words are aligned
		l.state = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	}
	return l, nil
}

const (
	dataRing    = 4 << 20
	controlRing = 256 << 10
)

// withRings gives the ring buffers their sizes, which are the host's to choose.
func withRings(spec *ebpf.CollectionSpec, opt host.Options) *ebpf.CollectionSpec {
	spec = spec.Copy()
	for name, m := range spec.Maps {
		if m.Type != ebpf.RingBuf {
			continue
		}
		size := m.MaxEntries
		switch {
		case name == opt.RingMap && opt.RingPages > 0:
			size = uint32(min(opt.RingPages, 1<<30/os.Getpagesize()) * os.Getpagesize())
		case name == opt.RingMap:
			size = dataRing
		case name == opt.ControlMap && size == 0:
			size = controlRing
		}
		power := uint32(os.Getpagesize())
		for power < size {
			power <<= 1
		}
		m.MaxEntries = power
	}
	return spec
}

// Map returns a map by its name, nil if there is none.
func (l *Loaded) Map(name string) host.Map {
	if m := l.maps[name]; m != nil {
		return m
	}
	return nil
}

// Ring returns a ring buffer by its name, nil if there is none.
func (l *Loaded) Ring(name string) host.Ring {
	if r := l.rings[name]; r != nil {
		return r
	}
	return nil
}

// State is the value of the state map as words.
func (l *Loaded) State() []uint64 { return l.state }

// Close frees everything. No program may run.
func (l *Loaded) Close() error {
	for _, r := range l.rings {
		r.Close()
	}
	var errs []error
	if l.Collection != nil {
		errs = append(errs, l.Collection.Close())
	}
	if l.Machine != nil {
		errs = append(errs, l.Machine.Close())
	}
	return errors.Join(errs...)
}
