package vm

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"skep/vm/maps"
)

// TestHostNetwork has what only a network stack knows come from the host, and go back to it.
func TestHostNetwork(t *testing.T) {
	host := Host{FibLookup: func(_ *Thread, params []byte, flags uint32) int64 {
		ifindex := binary.NativeEndian.Uint32(params[8:])
		binary.NativeEndian.PutUint32(params[8:], ifindex*10)
		return 0
	}}
	for _, v := range variants() {
		m := machine(t, Options{Host: host})
		c, err := m.Load(readObject(t, "net"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		devices := maps.User{Map: c.Maps["devices"]}
		if err := devices.Update([]byte{1, 0, 0, 0}, []byte{6, 0, 0, 0}, 0); err != nil {
			t.Fatal(err)
		}
		packet, err := m.NewXDP(100)
		if err != nil {
			t.Fatal(err)
		}
		th := thread(t, m)
		verdict, err := th.Run(c.Programs["away"], packet)
		if err != nil || verdict != xdpRedirect {
			t.Fatalf("%s: %d, %v", v.name, verdict, err)
		}
		if diff := cmp.Diff([]int64{2, 4, 0, 0, 50}, words(t, c.Maps[".bss"])[:5]); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
		if r := packet.Redirect; !r.Asked || r.Map != c.Maps["devices"] || r.Key != 1 {
			t.Errorf("%s: the packet goes to %+v", v.name, r)
		}

		skb, err := m.NewSKB(100, true)
		if err != nil {
			t.Fatal(err)
		}
		skb.TunnelKey = []byte{42}
		if verdict, err = th.Run(c.Programs["tunnel"], skb); err != nil || verdict != tcRedirect {
			t.Fatalf("%s: %d, %v", v.name, verdict, err)
		}
		if r := skb.Redirect; !r.Asked || r.Ifindex != 9 || r.Flags != 1 || skb.TunnelKey[0] != 43 {
			t.Errorf("%s: the packet goes to %+v with the tunnel key %x", v.name, r, skb.TunnelKey)
		}
		if got := words(t, c.Maps[".bss"])[1]; got != 42 {
			t.Errorf("%s: the program found the tunnel key %d", v.name, got)
		}
	}
}

// TestPerfEvents has a program send records with bytes of the packet.
func TestPerfEvents(t *testing.T) {
	for _, v := range variants() {
		m := machine(t, Options{})
		c, err := m.Load(readObject(t, "perf"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		sink := func(data, more []byte) error {
			got = append(got, string(data)+"|"+string(more))
			return nil
		}
		if err := c.Maps["events"].(*maps.PerfEventArray).Attach(0, 0, sink); err != nil {
			t.Fatal(err)
		}
		packet, err := m.NewPacket(ebpf.XDP, 60)
		if err != nil {
			t.Fatal(err)
		}
		if err := packet.SetData([]byte("0123456789abcdefgh")); err != nil {
			t.Fatal(err)
		}
		if _, err := thread(t, m).Run(c.Programs["sends"], packet); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"abcd|", "abcd|01234"}, got); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
		if diff := cmp.Diff([]int64{0, 0, 14, 2, 7}, words(t, c.Maps[".bss"])[:5]); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
	}
}
