package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"skep/app/tools"
	"skep/internal/diag"
)

// exitUsage is the exit code for a mistake in a tool's command line: that of BCC's tools.
const exitUsage = 2

// runTool runs a ready-made tool: its script, with the parameters that its flags set.
func runTool(env *environment, name string, args []string) int {
	tool, err := tools.Load(name)
	if err != nil {
		return fail(env, err)
	}
	call, err := tool.Command(tools.ThisMachine(), args)
	var wrong *diag.List
	if errors.As(err, &wrong) {
		diag.Render(env.stderr, wrong, colours(env.stderr))
		return 1
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v\nusage: %s (skep help %s is the manual)\n", err, tool.Usage, name)
		return exitUsage
	}
	switch {
	case call.Help:
		return write(env, tool.Manual())
	case call.Version:
		return runVersion(env, nil)
	case call.Show:
		return write(env, tool.Show(call))
	}
	o := &options{
		source: tool.Run(call), args: call.Args, named: call.Params,
		output: call.Output, verbose: call.Verbose, format: "text", buffering: "line", quiet: true, bare: true,
		explainOnly: call.Explain, pid: call.PID, child: call.Command,
	}
	o.about, _ = strconv.Atoi(call.Params["pid"])
	if o.about > 0 && errors.Is(syscall.Kill(o.about, 0), syscall.ESRCH) {
		return fail(env, fmt.Errorf("there is no process %d", o.about))
	}
	o.source.Embedded, o.bufferFlag = !call.Verbose, tool.BufferFlag()
	if call.JSON {
		o.format = "json"
	}
	return runScript(env, o)
}

func write(env *environment, text string) int {
	if _, err := io.WriteString(env.stdout, text); err != nil {
		return 1
	}
	return 0
}

func showManual(env *environment, name string) int {
	if !tools.Exists(name) {
		return fail(env, noTool(name))
	}
	tool, err := tools.Load(name)
	if err != nil {
		return fail(env, err)
	}
	return write(env, tool.Manual())
}

func noTool(name string) error {
	if near := tools.Nearest(name); near != "" {
		return fmt.Errorf("there is no tool %s; did you mean %s? (skep tools lists them)", name, near)
	}
	return fmt.Errorf("there is no tool %s (skep tools lists them)", name)
}

func runTools(env *environment, args []string) int {
	if len(args) > 0 {
		return fail(env, errors.New("skep tools takes no arguments; skep help TOOL is the manual of a tool"))
	}
	text, err := tools.List()
	if err != nil {
		return fail(env, err)
	}
	return write(env, text)
}

func runLinks(env *environment, args []string) int {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(env.stderr, "usage: skep links DIR")
		return exitUsage
	}
	if info, err := os.Stat(args[0]); err == nil && !info.IsDir() || errors.Is(err, os.ErrNotExist) {
		return fail(env, fmt.Errorf("making links: there is no folder %s", args[0]))
	}
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err == nil {
		err = tools.Link(env.stdout, args[0], self)
	}
	if err != nil {
		return fail(env, fmt.Errorf("making links: %w", err))
	}
	return 0
}

func runCompletion(env *environment, args []string) int {
	if len(args) != 1 {
		fmt.Fprintf(env.stderr, "usage: skep completion %s\n", strings.Join(tools.Shells(), "|"))
		return exitUsage
	}
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	text, err := tools.Completion(args[0], names)
	if err != nil {
		return fail(env, err)
	}
	return write(env, text)
}
