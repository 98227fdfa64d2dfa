package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"skep/vm"
)

const vmUsage = `skep vm runs eBPF programs in user space, without privileges and without the kernel

USAGE
    skep vm run [options] OBJECT          run a program of an ELF object
    skep vm exec [options] [MEMORY-HEX]   run bare instructions, which are on standard input in hexadecimal

OPTIONS OF RUN
    --program NAME  the program, if the object has several
    --section NAME  or the section that it is in
    --pcap FILE     the packets to run it on, as pcap or pcapng
    --tap NAME      or the packets that the kernel sends to a TAP device, which is made if there is none, until Ctrl-C. With two devices,
                    what passes leaves by the other one; XDP_TX and redirections go where they say
    --link-header   socket filters see the link-layer header, as on a packet socket; without it, they do not, as on other sockets
    --out FILE      where to write the packets that the program lets pass, as they are then
    --ctx FILE      the context, for programs that see no packets: the bytes that r1 points to
    --mem FILE      memory that the program may read: an ELF core, or lines of an address and bytes in hexadecimal
    --repeat N      run everything N times, and show the time that a run takes
    --btf FILE      the kernel's types for CO-RE (/sys/kernel/btf/vmlinux)
    --kconfig FILE  the kernel's configuration, for variables of .kconfig (/proc/config.gz)
    --verify        refuse what the kernel's verifier refuses, and run the rest without checks where that is safe
    --trusted       do not check memory accesses, as if a verifier had accepted the program

OPTIONS OF EXEC
    --program HEX   the program, instead of standard input
    --elf           the program is an ELF object, as it is or in hexadecimal
    --raw           accept what the kernel's verifier rejects for its form: shifts by too much, divisions by 0

OPTIONS OF BOTH
    --jit, --interp the engine; the JIT is the default where there is one
    --budget N      end a program after N instructions
`

func runVM(env *environment, args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "run":
			return runVMRun(env, args[1:])
		case "exec":
			return runVMExec(env, args[1:])
		case "help", "-h", "--help":
			return write(env, vmUsage)
		}
	}
	fmt.Fprintln(env.stderr, "usage: skep vm run|exec [options] …; skep vm help tells more")
	return exitUsage
}

// engineFlags are those that choose how programs run.
type engineFlags struct {
	jit, interp bool
	budget      int64
}

func (e *engineFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&e.jit, "jit", false, "")
	f.BoolVar(&e.interp, "interp", false, "")
	f.Int64Var(&e.budget, "budget", 0, "")
}

func (e *engineFlags) engine() (vm.Engine, error) {
	switch {
	case e.budget < 0:
		return 0, fmt.Errorf("--budget %d is no number of instructions", e.budget)
	case e.jit && e.interp:
		return 0, errors.New("--jit and --interp exclude each other")
	case e.jit:
		return vm.JIT, nil
	case e.interp:
		return vm.Interpreter, nil
	}
	return vm.Fastest, nil
}

// parseVM parses the command line of a subcommand. The exit code is negative if it shall run.
func parseVM(env *environment, f *pflag.FlagSet, args []string) int {
	f.Usage = func() {}
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return write(env, vmUsage)
	case err != nil:
		fmt.Fprintf(env.stderr, "ERROR: %v (skep vm help tells more)\n", err)
		return exitUsage
	}
	return -1
}

// failVM prints why a program could not be loaded or was ended, with all that is known of that.
func failVM(env *environment, err error) int {
	var fault *vm.Fault
	if errors.As(err, &fault) {
		fmt.Fprintf(env.stderr, "ERROR: %v\n%s", err, fault.State())
		return 1
	}
	return fail(env, err)
}

// thisTask is the process that runs programs, as their current task.
func thisTask() vm.Task {
	return vm.Task{
		TID: uint32(os.Getpid()), PID: uint32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Comm: "skep",
	}
}
