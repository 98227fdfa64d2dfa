package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/spf13/pflag"

	"skep/vm"
	"skep/vm/pcap"
)

// vmRun is skep vm run at work.
type vmRun struct {
	engineFlags
	name, section, pcap, out, ctx, mem, btf, kconfig string
	tapNames                                         []string
	repeat                                           int
	verify, trusted, linkHeader                      bool

	env        *environment
	spec       *ebpf.CollectionSpec
	machine    *vm.Machine
	program    *vm.Program
	thread     *vm.Thread
	collection *vm.Collection

	input    *pcap.Reader
	taps     []*tap
	packets  []pcap.Packet
	passed   []pcap.Packet
	verdicts map[uint64]int
	runs     int
	spent    time.Duration
}

func runVMRun(env *environment, args []string) int {
	r := &vmRun{env: env, verdicts: map[uint64]int{}}
	f := pflag.NewFlagSet("skep vm run", pflag.ContinueOnError)
	r.register(f)
	f.StringVar(&r.name, "program", "", "")
	f.StringVar(&r.section, "section", "", "")
	f.StringVar(&r.pcap, "pcap", "", "")
	f.StringArrayVar(&r.tapNames, "tap", nil, "")
	f.BoolVar(&r.linkHeader, "link-header", false, "")
	f.StringVar(&r.out, "out", "", "")
	f.StringVar(&r.ctx, "ctx", "", "")
	f.StringVar(&r.mem, "mem", "", "")
	f.StringVar(&r.btf, "btf", "", "")
	f.StringVar(&r.kconfig, "kconfig", "/proc/config.gz", "")
	f.IntVar(&r.repeat, "repeat", 1, "")
	f.BoolVar(&r.verify, "verify", false, "")
	f.BoolVar(&r.trusted, "trusted", false, "")
	if code := parseVM(env, f, args); code >= 0 {
		return code
	}
	if f.NArg() != 1 || r.repeat < 1 {
		fmt.Fprintln(env.stderr, "usage: skep vm run [options] OBJECT; skep vm help tells more")
		return exitUsage
	}
	if err := r.run(f.Arg(0)); err != nil {
		return failVM(env, err)
	}
	return 0
}

func (r *vmRun) run(object string) error {
	if err := r.load(object); err != nil {
		if r.machine != nil {
			err = errors.Join(err, r.machine.Close())
		}
		return err
	}
	defer r.machine.Close()
	err := r.runAll()
	// What the program has done before a fault is worth seeing, too; not maps that it has never seen.
	var fault *vm.Fault
	if err == nil || r.runs > 0 || errors.As(err, &fault) {
		r.report()
	}
	if err == nil && r.out != "" {
		err = r.writePackets()
	}
	return err
}

func (r *vmRun) load(object string) error {
	engine, err := r.engine()
	if err != nil {
		return err
	}
	file, err := os.Open(object)
	if err != nil {
		return err
	}
	defer file.Close()
	if r.spec, err = vm.ReadObject(file); err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	if r.name != "" && r.section != "" {
		return errors.New("--program and --section exclude each other")
	}
	name, err := chooseProgram(r.spec, r.name, r.section)
	if err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	options := vm.Options{Host: vm.Host{
		Task:  func(*vm.Thread) vm.Task { return thisTask() },
		Trace: func(_ *vm.Thread, line string) { fmt.Fprintf(r.env.stdout, "trace: %s\n", line) },
	}}
	if needsTypes(r.spec) {
		if options.KernelTypes, err = r.kernelTypes(); err != nil {
			return err
		}
	}
	if vm.NeedsKconfig(r.spec) {
		if options.Kconfig, err = r.kernelConfig(); err != nil {
			return err
		}
	}
	if r.mem != "" {
		image, err := readMemoryImage(r.mem)
		if err != nil {
			return fmt.Errorf("%s: %w", r.mem, err)
		}
		options.Host.ReadKernel = image.read
		options.Host.ReadUser = image.read
	}
	if r.machine, err = vm.New(options); err != nil {
		return err
	}
	// All programs are loaded: tail calls may lead to any of them.
	c, err := r.machine.Load(r.spec, &vm.LoadOptions{Engine: engine, Verify: r.verify, Trusted: r.trusted})
	if err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	r.program = c.Programs[name]
	r.collection = c
	if r.thread, err = r.machine.NewThread(0); err != nil {
		return err
	}
	r.thread.Budget = r.budget
	return nil
}

// needsTypes reports whether a program has relocations against the kernel's types. It need not be the chosen one, since all are loaded.
func needsTypes(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if btf.CORERelocationMetadata(&p.Instructions[i]) != nil {
				return true
			}
		}
	}
	return false
}

func (r *vmRun) kernelTypes() (*btf.Spec, error) {
	path := r.btf
	if path == "" {
		path = "/sys/kernel/btf/vmlinux"
	}
	spec, err := btf.LoadSpec(path)
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types for CO-RE: %s: %w (--btf names another file)", path, err)
	}
	return spec, nil
}

