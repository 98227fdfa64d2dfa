package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

const packetPrograms = `
typedef unsigned char u8;
typedef unsigned int u32;
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
struct __sk_buff { u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex; u32 more[8], data, data_end; };
static long (*redirect)(u32 ifindex, unsigned long long flags) = (void *)23;
static long (*load)(const void *skb, u32 offset, void *to, u32 len) = (void *)26;

#define ICMP(p, end) ((p) + 42 <= (end) && (p)[12] == 8 && (p)[13] == 0 && (p)[23] == 1)

SEC("xdp/pass") int pass(struct xdp_md *ctx) { return 2; }

SEC("xdp/noping") int noping(struct xdp_md *ctx)
{
	u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	return ICMP(p, end) ? 1 : 2;
}

static inline __attribute__((always_inline)) void swap(u8 *a, u8 *b, int n)
{
	for (int i = 0; i < n; i++) {
		u8 x = a[i];
		a[i] = b[i];
		b[i] = x;
	}
}

// answers for whoever is asked for: name requests and echoes.
SEC("xdp/answer") int answer(struct xdp_md *ctx)
{
	u8 *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (p + 42 > end)
		return 1;
	swap(p, p + 6, 6);
	if (p[12] == 8 && p[13] == 6 && p[21] == 1) {
		p[21] = 2;
		swap(p + 22, p + 32, 10);
		p[6] = p[22] = 2; // an address of our own
		for (int i = 1; i < 6; i++)
			p[6 + i] = p[22 + i] = 0x99;
		return 3;
	}
	if (!ICMP(p, end) || p[34] != 8)
		return 1;
	swap(p + 26, p + 30, 4);
	p[34] = 0;
	u32 sum = (p[36] << 8 | p[37]) + 0x800;
	sum = (sum & 0xffff) + (sum >> 16);
	p[36] = sum >> 8;
	p[37] = sum;
	return 3;
}

SEC("tc/through") int through(struct __sk_buff *skb)
{
	return redirect(skb->ifindex == OTHER ? OTHER + 1 : OTHER, 0);
}

SEC("tc/shot") int shot(struct __sk_buff *skb) { return skb->protocol == 8 ? 2 : 0; }

SEC("socket/echoes") int echoes(struct __sk_buff *skb)
{
	u8 proto = 0;
	load(skb, AT + 9, &proto, 1);
	return proto == 1 ? 34 : 0;
}
`

// packetObject compiles the programs. The network header of what a socket filter sees begins at an offset; of two devices, the first is
// interface 2.
func packetObject(t *testing.T, dir string, at int) string {
	t.Helper()
	ktest.NeedTool(t, "clang")
	source, object := filepath.Join(dir, "packets.c"), filepath.Join(dir, fmt.Sprintf("packets%d.o", at))
	if err := os.WriteFile(source, []byte(packetPrograms), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("clang", "-target", "bpf", "-O2", "-c", "-DOTHER=2", fmt.Sprintf("-DAT=%d", at), "-o", object, source).CombinedOutput()
	if err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	return object
}

// TestPacketSections runs programs of each kind on the same packets, from a file of each format.
func TestPacketSections(t *testing.T) {
	ktest.Oldest(t)
	dir := t.TempDir()
	arp := append(bytes.Repeat([]byte{0xff}, 12), 8, 6)
	arp = append(arp, make([]byte, 28)...)
	echo := append(bytes.Repeat([]byte{2}, 12), 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 0, 0, 1)
	number := func(b []byte, n ...uint32) []byte {
		for _, n := range n {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		return b
	}
	old := number(nil, 0xa1b2c3d4, 0x40002, 0, 0, 1<<16, 1)
	blocks := number(nil, 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 1<<32-1, 1<<32-1, 28, 1, 20, 1, 0, 20)
	for i, p := range [][]byte{arp, echo, echo} {
		size := uint32(len(p))
		old = append(number(old, uint32(i), 0, size, size), p...)
		padded := append(bytes.Clone(p), make([]byte, -size&3)...)
		whole := 32 + uint32(len(padded))
		blocks = number(append(number(blocks, 6, whole, 0, 0, uint32(i)*1e6, size, size), padded...), whole)
	}
	for name, file := range map[string][]byte{"pcap": old, "pcapng": blocks} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, file, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			section string
			at      int // of the network header in what a socket filter sees
			want    string
			passed  int // bytes of packets
		}{
			{"xdp/noping", 0, "XDP_DROP         2\nXDP_PASS         1\n", 42},
			{"xdp/answer", 0, "XDP_DROP         1\nXDP_TX           2\n", 84},
			{"tc/through", 0, "TC_ACT_REDIRECT  3\n", 126},
			{"tc/shot", 0, "TC_ACT_OK        1\nTC_ACT_SHOT      2\n", 42},
			{"socket/echoes", 0, "returned 0       1\nreturned 34      2\n", 84}, // behind the link header, which is kept
			{"socket/echoes", 14, "returned 0       1\nreturned 34      2\n", 68},
		} {
			words := []string{"skep", "vm", "run", packetObject(t, dir, c.at), "--section", c.section, "--pcap", path, "--out", filepath.Join(dir, "out")}
			if c.at != 0 {
				words = append(words, "--link-header")
			}
			var out, errs bytes.Buffer
			if exit := runSkep(t, dir, words, &out, &errs); exit != 0 || out.String() != c.want || errs.Len() > 0 {
				t.Errorf("%s, %s: exit code %d, %q, want %q; %s", name, c.section, exit, out.String(), c.want, errs.String())
			}
			info, err := os.Stat(filepath.Join(dir, "out"))
			if packets := (c.passed + 41) / 42; err != nil || int(info.Size()) != 24+16*packets+c.passed {
				t.Errorf("%s, %s: %v, %v of what passed", name, c.section, info.Size(), err)
			}
		}
	}
}

