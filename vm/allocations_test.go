package vm

import (
	"testing"

	"github.com/cilium/ebpf"
)

// TestAllocations: a run takes nothing from the garbage collector, with look-ups and updates of maps, helpers, callbacks, packets of other
// lengths, and a socket.
func TestAllocations(t *testing.T) {
	udp := frame("45000030 00010000 40110000 0a000001 0a000002", "10000035 001c0000", 40)
	for _, v := range variants() {
		for _, c := range []struct{ object, program string }{{"xdp", "count"}, {"xdp", "encapsulate"}, {"tc", "rewrite"}, {"loop", "loops"}, {"lock", "locked"}, {"ring", "records"}} {
			m := machine(t, Options{Host: Host{Task: func(*Thread) Task { return Task{PID: 1} }}})
			loaded, err := m.Load(readObject(t, c.object), &v.options)
			if err != nil {
				t.Fatal(err)
			}
			p := loaded.Programs[c.program]
			ctx, err := m.NewPacket(p.Type, 200)
			if err != nil {
				t.Fatal(err)
			}
			if p.Type != ebpf.XDP {
				ctx.Socket = newSocket(t, m, words32(0, 2, 1, 6), words32(10))
			}
			th := thread(t, m)
			i := 0
			n := testing.AllocsPerRun(100, func() {
				i++
				if err := ctx.SetData(udp[:len(udp)-i%2]); err != nil {
					t.Fatal(err)
				}
				if _, err := th.Run(p, ctx); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %s: %v allocations in a run", v.name, c.program, n)
			}
		}
	}
}