func (r *vmRun) kernelConfig() (map[string]string, error) {
	file, err := os.Open(r.kconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's configuration: %w (--kconfig names another file)", err)
	}
	defer file.Close()
	config, err := vm.ReadKconfig(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.kconfig, err)
	}
	return config, nil
}

func (r *vmRun) runAll() error {
	if len(r.tapNames) > 0 {
		switch {
		case r.pcap != "" || r.ctx != "":
			return errors.New("--tap excludes --pcap and --ctx")
		case len(r.tapNames) > 2:
			return fmt.Errorf("%d TAP devices, and packets go between two at most", len(r.tapNames))
		}
		return r.runTaps()
	}
	if r.pcap != "" {
		if r.ctx != "" {
			return errors.New("--pcap and --ctx exclude each other")
		}
		return r.runPackets()
	}
	var content []byte
	if r.ctx != "" {
		var err error
		if content, err = os.ReadFile(r.ctx); err != nil {
			return err
		}
	}
	if vm.SeesPackets(r.program.Type) {
		if content == nil {
			return fmt.Errorf("program %s sees packets: --pcap names a file of them, and --tap a device", r.program.Name)
		}
		return fmt.Errorf("program %s sees packets: its context is made of a packet of --pcap, not of --ctx", r.program.Name)
	}
	ctx, err := r.machine.NewContext(r.program.Type, content)
	if err != nil {
		return err
	}
	fresh := slices.Clone(ctx.Bytes())
	for range r.repeat {
		copy(ctx.Bytes(), fresh)
		start := time.Now()
		r0, err := r.thread.Run(r.program, ctx)
		if err != nil {
			return err
		}
		r.count(r0, time.Since(start))
	}
	return nil
}

func (r *vmRun) count(r0 uint64, d time.Duration) {
	r.verdicts[uint64(uint32(r0))]++
	r.runs++
	r.spent += d
}

// runPackets runs the program on all packets of the file, as often as asked for. The clock runs only while the program does.
func (r *vmRun) runPackets() error {
	if err := r.readPackets(); err != nil {
		return fmt.Errorf("%s: %w", r.pcap, err)
	}
	if !vm.SeesPackets(r.program.Type) {
		return fmt.Errorf("program %s is of type %s, which sees no packets", r.program.Name, r.program.Type)
	}
	longest := 0
	for _, p := range r.packets {
		longest = max(longest, len(p.Data))
	}
	ctx, err := r.newPacket(longest)
	if err != nil {
		return err
	}
	for round := range r.repeat {
		for i, p := range r.packets {
			if err := ctx.SetData(p.Data); err != nil {
				return err
			}
			start := time.Now()
			r0, err := r.thread.Run(r.program, ctx)
			d := time.Since(start)
			if err != nil {
				return fmt.Errorf("packet %d: %w", i+1, err)
			}
			r.count(r0, d)
			if round == 0 && passes(r.program.Type, uint32(r0)) {
				r.keep(p, ctx, uint32(r0))
			}
		}
	}
	return nil
}

// newPacket makes what the program is run on.
func (r *vmRun) newPacket(size int) (*vm.Packet, error) {
	if r.linkHeader && r.program.Type != ebpf.XDP {
		return r.machine.NewSKB(size, true)
	}
	return r.machine.NewPacket(r.program.Type, size)
}

func (r *vmRun) readPackets() error {
	file, err := os.Open(r.pcap)
	if err != nil {
		return err
	}
	defer file.Close()
	if r.input, err = pcap.NewReader(bufio.NewReader(file)); err != nil {
		return err
	}
	if r.input.LinkType != pcap.Ethernet {
		return fmt.Errorf("the packets are of link type %d, and programs want Ethernet (%d)", r.input.LinkType, pcap.Ethernet)
	}
	for {
		p, err := r.input.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.packets = append(r.packets, p)
	}
}

// keep remembers a packet as it came out of the program.
func (r *vmRun) keep(p pcap.Packet, ctx *vm.Packet, verdict uint32) {
	data := ctx.Frame()
	if r.program.Type == ebpf.SocketFilter {
		// The verdict is how many bytes of what the program saw are wanted.
		header := len(data) - len(ctx.Data())
		data = data[:min(uint64(len(data)), uint64(header)+uint64(verdict))]
	}
	p.Data = slices.Clone(data)
	p.Length = uint32(len(p.Data))
	r.passed = append(r.passed, p)
}

func (r *vmRun) writePackets() error {
	file, err := os.Create(r.out)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(file)
	nano := r.input != nil && r.input.Nano
	w, err := pcap.NewWriter(b, pcap.Ethernet, nano)
	for i := 0; err == nil && i < len(r.passed); i++ {
		err = w.Write(r.passed[i])
	}
	if err == nil {
		err = b.Flush()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", r.out, err)
	}
	return nil
}