// network is a thread with a network of its own, in which a test does one thing after the other.
type network struct {
	t     *testing.T
	tid   int
	calls chan func()
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never let go: the thread ends with its network
		err := unix.Unshare(unix.CLONE_NEWNET)
		n.tid = unix.Gettid()
		ready <- err
		for f := range n.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.calls) })
	return n
}

func (n *network) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { f(); close(done) }
	<-done
}

// ip runs the command ip with the words.
func (n *network) ip(words string) {
	n.t.Helper()
	n.do(func() {
		if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
			n.t.Errorf("ip %s: %v: %s", words, err, out)
		}
	})
}

// ping sends an echo request and reports whether the answer comes.
func (n *network) ping(to [4]byte, patience time.Duration) (answered bool) {
	n.t.Helper()
	n.do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			n.t.Error(err)
			return
		}
		defer unix.Close(fd)
		limit := unix.NsecToTimeval(int64(patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			n.t.Error(err)
			return
		}
		request := []byte{8, 0, 0, 0, 'b', 'e', 0, 1}
		binary.BigEndian.PutUint16(request[2:], ^(uint16('b')<<8 + 'e' + 8<<8 + 1))
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrInet4{Addr: to}); err != nil {
			n.t.Error(err)
			return
		}
		b := make([]byte, 200)
		for {
			got, _, err := unix.Recvfrom(fd, b, 0)
			switch {
			case errors.Is(err, unix.EINTR):
			case err != nil:
				return
			case got >= 28 && b[20] == 0 && string(b[24:26]) == "be":
				answered = true
				return
			}
		}
	})
	return answered
}

// startTaps starts skep vm run in a network and waits until its devices are open.
func (n *network) startTaps(words ...string) (end func() string) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"vm", "run"}, words...)...)
	cmd.Args[0] = "skep"
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
	var out bytes.Buffer
	cmd.Stdout = &out
	messages, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.do(func() { err = cmd.Start() })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { cmd.Process.Kill() })
	said, taps := "", strings.Count(strings.Join(words, " "), "--tap")
	b := make([]byte, 1000)
	for strings.Count(said, " is open\n") < taps {
		got, err := messages.Read(b)
		if err != nil {
			n.t.Fatalf("skep vm run %q: %v: %s", words, cmd.Wait(), said)
		}
		said += string(b[:got])
	}
	return func() string {
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			n.t.Errorf("%v: %s", err, out.String())
		}
		return out.String()
	}
}

// TestTaps sends real packets through programs: between two networks, and to nobody but a program.
func TestTaps(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	ktest.NeedTool(t, "clang")
	ktest.NeedTool(t, "ip")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("the kernel has no TAP devices: ", err)
	}
	dir := t.TempDir()
	object := packetObject(t, dir, 14)
	const patience = 30 * time.Second // of the machine; an answer takes a millisecond
	for _, c := range []struct {
		section  string
		answered bool
		want     string // expression for the report
	}{
		{"xdp/pass", true, `^XDP_PASS +\d+\n`},
		{"xdp/noping", false, `^XDP_DROP +1\nXDP_PASS +\d+\n`},
		{"tc/through", true, `^TC_ACT_REDIRECT +\d+\n`},
		{"tc/shot", false, `TC_ACT_SHOT +1\n`},
		{"socket/echoes", true, `returned 34 +2\n`},
	} {
		t.Run(c.section, func(t *testing.T) {
			one, two := newNetwork(t), newNetwork(t)
			capture := filepath.Join(dir, "out.pcap")
			end := one.startTaps(object, "--section", c.section, "--tap", "left", "--tap", "right", "--link-header", "--out", capture)
			one.ip("addr add 10.9.0.1/24 dev left")
			one.ip("link set left up")
			one.ip(fmt.Sprintf("link set right netns %d", two.tid))
			two.ip("addr add 10.9.0.2/24 dev right")
			two.ip("link set right up")
			limit := patience
			if !c.answered {
				limit = 300 * time.Millisecond // for what must not come
			}
			if got := one.ping([4]byte{10, 9, 0, 2}, limit); got != c.answered {
				t.Errorf("the ping was answered: %v", got)
			}
			report := end()
			if !regexp.MustCompile(c.want).MatchString(report) {
				t.Errorf("report %q, want %s", report, c.want)
			}
			if info, err := os.Stat(capture); err != nil || c.answered && info.Size() <= 24 {
				t.Errorf("what has passed: %v", err)
			}
		})
	}
	t.Run("answer", func(t *testing.T) {
		n := newNetwork(t)
		end := n.startTaps(object, "--section", "xdp/answer", "--tap", "alone", "--verify")
		n.ip("addr add 10.9.0.1/24 dev alone")
		n.ip("link set alone up")
		if !n.ping([4]byte{10, 9, 0, 77}, patience) {
			t.Error("the program's answer has not come")
		}
		if report := end(); !regexp.MustCompile(`XDP_TX +2\n`).MatchString(report) {
			t.Errorf("report %q", report)
		}
	})
}
