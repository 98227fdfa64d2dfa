package probe

import (
	"encoding/hex"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestX86Length(t *testing.T) {
	// The code of each line is one instruction, or none if it begins with "bad".
	for _, line := range strings.Split(strings.TrimSpace(`
55 push %rbp
4889e5 mov %rsp,%rbp
4883ec30 sub $0x30,%rsp
c745e009000000 movl $0x9,-0x20(%rbp)
488d55d0 lea -0x30(%rbp),%rdx
b9c8000000 mov $0xc8,%ecx
48b8efcdab8967452301 movabs $0x123456789abcdef,%rax
66b83412 mov $0x1234,%ax
48a10000000000000080 movabs 0x8000000000000000,%rax
e800000000 call
0f8400010000 je
7405 je
f30f1efa endbr64
660f1f840000000000 nopw 0x0(%rax,%rax,1)
2e660f1f840000000000 cs nopw
6448 8b042528000000 mov %fs:0x28,%rax
488b04c500000000 mov 0x0(,%rax,8),%rax
488b05f6ffffff mov -0xa(%rip),%rax
41f6442403 01 testb $0x1,0x3(%r12)
f6d8 neg %al
48f7c0ffff0000 test $0xffff,%rax
66f7c00100 test $0x1,%ax
c8100001 enter
c3 ret
c21000 ret $0x10
f2ff25d58f0000 bnd jmp *0x8fd5(%rip)
f00fb10e lock cmpxchg %ecx,(%rsi)
0f05 syscall
0f0b ud2
0f01d0 xgetbv
660f3a0fc108 palignr $8
660f3800c1 pshufb
c5f877 vzeroupper
c5fd6f06 vmovdqa (%rsi),%ymm0
c4e37d0406 1b vpermilps $0x1b,(%rsi),%ymm0
c4e27d5806 vpbroadcastd (%rsi),%ymm0
62f17c48104601 vmovups 0x40(%rsi),%zmm0
62f37d4825c0ff vpternlogd $0xff
8fe878c2c107 vprotd $7
67488b06 mov (%esi),%rax
bad 06
bad 9a0000
bad 4889
bad 66
`), "\n") {
		text, isBad := strings.CutPrefix(line, "bad ")
		code := ""
		for _, word := range strings.Fields(text) {
			if _, err := hex.DecodeString(word); err != nil {
				break
			}
			code += word
		}
		bytes, _ := hex.DecodeString(code)
		want := len(bytes)
		if isBad {
			want = 0
		} else {
			bytes = append(bytes, 0x90, 0x90, 0x90, 0x90)
		}
		if got := x86Length(bytes, true); got != want {
			t.Errorf("%s: %d bytes, not %d", line, got, want)
		}
	}
}

// TestX86LengthShort has instructions that are others in 32 bits.
func TestX86LengthShort(t *testing.T) {
	for code, want := range map[string]int{
		"40": 1, "4889e5": 1, "06": 1, "60": 1, "a144332211": 5, "67a12211": 4, "c5f877": 3, "c508": 2, "6208": 2, "9a443322118877": 7,
		"8b0544332211": 6, "678b4604": 4, "67668b062211": 6, "66e82211": 4, "e844332211": 5, "d40a": 2, "b844332211": 5,
	} {
		bytes, err := hex.DecodeString(code + "90909090")
		if err != nil {
			t.Fatal(err)
		}
		if got := x86Length(bytes, false); got != want {
			t.Errorf("%s: %d bytes, not %d", code, got, want)
		}
	}
}

func FuzzX86Length(f *testing.F) {
	f.Add([]byte{0x62, 0xf1, 0x7c})
	f.Fuzz(func(t *testing.T, code []byte) {
		for _, long := range []bool{true, false} {
			if n := x86Length(code, long); n < 0 || n > len(code) || n > 15 {
				t.Errorf("%x, long %v: %d", code, long, n)
			}
		}
	})
}

// TestMiddleOfInstruction asks for places in a function of this program, of which some cannot be had.
func TestMiddleOfInstruction(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{Tracefs: OpenTracefs(t.TempDir())}
	at := "+" + map[string]string{"amd64": "1", "arm64": "2"}[runtime.GOARCH] // the first instruction of a Go function has more bytes
	pattern := "uprobe:" + self + ":skep/probe.x86Length" + at
	if _, err := c.Expand(pattern, ExpandOptions{}); err == nil || !strings.Contains(err.Error(), "in the middle of an instruction") {
		t.Errorf("%s: %v", pattern, err)
	}
	if points, err := c.Expand(pattern, ExpandOptions{Unsafe: true}); err != nil || len(points) != 1 {
		t.Errorf("%s, unsafe: %v, %v", pattern, points, err)
	}
}
