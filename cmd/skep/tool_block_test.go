package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// blockFile is a file that is read from a block device, not from memory.
type blockFile struct {
	t    *testing.T
	file *os.File
	disk string
	page []byte
}

const blockBytes = 4096

// openBlocks takes the null device of guests, whose requests are the test's alone, or a new file.
func openBlocks(t *testing.T, blocks int) *blockFile {
	t.Helper()
	path := "/dev/nullb0"
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join(t.TempDir(), "blocks")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(make([]byte, blocks*blockBytes)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Skipf("no direct access to a disk: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	device := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		device = st.Rdev
	}
	link, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(device), unix.Minor(device)))
	if err != nil {
		t.Skipf("files are not on a block device: %v", err)
	}
	if _, err := os.Stat(filepath.Join(link, "partition")); err == nil {
		link = filepath.Dir(link)
	}
	page, err := unix.Mmap(-1, 0, blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(page) })
	return &blockFile{t, f, filepath.Base(link), page}
}

// read makes one request for each block.
func (b *blockFile) read(blocks int) {
	b.t.Helper()
	for i := range blocks {
		if n, err := b.file.ReadAt(b.page, int64(i)*blockBytes); err != nil || n != blockBytes {
			b.t.Fatalf("block %d: %d bytes, %v", i, n, err)
		}
	}
}

// reads is how many reads of the disk the kernel has counted.
func (b *blockFile) reads() (n int) {
	b.t.Helper()
	text, err := os.ReadFile("/sys/block/" + b.disk + "/stat")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestBiolatencyCounts compares with the kernel's own count. Requests of others are counted by both, but for those at the edges.
func TestBiolatencyCounts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF)
	ktest.Oldest(t)
	blocks := 2000
	if ktest.Emulated() {
		blocks = 800
	}
	b := openBlocks(t, blocks)
	for _, args := range []string{"", " -Q"} {
		b.unhindered(func() error {
			s := startSkep(t, strings.Fields("biolatency --json -F -d "+b.disk+args)...)
			before := b.reads()
			b.read(blocks)
			want := b.reads() - before
			rest, exit := s.end(syscall.SIGINT)
			got := 0
			for _, h := range histograms(t, strings.Join(rest, "\n")) {
				if strings.HasSuffix(h.Flags, "Read") {
					got += h.Count
				}
			}
			if got < want-5 || got > want+5 || want < blocks || exit != 0 {
				return fmt.Errorf("biolatency%s: %d reads, the kernel counts %d of at least %d; exit code %d: %s", args, got, want, blocks, exit, s.stderr.String())
			}
			return nil
		})
	}
}

// unhindered tries several times. The kernel of a sandbox may run no programs while it interrupts the sandbox's own tasks, so that a
// request which completes there is seen by no tool; elsewhere the first time is the only one.
func (b *blockFile) unhindered(try func() error) {
	b.t.Helper()
	tries := 10
	if b.disk == "nullb0" {
		tries = 1
	}
	for {
		err := try()
		if tries--; err == nil {
			return
		} else if tries == 0 {
			b.t.Error(err)
			return
		}
	}
}

