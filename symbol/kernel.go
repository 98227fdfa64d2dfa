package symbol

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Kernel names kernel addresses: functions and data of the kernel, of its modules and of BPF programs, as
// /proc/kallsyms lists them. Nothing is read before the first question. It is safe for concurrent use.
//
// The kernel needs about half a microsecond to print each of its 100,000 to 300,000 symbols, so what counts is how
// often the list is read: ask for many addresses at once ([Kernel.Symbols]).
type Kernel struct {
	path string

	mu       sync.Mutex
	index    *kernelIndex
	indexed  time.Time
	known    map[uint64]Symbol // results of streaming passes, until there is an index
	streamed bool
}

// NewKernel returns the running kernel's symbols.
func NewKernel() *Kernel { return &Kernel{path: "/proc/kallsyms"} }

// HiddenError says that the kernel does not show its addresses to this process.
type HiddenError struct {
	// Restrict is the value of kernel.kptr_restrict, or -1 if it could not be read.
	Restrict int
}

func (e *HiddenError) Error() string {
	const head = "the kernel hides its symbols' addresses (/proc/kallsyms shows only zeros): "
	switch e.Restrict {
	case 2:
		return head + "kernel.kptr_restrict is 2; set it to 1 with: sysctl kernel.kptr_restrict=1"
	case 1:
		return head + "kernel.kptr_restrict is 1; run as root or with CAP_SYSLOG"
	}
	return head + "run as root or with CAP_SYSLOG, or allow it to all with: sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1"
}

func hiddenError() error {
	e := &HiddenError{Restrict: -1}
	if b, err := os.ReadFile("/proc/sys/kernel/kptr_restrict"); err == nil {
		fmt.Sscan(string(b), &e.Restrict)
	}
	return e
}

// maxKnown bounds what is kept of streaming passes.
const maxKnown = 1 << 16

// Symbols names many addresses in one pass over kallsyms, with memory for the addresses only; the result has the order
// of addrs. What was asked before costs nothing; the second time that new addresses are asked, an index is built.
// The error is a *[HiddenError] or one of reading; the result then has all addresses, but without names.
func (k *Kernel) Symbols(addrs []uint64) ([]Symbol, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var unknown []uint64
	for _, a := range addrs {
		if _, ok := k.known[a]; !ok && a != 0 {
			unknown = append(unknown, a)
		}
	}
	var err error
	switch {
	case len(unknown) == 0:
	case k.index == nil && !k.streamed:
		err = k.stream(unknown)
	case k.index == nil:
		err = k.buildIndex()
	default:
		err = k.refresh(unknown)
	}
	out := make([]Symbol, len(addrs))
	for i, a := range addrs {
		out[i] = k.lookup(a)
	}
	return out, err
}

// Prepare builds the index, if there is none, so that later questions are answered at once.
func (k *Kernel) Prepare() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.index != nil {
		return nil
	}
	return k.buildIndex()
}

// Symbol names one address, from an index that the first call builds (about 6 MB for a kernel of 150,000 symbols).
// It is the choice for a stream of events. Modules and BPF programs loaded later are found: the index is read
// anew for an address that it does not know, but at most once a second.
func (k *Kernel) Symbol(addr uint64) (Symbol, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.lookup(addr); s.Found() || addr == 0 {
		return s, nil
	}
	var err error
	if k.index == nil {
		err = k.buildIndex()
	} else {
		err = k.refresh([]uint64{addr})
	}
	return k.lookup(addr), err
}

// Address returns the address of a kernel symbol: a function or, where the kernel was built with
// CONFIG_KALLSYMS_ALL, a variable. A name that several have gives the first.
func (k *Kernel) Address(name string) (uint64, error) {
	found, err := k.Addresses(name)
	if err != nil {
		return 0, err
	}
	addr, ok := found[name]
	if !ok {
		return 0, fmt.Errorf("the kernel has no symbol %q", name)
	}
	return addr, nil
}

// Addresses looks up several names in one pass. Names that the kernel does not have are missing from the result.
func (k *Kernel) Addresses(names ...string) (map[string]uint64, error) {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	found := make(map[string]uint64, len(names))
	err := k.Each(func(addr uint64, kind byte, name, module []byte) bool {
		if wanted[string(name)] {
			found[string(name)] = addr
			delete(wanted, string(name))
		}
		return len(wanted) > 0
	})
	return found, err
}

// Each calls yield for each line of kallsyms, in the kernel's order, until it returns false. kind is nm's letter (t, T, W
// are functions), module is "" for the kernel itself. The slices are valid during the call only. A *[HiddenError] comes
// after the names, which are all shown.
func (k *Kernel) Each(yield func(addr uint64, kind byte, name, module []byte) bool) error {
	f, err := os.Open(k.path)
	if err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	defer f.Close()
	lines, shown := 0, false
	err = scanKallsyms(f, func(addr uint64, kind byte, rest []byte) bool {
		lines++
		shown = shown || addr != 0
		name, module := splitModule(rest)
		return yield(addr, kind, name, module)
	})
	if err == nil && lines > 0 && !shown {
		// A search that ends early has seen too little to tell.
		if hidden, e := k.hidden(); e == nil && hidden {
			err = hiddenError()
		}
	}
	return err
}

// hidden reports whether the listing has lines but no address.
func (k *Kernel) hidden() (bool, error) {
	f, err := os.Open(k.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	hidden := false
	err = scanKallsyms(f, func(addr uint64, kind byte, rest []byte) bool {
		hidden = addr == 0
		return hidden
	})
	return hidden, err
}

func (k *Kernel) lookup(addr uint64) Symbol {
	if s, ok := k.known[addr]; ok && s.Found() {
		return s
	}
	if k.index != nil && addr != 0 {
		return k.index.symbol(addr)
	}
	return Symbol{Addr: addr}
}

// refresh reads the index anew if one of addrs is a kernel address that it does not know, at most once a second.
func (k *Kernel) refresh(addrs []uint64) error {
	if time.Since(k.indexed) < time.Second {
		return nil
	}
	const userEnd = 1 << 56 // no address of the kernel is below it on any 64-bit machine
	for _, a := range addrs {
		if a >= userEnd && !k.index.symbol(a).Found() {
			return k.buildIndex()
		}
	}
	return nil
}

func (k *Kernel) stream(addrs []uint64) error {
	f, err := os.Open(k.path)
	if err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	defer f.Close()
	slices.Sort(addrs)
	pass := newKernelStream(slices.Compact(addrs))
	if err := scanKallsyms(f, pass.line); err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	k.streamed = true
	if k.known == nil || len(k.known) > maxKnown {
		k.known = make(map[uint64]Symbol, len(pass.addrs))
	}
	for _, s := range pass.symbols() {
		k.known[s.Addr] = s
	}
	if pass.anyLine && !pass.anyAddr {
		return hiddenError()
	}
	return nil
}

func (k *Kernel) buildIndex() error {
	f, err := os.Open(k.path)
	if err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	defer f.Close()
	index, anyLine, err := newKernelIndex(f)
	if err != nil {
		return fmt.Errorf("reading kernel symbols: %w", err)
	}
	k.index, k.indexed = index, time.Now()
	if anyLine && len(index.entries) == 0 {
		return hiddenError()
	}
	return nil
}
