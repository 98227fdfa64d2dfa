// Command cmd (ktest) runs the module's tests on the kernels of the matrix, and single programs in one of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"skep/internal/ktest/matrix"
)

const usage = `usage: go run ./internal/ktest/cmd COMMAND [FLAG]... [ARGUMENT]...

  setup [-optional]         install what the guests need on a Debian machine (as root)
  fetch [-refresh] [KERNEL...]  fill the cache of kernels
  run [PACKAGE...]          run the tests of the packages on kernels and print a table
  others [PACKAGE...]       list the packages whose tests run leaves out
  exec -- PROGRAM [ARG...]  run one program in guests
  shell                     give a prompt in a guest

-kernel takes a list of 5.10, 6.1, 6.12, newest and live, or "all"; "6.12+lockdown=confidentiality" adds to the kernel's
command line. -add HOST[:GUEST] brings a file (a program with its libraries) or a folder along.
The kernels are kept in $SKEP_KERNELS, or else in the user's cache folder.
`

// errFailed is for what has been reported already.
var errFailed = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go followParent(ctx, stop)
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, errFailed):
		os.Exit(1)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "ktest:", err)
		os.Exit(1)
	}
}

// followParent ends this run with the make or go command that started it: neither tells when it is killed, and a shell
// that starts it is left for good reasons.
func followParent(ctx context.Context, stop func()) {
	parent := os.Getppid()
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	switch strings.TrimSpace(string(comm)) {
	case "make", "gmake", "go":
	default:
		return
	}
	for tick := time.Tick(time.Second); os.Getppid() == parent; {
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
	}
	stop()
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return flag.ErrHelp
	}
	command, args := args[0], args[1:]
	switch command {
	case "setup":
		return setup(ctx, args)
	case "fetch":
		return fetch(ctx, args)
	case "run":
		return runTests(ctx, args)
	case "others":
		return listOthers(ctx, args)
	case "exec":
		return execute(ctx, args)
	case "shell":
		return shell(ctx, args)
	case matrix.LiveCommand:
		return matrix.BecomeLive(args)
	default:
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("no command %q", command)
	}
}

// newFlags gives the flags that all commands with guests have.
func newFlags(command string) (flags *flag.FlagSet, kernels *string, additions *additionList) {
	flags = flag.NewFlagSet(command, flag.ContinueOnError)
	additions = &additionList{}
	kernels = flags.String("kernel", "", "list of kernels")
	flags.Var(additions, "add", "HOST[:GUEST], a file or folder to bring along")
	return flags, kernels, additions
}

type additionList []matrix.Addition

func (l *additionList) String() string { return "" }

func (l *additionList) Set(text string) error {
	*l = append(*l, matrix.ParseAddition(text))
	return nil
}

func kernelList(text string, otherwise []string) []string {
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(list) == 0 || len(list) == 1 && list[0] == "all" {
		return otherwise
	}
	return list
}

// inCI says that nothing may be missing.
func inCI() bool { return os.Getenv("CI") == "true" }
