package vm

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/internal/ktest"
)

// TestLegacyLoads compares loads of packets in the old way: from the start, from the headers, and past the end, where they end the program.
func TestLegacyLoads(t *testing.T) {
	f := frame("45000030 00010000 40110000 0a000001 0a000002", "10000035 001c0000", 20)
	inKernel := ktest.Has(ktest.Root)
	for _, offset := range []int32{0, 1, 8, 44, 47, 48, 1000, -0x100000, -0x100000 + 9, -0x200000 + 12, -0x200000, -1, -0x300000} {
		for _, size := range []asm.Size{asm.Byte, asm.Half, asm.Word} {
			for _, indirect := range []bool{false, true} {
				load := asm.LoadAbs(offset, size)
				if indirect {
					load = asm.LoadInd(asm.R0, asm.R7, offset-4, size)
				}
				spec := &ebpf.ProgramSpec{Name: "p", Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
					asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R7, 4), load, asm.Return(),
				}}
				var want uint32
				known := inKernel
				if inKernel {
					p, err := ebpf.NewProgram(spec)
					if err != nil {
						t.Fatal(err)
					}
					want, err = p.Run(&ebpf.RunOptions{Data: f})
					if err != nil {
						t.Fatal(err)
					}
					p.Close()
				}
				for _, v := range variants() {
					m := machine(t, Options{CPUs: 1})
					c, err := m.Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": spec}}, &v.options)
					if err != nil {
						t.Fatal(err)
					}
					skb, err := m.NewSKB(len(f), false)
					if err != nil {
						t.Fatal(err)
					}
					if err := skb.SetData(f); err != nil {
						t.Fatal(err)
					}
					r0, err := thread(t, m).Run(c.Programs["p"], skb)
					if !known {
						want, known = uint32(r0), true
					}
					if err != nil || uint32(r0) != want {
						t.Errorf("%s: %v of %d bytes at %d: %#x, %v; not %#x", v.name, indirect, size.Sizeof(), offset, r0, err, want)
					}
				}
			}
		}
	}
}

// TestSockAddr has a program change the address that a socket is connected to.
func TestSockAddr(t *testing.T) {
	const userIP4, userPort = 4, 24
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"connect": {
		Name: "connect", Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, userIP4, asm.Word),
			asm.Add.Imm(asm.R2, 1),
			asm.StoreMem(asm.R1, userIP4, asm.R2, asm.Word),
			asm.Mov.Imm(asm.R2, 53),
			asm.StoreMem(asm.R1, userPort, asm.R2, asm.Word),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return(),
		},
	}}}
	for _, v := range variants() {
		m := machine(t, Options{})
		c, err := m.Load(spec, &v.options)
		if err != nil {
			t.Fatal(err)
		}
		content := make([]byte, 8)
		binary.NativeEndian.PutUint32(content[userIP4:], 7)
		ctx, err := m.NewContext(ebpf.CGroupSockAddr, content)
		if err != nil {
			t.Fatal(err)
		}
		if r0, err := thread(t, m).Run(c.Programs["connect"], ctx); err != nil || r0 != 1 {
			t.Fatalf("%s: %d, %v", v.name, r0, err)
		}
		if ip, port := ctx.Bytes()[userIP4], ctx.Bytes()[userPort]; ip != 8 || port != 53 {
			t.Errorf("%s: the address is %d, the port %d", v.name, ip, port)
		}
	}
}
