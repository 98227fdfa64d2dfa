package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/vm"
	"skep/vm/pcap"
)

// tap is a TAP device, whose other end the kernel has: what it sends there, programs see.
type tap struct {
	name  string
	index uint32 // of the interface
	file  *os.File
	down  bool // that it takes no packets has been said
}

// openTap makes the device, or takes one that exists.
func openTap(name string) (*tap, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening TAP device %s: /dev/net/tun: %w", name, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (it needs CAP_NET_ADMIN, which unshare -rn gives in a network of its own)", err)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("opening TAP device %s: %w", name, err)
	}
	t := &tap{name: request.Name(), file: os.NewFile(uintptr(fd), name)}
	if t.index, err = interfaceIndex(t.name); err != nil {
		return nil, errors.Join(fmt.Errorf("opening TAP device %s: %w", name, err), t.file.Close())
	}
	return t, nil
}

func interfaceIndex(name string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return request.Uint32(), nil
}

// mostFrame is more than a frame of a TAP device has: its MTU is at most 65521.
const mostFrame = 1 << 16

// arrived is a frame that the kernel has sent to a device.
type arrived struct {
	at    int // of the devices
	frame []byte
	time  time.Time
}

// runTaps runs the program on what comes to the devices, until a signal. What it lets pass leaves by the other one, if there are two.
func (r *vmRun) runTaps() (err error) {
	if !vm.SeesPackets(r.program.Type) {
		return fmt.Errorf("program %s is of type %s, which sees no packets", r.program.Name, r.program.Type)
	}
	for _, name := range r.tapNames {
		t, err := openTap(name)
		if err != nil {
			return err
		}
		defer t.file.Close()
		r.taps = append(r.taps, t)
	}
	p, err := r.newPacket(mostFrame)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	frames := make(chan arrived, 64)
	for i, t := range r.taps {
		go func() {
			for {
				b := make([]byte, mostFrame)
				n, err := t.file.Read(b)
				if err != nil {
					return // it has been closed
				}
				select {
				case frames <- arrived{i, b[:n], time.Now()}:
				case <-ctx.Done():
					return
				}
			}
		}()
		fmt.Fprintf(r.env.stderr, "%s is open\n", t.name)
	}
	for {
		select {
		case f := <-frames:
			if err := r.runFrame(p, f); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Where the structs of contexts have the interface that a packet has come by.
const (
	xdpIngress = 12 // struct xdp_md
	skbIngress = 36 // struct __sk_buff
	skbIfindex = 40
)

func (r *vmRun) runFrame(p *vm.Packet, f arrived) error {
	if err := p.SetData(f.frame); err != nil {
		return err
	}
	fields := []int{skbIngress, skbIfindex}
	if r.program.Type == ebpf.XDP {
		fields = []int{xdpIngress}
	}
	for _, at := range fields {
		binary.NativeEndian.PutUint32(p.Fields()[at:], r.taps[f.at].index)
	}
	start := time.Now()
	r0, err := r.thread.Run(r.program, p)
	if err != nil {
		return fmt.Errorf("packet %d: %w", r.runs+1, err)
	}
	r.count(r0, time.Since(start))
	verdict := uint32(r0)
	if passes(r.program.Type, verdict) && r.out != "" {
		r.keep(pcap.Packet{Seconds: uint32(f.time.Unix()), Fraction: uint32(f.time.Nanosecond() / 1000)}, p, verdict)
	}
	frame := p.Frame()
	switch {
	case r.program.Type == ebpf.SocketFilter:
		// A socket gets copies: the packet goes on whatever the program says.
		r.send(r.otherTap(f.at), f.frame)
	case r.program.Type == ebpf.XDP && verdict == xdpTX:
		r.send(r.taps[f.at], frame)
	case p.Redirect.Asked:
		if to, ok := redirectTarget(p.Redirect); ok && passes(r.program.Type, verdict) {
			r.send(r.tapOf(to), frame)
		}
	case passes(r.program.Type, verdict):
		r.send(r.otherTap(f.at), frame)
	}
	return nil
}

const xdpTX = 3

// redirectTarget is the interface that a packet was sent to.
func redirectTarget(to vm.Redirect) (index uint32, ok bool) {
	if to.Map == nil {
		return to.Ifindex, true
	}
	targets, ok := to.Map.(interface{ Target(key uint32) uint64 })
	if !ok {
		return 0, false
	}
	return uint32(targets.Target(uint32(to.Key))), true
}

// otherTap is where packets of a device go on, nil if there is none.
func (r *vmRun) otherTap(at int) *tap {
	if len(r.taps) < 2 {
		return nil
	}
	return r.taps[1-at]
}

func (r *vmRun) tapOf(index uint32) *tap {
	for _, t := range r.taps {
		if t.index == index {
			return t
		}
	}
	return nil
}

// send gives a frame to the kernel. A device that is down takes none.
func (r *vmRun) send(t *tap, frame []byte) {
	if t == nil {
		return
	}
	if _, err := t.file.Write(frame); err != nil && !t.down {
		t.down = true
		fmt.Fprintf(r.env.stderr, "WARNING: packets to %s are lost: %v\n", t.name, errors.Unwrap(err))
	}
}
