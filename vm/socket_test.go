package vm

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// words32 is a struct of numbers.
func words32(n ...uint32) (b []byte) {
	for _, w := range n {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

// TestSockets looks for a socket that listens, in the kernel and in a machine whose host has one like it.
func TestSockets(t *testing.T) {
	spec := readObject(t, "sock")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	frame := make([]byte, 60)
	binary.BigEndian.PutUint16(frame[12:], 0x88b5)
	copy(frame[14:], []byte{127, 0, 0, 2, 127, 0, 0, 1, 0, 99, byte(port >> 8), byte(port)})

	localhost := binary.NativeEndian.Uint32([]byte{127, 0, 0, 1})
	want := []int64{1, 2, 1, 6, int64(localhost), int64(port), 0, 10, 0, 10, 10, int64(port), 22, 1, 2, 2, 2, 1, 2, 1, 2, 0, 0, 0}
	if ktest.Has(ktest.Root) {
		c, err := ebpf.NewCollection(spec.Copy())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Programs["sockets"].Run(&ebpf.RunOptions{Data: frame}); err != nil {
			t.Fatal(err)
		}
		value, err := c.Maps[".bss"].LookupBytes(uint32(0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got := int64(binary.NativeEndian.Uint64(value[i*8:])); got != want[i] {
				t.Errorf("the kernel has %d at %d, not %d", got, i, want[i])
			}
		}
	}
	for _, v := range variants() {
		var listener *Socket
		m := machine(t, Options{Host: Host{LookupSocket: func(_ *Thread, q SocketQuery) *Socket {
			if len(q.Tuple) == 12 && q.TCP && q.Namespace == -1 && binary.BigEndian.Uint16(q.Tuple[10:]) == port {
				return listener
			}
			return nil
		}}})
		listener = newSocket(t, m, words32(0, 2, 1, 6, 0, 0, localhost, 0, 0, 0, 0, uint32(port), 0, 0, 0, 0, 0, 0, 10), words32(10))
		c, err := m.Load(spec, &v.options)
		if err != nil {
			t.Fatal(err)
		}
		packet := newPacket(t, m, frame)
		th := thread(t, m)
		for range 2 {
			if _, err := th.Run(c.Programs["sockets"], packet); err != nil {
				t.Fatalf("%s: %v", v.name, err)
			}
		}
		if diff := cmp.Diff(want, words(t, c.Maps[".bss"])); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
		for _, own := range []struct {
			socket *Socket
			want   uint64
		}{{nil, 7}, {listener, 2<<16 | 10}, {newSocket(t, m, make([]byte, 73), nil), 0}, {newSocket(t, m, words32(append(make([]uint32, 18), 6)...), nil), 8}, {nil, 7}} {
			packet.Socket = own.socket
			if r0, err := th.Run(c.Programs["own"], packet); err != nil || r0 != own.want {
				t.Errorf("%s: a packet of socket %v: %#x, %v", v.name, own.socket, r0, err)
			}
		}
	}
}

func newSocket(t *testing.T, m *Machine, sock, tcp []byte) *Socket {
	t.Helper()
	s, err := m.NewSocket(sock, tcp)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newPacket makes a packet for traffic control programs.
func newPacket(t *testing.T, m *Machine, frame []byte) *Packet {
	t.Helper()
	p, err := m.NewSKB(len(frame), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetData(frame); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSocketFaults has programs do with sockets what a verifier would not let them do.
func TestSocketFaults(t *testing.T) {
	const field = 64 // of struct bpf_sock_addr
	for _, c := range []struct {
		name  string
		insns []asm.Instruction
		want  string
	}{
		{"reading", []asm.Instruction{asm.LoadMem(asm.R0, asm.R1, 12, asm.Word)}, ""},
		{"past the end", []asm.Instruction{asm.LoadMem(asm.R0, asm.R1, 80, asm.DWord)}, "reading 8 bytes"},
		{"writing", []asm.Instruction{asm.StoreMem(asm.R1, 12, asm.R1, asm.Word)}, "in the socket, which is read-only"},
		{"release of what was not looked up", []asm.Instruction{asm.FnSkRelease.Call()}, "was not looked up"},
		{"any number", []asm.Instruction{asm.Mov.Imm(asm.R1, 64), asm.FnSkRelease.Call()}, "sk_release: 0x40 is not a socket that the program was given"},
	} {
		m := machine(t, Options{})
		ctx, err := m.NewContext(ebpf.CGroupSockAddr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ctx.SetSocket(field, newSocket(t, m, nil, nil)); err != nil {
			t.Fatal(err)
		}
		spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.CGroupSockAddr, License: "GPL",
			Instructions: append(append([]asm.Instruction{asm.LoadMem(asm.R1, asm.R1, field, asm.DWord)}, c.insns...), asm.Mov.Imm(asm.R0, 1), asm.Return())}}}
		loaded, err := m.Load(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		th := thread(t, m)
		if _, err = th.Run(loaded.Programs["p"], ctx); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(th.sockets) > 0 {
			t.Errorf("%s: sockets stay with the thread", c.name)
		}
	}
}
