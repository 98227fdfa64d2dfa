package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Failed says that a test failed, or with strict that a kernel could not be run.
func (o *Outcome) Failed(strict bool) bool {
	_, failed, _ := count(o.Results)
	return failed > 0 || strict && len(o.NotRun) > 0
}

// Empty says that kernels ran and no test did.
func (o *Outcome) Empty() bool { return len(o.Results) == 0 && len(o.NotRun) < len(o.Kernels) }

// Print writes the table of tests by kernels, the reasons of skips, the output of failed tests, and the closing line: who sees the end of it
// alone sees what failed.
func (o *Outcome) Print(w io.Writer) {
	o.printTable(w)
	for _, kernel := range o.Kernels {
		if why, ok := o.NotRun[kernel]; ok {
			fmt.Fprintf(w, "kernel %s was not run: %s\n", kernel, why)
		}
	}
	for _, name := range o.nowhere() {
		fmt.Fprintf(w, "%s ran on no kernel\n", name)
	}
	for _, r := range o.Results {
		if r.Outcome == Again && r.top() {
			fmt.Fprintf(w, "%s %s on %s passed only the second time\n", r.Package, r.Test, r.Kernel)
		}
	}
	fmt.Fprintln(w)
	o.printFailures(w)
	passed, failed, skipped := count(o.Results)
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
}

func (o *Outcome) printFailures(w io.Writer) {
	for _, r := range o.Results {
		if r.Outcome != Fail && r.Outcome != Again || o.failedInside(r) {
			continue
		}
		second := ""
		if r.Outcome == Again {
			second = ", and passed once more"
		}
		fmt.Fprintf(w, "--- FAIL on %s%s: %s %s\n", r.Kernel, second, r.Package, r.Test)
		for line := range strings.Lines(strings.TrimRight(r.Output, "\n")) {
			fmt.Fprintf(w, "    %s\n", strings.TrimRight(line, "\r\n"))
		}
		fmt.Fprintln(w)
	}
}

// failedInside says that a part of the test failed and tells more than the test itself.
func (o *Outcome) failedInside(r Result) bool {
	return slices.ContainsFunc(o.Results, func(part Result) bool {
		return part.Kernel == r.Kernel && part.Package == r.Package && part.Outcome == r.Outcome &&
			strings.HasPrefix(part.Test, r.Test+"/")
	})
}

// A row of the table is one test; a part of a test has a row only if it did not pass somewhere.
type row struct {
	pkg, test string
	cells     map[string]Result // by kernel
}

func (o *Outcome) rows() []row {
	type key struct{ pkg, test string }
	index := map[key]int{}
	var rows []row
	for _, r := range o.Results {
		k := key{r.Package, r.Test}
		i, ok := index[k]
		if !ok {
			i = len(rows)
			index[k] = i
			rows = append(rows, row{r.Package, r.Test, map[string]Result{}})
		}
		rows[i].cells[r.Kernel] = r
	}
	rows = slices.DeleteFunc(rows, func(r row) bool {
		for _, c := range r.cells {
			if c.top() || c.Outcome != Pass {
				return false
			}
		}
		return true
	})
	slices.SortStableFunc(rows, func(a, b row) int {
		if c := strings.Compare(a.pkg, b.pkg); c != 0 {
			return c
		}
		return strings.Compare(a.test, b.test)
	})
	return rows
}

func (o *Outcome) printTable(w io.Writer) {
	rows := o.rows()
	width := 0
	for _, r := range rows {
		width = max(width, len(r.test)+2)
	}
	width = min(width, 60)
	heads, wide := headings(o.Kernels)
	fmt.Fprintf(w, "%-*s", width, "")
	for i := range o.Kernels {
		fmt.Fprintf(w, "  %*s", wide[i], heads[i])
	}
	fmt.Fprintln(w)

	var reasons []string
	pkg := ""
	for _, r := range rows {
		if r.pkg != pkg {
			pkg = r.pkg
			fmt.Fprintln(w, pkg)
		}
		fmt.Fprintf(w, "%-*s", width, "  "+r.test)
		for i, kernel := range o.Kernels {
			fmt.Fprintf(w, "  %*s", wide[i], cell(r.cells, kernel, &reasons))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for i, reason := range reasons {
		fmt.Fprintf(w, "skip %d: %s\n", i+1, reason)
	}
	for _, kernel := range o.Kernels {
		if release := o.Releases[kernel]; release != "" {
			fmt.Fprintf(w, "%s is Linux %s, %.0f s\n", kernel, release, o.Times[kernel].Seconds())
		}
	}
}

// headings shortens a variant's option to what is before "=", to keep columns narrow.
func headings(kernels []string) (heads []string, wide []int) {
	for _, kernel := range kernels {
		head, _, _ := strings.Cut(kernel, "=")
		heads = append(heads, head)
		wide = append(wide, max(len(head), len("skip 12")))
	}
	return heads, wide
}

// cell numbers each reason of a skip once.
func cell(cells map[string]Result, kernel string, reasons *[]string) string {
	r, ok := cells[kernel]
	if !ok {
		return "-"
	}
	if r.Outcome != Skip {
		return string(r.Outcome)
	}
	i := slices.Index(*reasons, r.reason())
	if i < 0 {
		*reasons = append(*reasons, r.reason())
		i = len(*reasons) - 1
	}
	return fmt.Sprintf("skip %d", i+1)
}

// nowhere lists tests that every kernel skipped, if the whole matrix ran.
func (o *Outcome) nowhere() []string {
	if len(o.NotRun) > 0 || len(o.Kernels) < len(DefaultKernels()) {
		return nil
	}
	var names []string
	for _, r := range o.rows() {
		ran := false
		for _, c := range r.cells {
			ran = ran || c.Outcome != Skip
		}
		if !ran {
			names = append(names, r.pkg+" "+r.test)
		}
	}
	return names
}