// TestBlockTools compares whole outputs for requests of the test's own.
func TestBlockTools(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF)
	ktest.Oldest(t)
	const blocks = 20
	b := openBlocks(t, blocks)
	pid := strconv.Itoa(os.Getpid())
	comm := regexp.QuoteMeta(threadName(t))
	tried := map[string]bool{}
	for _, test := range []struct{ args, want string }{
		{"biolatency -p $PID", `Tracing block device I/O\.\.\. Hit Ctrl-C to end\.\n` + log2Lines},
		{"biolatency -Q -T -m -p $PID", `Tracing .*\n\d\d:\d\d:\d\d\n` + strings.Replace(log2Lines, "usecs", "msecs", 1)},
		{"biolatency -D -e -p $PID", `Tracing .*\ndisk = $DISK\n` + log2Lines + `avg = \d+ usecs, total: \d+ usecs, count: 20\n`},
		{"biolatency -F -d /dev/$DISK -p $PID", `Tracing .*\nflags = ([A-Z][A-Za-z]+-)*Read\n` + log2Lines},
		{"biosnoop -p $PID", `TIME\(s\)     COMM           PID     DISK      T SECTOR     BYTES   LAT\(ms\)\n` +
			`(\d+\.\d{6} +$COMM +$PID +$DISK +R \d+ +4096    +\d+\.\d\d\n){20}`},
		{"biosnoop -Q -p $PID -d $DISK", `TIME\(s\)     COMM           PID     DISK      T SECTOR     BYTES   QUE\(ms\) LAT\(ms\)\n` +
			`(\d+\.\d{6} +$COMM +$PID +$DISK +R \d+ +4096    +\d+\.\d\d +\d+\.\d\d\n){20}`},
		{"biosnoop -P -p $PID", `TIME\(s\)     COMM           PID     DISK      T SECTOR     BYTES   P LAT\(ms\)\n` +
			`(\d+\.\d{6} +$COMM +$PID +$DISK +R \d+ +4096    [RS] +\d+\.\d\d\n){20}`},
		{"biosnoop -t -p $PID", `TIME     TIME\(s\)     COMM           PID     DISK      T SECTOR     BYTES   LAT\(ms\)\n` +
			`(\d\d:\d\d:\d\d \d+\.\d{6} +$COMM +$PID +$DISK +R \d+ +4096    +\d+\.\d\d\n){20}`},
		{"biosnoop -m 100000 -p $PID", `TIME\(s\)     COMM           PID     DISK      T SECTOR     BYTES   LAT\(ms\)\n`},
		{"bitesize -T -c $NAME -p $PID", `Tracing .*\n\d\d:\d\d:\d\d\nProcess Name = $COMM\n +Kbytes +: count +distribution\n( +\d+ -> \d+ +: .*\n){3}`},
		{"bitesize -c nobody -p $PID", `Tracing .*\n`},
		{"biotop -C -p $PID -s time --rows 1 1000", `Tracing.*\n\d\d:\d\d:\d\d\nPID .*\n$PID +$COMM +R .* 80 +\d+\.\d\d\n`},
		{"biotop -C -p $PID 1000", `Tracing\.\.\. Output every 1000 secs\. Hit Ctrl-C to end\n\d\d:\d\d:\d\d\n` +
			`PID     COMM             D MAJ MIN DISK       I/O  Kbytes  AVGms\n$PID +$COMM +R \d+ +\d+ +$DISK +20      80 +\d+\.\d\d\n`},
		{"bitesize -p $PID", `Tracing block I/O\.\.\. Hit Ctrl-C to end\.\nProcess Name = $COMM\n +Kbytes +: count +distribution\n` +
			` +0 -> 1 +: 0 .*\n +2 -> 3 +: 0 .*\n +4 -> 7 +: 20 +\|\*{40}\|\n`},
		{"biopattern -T -d $DISK", `Tracing .*\n\d\d:\d\d:\d\d\nDISK     %RND  %SEQ    COUNT     KBYTES\n$DISK +\d+ +\d+ +\d+ +\d+\n`},
		{"biopattern -p $PID", `Tracing .*\nDISK     %RND  %SEQ    COUNT     KBYTES\n$DISK +\d+ +\d+ +19         76\n`}, // nothing is before the first
		{"biopattern -p 1 -d $DISK", `Tracing .*\nDISK     %RND  %SEQ    COUNT     KBYTES\n`},
		{"biostacks -p $PID", `Tracing block I/O with init stacks\. Hit Ctrl-C to end\.\n` + frameLines + `    -                $COMM\n` + log2Lines},
	} {
		if enough(tried, test.args) {
			continue
		}
		t.Run(test.args, func(t *testing.T) {
			with := strings.NewReplacer("$PID", pid, "$DISK", b.disk, "$COMM", comm, "$NAME", threadName(t))
			b.t = t
			b.unhindered(func() error {
				s := startSkep(t, strings.Fields(with.Replace(test.args))...)
				b.read(blocks)
				rest, exit := s.end(syscall.SIGINT)
				got := strings.Join(append(s.early, rest...), "\n") + "\n"
				if !regexp.MustCompile(`^(?:`+with.Replace(test.want)+`)$`).MatchString(got) || exit != 0 || s.stderr.Len() > 0 {
					return fmt.Errorf("exit code %d: %s\n%s", exit, s.stderr.String(), got)
				}
				return nil
			})
		})
	}
	b.t = t
	if ktest.Emulated() {
		return
	}
	for _, args := range []string{"biolatency --json", "biostacks --json", "bitesize --json"} {
		b.unhindered(func() error {
			s := startSkep(t, strings.Fields(args+" -p "+pid)...)
			b.read(blocks)
			rest, _ := s.end(syscall.SIGINT)
			if n := total(t, strings.Join(rest, "\n")); n != blocks {
				return fmt.Errorf("%s: %d requests of %d", args, n, blocks)
			}
			return nil
		})
	}
}

// threadName is the name of this process's threads.
func threadName(t *testing.T) string {
	t.Helper()
	var name [16]byte
	if err := unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(name[:])
}
