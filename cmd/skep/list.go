package main

import (
	"fmt"
	"os"
	"strings"

	"skep/host/user"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// runList lists what a search means, or the probes of a script if it names a file.
func runList(env *environment, o *options) int {
	if o.host == "user" && len(o.program) == 0 && !isScript(o.search) {
		return listUser(env, o)
	}
	catalog := &probe.Catalog{}
	if len(o.program) > 0 || isScript(o.search) {
		if len(o.program) == 0 {
			o.file = o.search
		}
		return listScript(env, o, catalog)
	}
	n, err := catalog.List(env.stdout, o.search, o.verbose)
	if err != nil {
		return fail(env, err)
	}
	if n == 0 && !o.quiet {
		fmt.Fprintf(env.stderr, "nothing matches %q\n", o.search)
	}
	return 0
}

// listUser lists what the user-space host has of what a search means.
func listUser(env *environment, o *options) int {
	search := o.search
	if search == "" {
		search = "tracepoint:*:*"
	}
	catalog := user.NewCatalog()
	points, err := catalog.Expand(search, probe.ExpandOptions{})
	if err != nil {
		return fail(env, err)
	}
	for _, p := range points {
		fmt.Fprintln(env.stdout, p.Name)
		if p.Kind != probe.Tracepoint || !o.verbose {
			continue
		}
		if f, err := catalog.Format(p.Category, p.Event); err == nil {
			f.List(env.stdout)
		}
	}
	return 0
}

func isScript(name string) bool {
	if name == "" || strings.ContainsAny(name, ":*") {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func listScript(env *environment, o *options, catalog *probe.Catalog) int {
	src, err := readSource(env, o)
	if err != nil {
		return fail(env, err)
	}
	script, list := syntax.Parse(src, parseOptionsOf(o))
	if show(env, o, list) {
		return 1
	}
	for _, p := range script.Probes {
		for _, point := range p.Points {
			points, err := catalog.Expand(point.Text, probe.ExpandOptions{PID: o.pid})
			if err != nil {
				list.Errorf(point.Span, "%v", err)
			}
			for _, x := range points {
				if o.verbose {
					if n, err := catalog.List(env.stdout, x.Name, true); n > 0 || err != nil {
						continue
					}
				}
				fmt.Fprintln(env.stdout, x.Name)
			}
		}
	}
	if show(env, o, list) {
		return 1
	}
	return 0
}
