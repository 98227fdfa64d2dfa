package boot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// machineArgs are the emulator's arguments for running tests. The emulation is by software everywhere, so that
// results do not depend on where the tests run.
//
// Both processors take turns on one thread, which is quicker as soon as two guests share two processors.
func (g Guest) machineArgs(initramfs string, memory int64) []string {
	// A panic resets the machine at once, and a reset ends the emulator.
	options := []string{"console=ttyS0", "panic=-1", "unknown_nmi_panic", "lsm=lockdown,capability,bpf"}
	// An emulated processor's counter is one for both, though the kernel thinks not and would ask a slow device for the time. Indirect calls
	// by way of returns are what an emulator is worst at; not mitigations=off, with which the verifier checks less.
	options = append(options, "tsc=reliable", "spectre_v2=off")
	if g.Plan.Shell != "" {
		options = append(options, "quiet")
	}
	options = append(options, g.Options...)
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", fmt.Sprint(memory),
		"-kernel", g.Kernel.Image, "-initrd", initramfs, "-append", strings.Join(options, " "),
	}
}

// A machine is a running emulator with its channels.
type machine struct {
	cmd     *exec.Cmd
	console *bytes.Buffer // filled by exec until the emulator has ended
	errors  bytes.Buffer
	output  *net.UnixListener
	alive   *net.UnixListener
	control *net.UnixListener
	started time.Time
	ended   chan error
}

// startMachine starts the emulator with the channels for a plan of programs.
func startMachine(dir string, args []string) (*machine, error) {
	m := &machine{console: &bytes.Buffer{}}
	// A socket's path may have 107 bytes and QEMU's options no comma: both sides name it from the folder.
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	for name, l := range map[string]**net.UnixListener{"output": &m.output, "alive": &m.alive, "control": &m.control} {
		path := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), name)
		if *l, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path}); err != nil {
			return nil, err
		}
		(*l).SetUnlinkOnClose(false) // the folder goes as a whole
		args = append(args, "-chardev", fmt.Sprintf("socket,id=%s,path=%s", name, name))
	}
	args = append(args,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-mon", "chardev=control,mode=control",
		"-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=output,name="+OutputPort,
		"-device", "virtserialport,chardev=alive,name="+AlivePort,
	)
	m.cmd = exec.Command(Emulator, args...)
	m.cmd.Dir = dir
	m.cmd.Stdout, m.cmd.Stderr = m.console, &m.errors
	m.started = time.Now()
	m.ended, err = start(m.cmd)
	return m, err
}

// start starts an emulator that does not outlive this process, and gives the channel on which its end will be told.
func start(cmd *exec.Cmd) (ended chan error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The death signal comes when the starting thread ends, so it must stay as long as the emulator.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("starting the emulator: %w", err)
	}
	return ended, nil
}

// watch passes the programs' output on and ends the machine when it hangs or takes too long.
func (m *machine) watch(ctx context.Context, sink func(Output), silence, limit time.Duration) Report {
	defer m.output.Close()
	defer m.alive.Close()
	defer m.control.Close()

	var lastSign atomic.Int64 // time of the last sign of life, in ns since the start
	sign := func() { lastSign.Store(int64(time.Since(m.started))) }
	go m.listenAlive(sign)
	report := Report{}
	outputDone := make(chan struct{})
	go func() {
		defer close(outputDone)
		m.readOutput(sink, sign, &report)
	}()

	timeout := time.After(limit)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var verdict End
	var err error
wait:
	for {
		select {
		case err = <-m.ended:
			break wait
		case <-ctx.Done():
			verdict = EndStopped
			m.cmd.Process.Kill()
			err = <-m.ended
			break wait
		case <-timeout:
			verdict = EndLimit
		case <-tick.C:
			last, patience := time.Duration(lastSign.Load()), silence
			if last == 0 { // no process can run before the kernel has booted, which takes its time on a busy machine
				patience = max(silence, 2*time.Minute)
			}
			if time.Since(m.started)-last > patience {
				verdict = EndHang
			}
		}
		if verdict != "" {
			err = m.interrupt()
			break wait
		}
	}
	m.output.Close() // ends a reader to which nobody connected
	<-outputDone
	report.Time = time.Since(m.started)
	report.Console = strings.ReplaceAll(m.console.String(), "\r\n", "\n")
	switch {
	case report.End == EndDone:
	case verdict != "":
		report.End = verdict
	case strings.Contains(report.Console, "Kernel panic"):
		report.End = EndPanic
	default:
		report.End = EndStopped
	}
	if err != nil && verdict == "" {
		report.Console += fmt.Sprintf("emulator: %v: %s\n", err, m.errors.Bytes())
	}
	return report
}

// listenAlive notes each sign that processes still run.
func (m *machine) listenAlive(sign func()) {
	conn, err := m.alive.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
		sign()
	}
}

// readOutput splits what comes from the guest into the programs' output and the marks between.
func (m *machine) readOutput(sink func(Output), sign func(), report *Report) {
	conn, err := m.output.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	program := ""
	for {
		line, err := r.ReadBytes('\n')
		data, mark, isMark := cutMark(line)
		if len(data) > 0 {
			sink(Output{Program: program, Data: data})
		}
		if isMark {
			sign()
			switch mark.Kind {
			case "booted":
				report.Release, report.BootTime = mark.Text, time.Since(m.started)
			case "start":
				program = mark.Program
			case "exit":
				sink(Output{Program: mark.Program, Exit: &mark})
				program = ""
			case "done":
				report.End = EndDone
			}
		}
		if err != nil {
			return
		}
	}
}

// interrupt ends a machine that no longer answers, after making its kernel print where it is.
func (m *machine) interrupt() error {
	if err := m.injectInterrupt(); err == nil {
		select {
		case err := <-m.ended:
			return err
		case <-time.After(5 * time.Second):
		}
	}
	m.cmd.Process.Kill()
	return <-m.ended
}

// injectInterrupt sends the interrupt that no kernel code can block; the kernel panics with the stack of what runs.
func (m *machine) injectInterrupt() error {
	m.control.SetDeadline(time.Now().Add(time.Second))
	conn, err := m.control.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	answers := bufio.NewScanner(conn)
	for _, command := range []string{"", `{"execute":"qmp_capabilities"}`, `{"execute":"inject-nmi"}`} {
		if _, err := io.WriteString(conn, command); err != nil {
			return err
		}
		// The first answer is the greeting. Events may come before an answer, but none that matter here.
		if !answers.Scan() {
			return answers.Err()
		}
	}
	return nil
}

// Interactive boots the guest with the caller's terminal as its console.
func (g Guest) Interactive(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ktest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	initramfs, memory, err := g.prepare(dir)
	if err != nil {
		return fmt.Errorf("preparing kernel %s: %w", g.Kernel.Name, err)
	}
	args := append(g.machineArgs(initramfs, memory), "-chardev", "stdio,id=console,mux=on,signal=off",
		"-serial", "chardev:console", "-mon", "chardev=console,mode=readline")
	cmd := exec.CommandContext(ctx, Emulator, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	ended, err := start(cmd)
	if err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := <-ended; err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for the emulator: %w", err)
	}
	return nil
}
