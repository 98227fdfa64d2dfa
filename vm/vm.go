// Package vm runs eBPF programs in any Go process, without privileges and without the kernel.
//
// A [Machine] is what programs run on: its CPUs, its clock, and a [Host] that stands for the kernel around them. Load takes a
// collection of github.com/cilium/ebpf, from a compiler or from an ELF file, and makes its maps and programs. A [Thread] runs programs
// one after the other on contexts:
//
//	spec, err := ebpf.LoadCollectionSpec("filter.o") // or ReadObject, for files of others
//	m, err := vm.New(vm.Options{})
//	defer m.Close()
//	c, err := m.Load(spec, nil)
//	thread, err := m.NewThread(0)
//	packet, err := m.NewXDP(2048)
//	packet.SetData(frame)
//	verdict, err := thread.Run(c.Programs["filter"], packet)
//
// Programs are not trusted unless [LoadOptions.Trusted] says so: they may touch the stack, the context and the maps they were given, and
// nothing else. A program that tries ends with a [Fault], and the process lives on.
package vm

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// Options are how a machine is. The zero value is one like the machine that it runs on.
type Options struct {
	// CPUs is the number of possible CPUs: of per-CPU maps' values. 0 means as many as this computer has.
	CPUs int
	// Clock is the time of programs and of their timers. Nil means that of this computer.
	Clock Clock
	// Host answers what a kernel would know. What it leaves out fails in programs as on a kernel that has nothing to say.
	Host Host
	// KernelTypes is the BTF of the kernel that CO-RE relocations are made against. Nil makes those an error.
	KernelTypes *btf.Spec
	// KernelVersion is what programs see as LINUX_KERNEL_VERSION: major<<16 | minor<<8 | patch. 0 means 6.12.
	KernelVersion uint32
	// Kconfig has the kernel's configuration, for the variables of .kconfig sections: "y", "m", "n", a number or a string in quotes.
	Kconfig map[string]string
	// MapMemory is how many bytes one map may need at most. 0 means 4 GB.
	MapMemory uint64
	// Repeatable makes maps that do the same each time, for recordings: see maps.Options.
	Repeatable bool
	// Random gives get_prandom_u32 its numbers. Nil means a generator that nobody can predict.
	Random func() uint32
}

// defaultKernel is the version of the kernel that programs find if nothing else was asked for.
const defaultKernel = 6<<16 | 12<<8

// A Machine runs programs. Its methods may be called from several goroutines.
type Machine struct {
	options Options
	clock   Clock
	random  func() uint32
	secret  maphash.Seed // of SYN cookies
	objects objects
	timers  timers

	mu   sync.Mutex
	open map[io.Closer]struct{} // threads, contexts and collections
	idle []*Thread              // for callbacks of timers
}

// New makes a machine. It must be closed: its memory is not the garbage collector's. What it makes may be closed before.
func New(o Options) (*Machine, error) {
	if o.CPUs < 0 || o.CPUs > maxCPUs {
		return nil, fmt.Errorf("making a machine: %d CPUs, and at most %d are possible", o.CPUs, maxCPUs)
	}
	if o.CPUs == 0 {
		o.CPUs = runtime.NumCPU()
	}
	if o.KernelVersion == 0 {
		o.KernelVersion = defaultKernel
	}
	if o.MapMemory == 0 {
		o.MapMemory = 4 << 30
	}
	m := &Machine{options: o, clock: o.Clock, random: o.Random, secret: maphash.MakeSeed(), open: map[io.Closer]struct{}{}}
	if m.clock == nil {
		m.clock = systemClock()
	}
	if m.random == nil {
		m.random = rand.Uint32
	}
	m.timers.machine = m
	return m, nil
}

// maxCPUs keeps the memory of per-CPU maps within reason.
const maxCPUs = 4096

// CPUs is the number of the machine's possible CPUs.
func (m *Machine) CPUs() int { return m.options.CPUs }

// Close stops the machine's timers and frees its memory: its collections, contexts and threads are closed, too. No program may run.
func (m *Machine) Close() error {
	m.timers.close()
	m.mu.Lock()
	open := m.open
	m.open, m.idle = nil, nil
	m.mu.Unlock()
	var errs []error
	for c := range open {
		errs = append(errs, c.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the machine: %w", err)
	}
	return nil
}

// opened remembers what must be closed with the machine.
func (m *Machine) opened(c io.Closer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[c] = struct{}{}
}

// forget is for what has been closed before the machine.
func (m *Machine) forget(c io.Closer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, c)
}
