package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// TestTcpdropCloses: what the kernel frees when a connection ends as it should is no drop.
func TestTcpdropCloses(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Release("6.1"))
	ktest.Edges(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := startSkep(t, "tcpdrop", "--json", "-P", fmt.Sprint(server.Addr().(*net.TCPAddr).Port))
	for range 3 {
		client, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		served, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 3)
		for _, ends := range [][2]net.Conn{{client, served}, {served, client}} {
			_, err1 := ends[0].Write([]byte("bye"))
			_, err2 := io.ReadFull(ends[1], buf)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
		}
		served.Close()
		time.Sleep(50 * time.Millisecond) // until the server waits for the last segment
		client.Close()
	}
	output, exit := s.end(os.Interrupt)
	if exit != 0 {
		t.Errorf("exit code %d", exit)
	}
	for _, line := range output {
		if !strings.Contains(line, "QUEUE_PURGE") { // of the last segment, which nobody reads: Linux 6.18 calls that a reason
			t.Error(line)
		}
	}
}

// TestTcpdropOfProcess: segments that a filter of the process's socket drops are shown with its number, and not with another.
func TestTcpdropOfProcess(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Release("6.1"))
	ktest.Edges(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for pid, want := range map[int]bool{os.Getpid(): true, 1: false} {
		s := startSkep(t, "tcpdrop", "--json", "-P", fmt.Sprint(server.Addr().(*net.TCPAddr).Port), "--pid", fmt.Sprint(pid))
		client, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		served, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := served.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
		var filterErr error
		if err := raw.Control(func(fd uintptr) {
			filterErr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
		}); err != nil || filterErr != nil {
			t.Fatal(err, filterErr)
		}
		if _, err := client.Write([]byte("dropped")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		output, exit := s.end(os.Interrupt)
		if got := strings.Contains(strings.Join(output, "\n"), "SOCKET_FILTER"); exit != 0 || got != want {
			t.Errorf("--pid %d: exit code %d\n%s", pid, exit, strings.Join(output, "\n"))
		}
		client.Close()
		served.Close()
	}
}

// TestTcpstatesOfOthers: sockets of other processes have the memory of those that this one has closed, and are not taken for them.
func TestTcpstatesOfOthers(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Edges(t)
	s := startSkep(t, "tcpstates", "--json", "--pid", fmt.Sprint(os.Getpid()))
	w := ktest.StartWork(t, "tcp", "500", "10")
	const refused = 500
	var fds []int // all at once, so that each has memory of its own
	for range refused {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}})
		_, _ = unix.Read(fd, make([]byte, 1)) // what a process does with it that is closed does not make it its own again
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	w.Run()
	output, exit := s.end(os.Interrupt)
	if exit != 0 || len(output) != 2*refused {
		t.Errorf("exit code %d, %d changes of %d", exit, len(output), 2*refused)
	}
	for _, line := range output {
		if !strings.Contains(line, `"rport":1,`) {
			t.Fatal("of another process: ", line)
		}
	}
}

// TestTcpstatesOfProcess: a process's socket changes its states whoever runs when a segment comes.
func TestTcpstatesOfProcess(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint, ktest.BTF)
	ktest.Oldest(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	port := server.Addr().(*net.TCPAddr).Port
	client := exec.Command("bash", "-c", fmt.Sprintf("read; exec 3<>/dev/tcp/127.0.0.1/%d; exec 3>&-; read", port))
	hold, err := client.StdinPipe()
	if err == nil {
		err = client.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer client.Wait()
	defer hold.Close()
	s := startSkep(t, "tcpstates", "--json", "-p", fmt.Sprint(client.Process.Pid))
	io.WriteString(hold, "\n")
	served, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(served)                 // until the client has closed its end
	time.Sleep(200 * time.Millisecond) // and has got the acknowledgement of that
	served.Close()
	output, exit := s.end(os.Interrupt)
	states := ""
	for _, line := range output {
		var row struct{ NewState string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		states += row.NewState + " "
	}
	if want := "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE "; states != want || exit != 0 {
		t.Errorf("exit code %d, states %q, not %q: %s", exit, states, want, output)
	}
}
