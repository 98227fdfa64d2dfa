package vm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
	"skep/vm/maps"
)

// TestShowBTF compares what snprintf_btf makes of values of the kernel's types with what the kernel makes of them.
func TestShowBTF(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	spec := readObject(t, "show")
	kernel, err := ebpf.NewCollection(spec.Copy())
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	m := machine(t, Options{KernelTypes: types})
	ours, err := m.Load(spec, &LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	section := spec.Maps[".bss"].Value.(*btf.Datasec)
	at := func(name string) int {
		for _, v := range section.Vars {
			if v.Type.TypeName() == name {
				return int(v.Offset)
			}
		}
		t.Fatalf("there is no variable %s", name)
		return 0
	}
	th := thread(t, m)
	packet := newPacket(t, m, make([]byte, 60))
	for _, name := range []string{"timespec64", "iphdr", "sk_buff", "in6_addr", "sockaddr_in", "list_head", "bpf_insn", "path", "qstr", "hrtimer", "net_device", "tcphdr", "mm_struct", "file", "inode", "cred", "rq", "sched_entity", "bpf_prog", "bpf_map", "sock", "tcp_sock", "kobject", "module", "xdp_buff"} {
		var kind *btf.Struct
		if err := types.TypeByName(name, &kind); err != nil || kind.Size > 4096 {
			continue // not in this kernel, or larger than the value
		}
		id, err := types.TypeID(kind)
		if err != nil {
			t.Fatal(err)
		}
		for flags := range uint32(16) {
			if flags&showZero == 0 && kind.Size > 1024 {
				continue // in some places of these, the kernel shows a pointer of 0, and in others it does not
			}
			bss := make([]byte, spec.Maps[".bss"].ValueSize)
			binary.NativeEndian.PutUint32(bss[at("type_id"):], uint32(id))
			binary.NativeEndian.PutUint32(bss[at("flags"):], flags|showRaw)
			value, random := bss[at("value"):][:4096], rand.New(rand.NewPCG(uint64(kind.Size), 3))
			for i := range value {
				if random.IntN(3) == 0 {
					value[i] = byte(random.Uint32() >> random.IntN(32))
				}
			}
			if err := kernel.Maps[".bss"].Put(uint32(0), bss); err != nil {
				t.Fatal(err)
			}
			if _, err := kernel.Programs["show"].Run(&ebpf.RunOptions{Data: make([]byte, 60)}); err != nil {
				t.Fatal(err)
			}
			want, err := kernel.Maps[".bss"].LookupBytes(uint32(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := (maps.User{Map: ours.Maps[".bss"]}).Update(make([]byte, 4), bss, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := th.Run(ours.Programs["show"], packet); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(bss))
			if err := userLookup(ours.Maps[".bss"], got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(shown(want, at("text"), at("result"), at("wrong")), shown(got, at("text"), at("result"), at("wrong"))); diff != "" {
				t.Fatalf("%s, flags %d: %s", name, flags, diff)
			}
		}
	}
}

var pointers = regexp.MustCompile(`0x[0-9a-f]{16}`)

// shown is what a run has left.
func shown(bss []byte, text, result, wrong int) string {
	line, _, _ := bytes.Cut(bss[text:text+65536], []byte{0})
	b := pointers.ReplaceAllString(string(line), "0xP")
	b += fmt.Sprintf("\n%d", int64(binary.NativeEndian.Uint64(bss[result:])))
	for i := range 4 {
		b += fmt.Sprintf(" %d", int64(binary.NativeEndian.Uint64(bss[wrong+8*i:])))
	}
	return strings.TrimSpace(b)
}
