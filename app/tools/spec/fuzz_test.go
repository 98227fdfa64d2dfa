package spec

import (
	"strings"
	"testing"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
)

// oneProbe fails if text is more than one probe of the language with one statement in it. That it is none, since the expressions in it are not
// sound, is for the language to say.
func oneProbe(t *testing.T, specifier, text, point string) {
	t.Helper()
	script, list := syntax.Parse(&diag.Source{Text: text + "END { }\n"}, syntax.Options{})
	if list.HasErrors() {
		return
	}
	if len(script.Probes) != 2 || len(script.Macros)+len(script.Funcs)+len(script.Config)+len(script.MapDecls)+len(script.Imports)+len(script.C)+
		len(script.Defines)+len(script.Includes) > 0 || len(script.Comments) > 1 || len(script.Comments) == 1 && !strings.HasPrefix(text, mark) {
		t.Fatalf("%q has become more than a probe:\n%s", specifier, text)
	}
	p := script.Probes[0]
	if len(p.Points) != 1 || p.Points[0].Text != point || p.Points[0].Name != "" || p.Pred == nil {
		t.Fatalf("%q has become other probes than %s:\n%s", specifier, point, text)
	}
	n := len(p.Body.Stmts)
	if p.Body.Value != nil {
		n++
	}
	if n != 1 {
		t.Fatalf("%q has become %d statements:\n%s", specifier, n, text)
	}
}

func FuzzTrace(f *testing.F) {
	for _, s := range []string{
		"vfs_read", `p:/a,b:ns::f(int) "%d"`, `p::f(struct x *y, u64 z) (y->a[0] > 1) "%s|%d\n", y->name, (int)z`, `r:c:f (retval < 0 && STRCMP("x", $comm)) "%K", retval`,
		`t:a:b "x"`, "p:/x{y}:f*", "p::f (1 / * 2)", `p::f (1) } END { exit()`, `p::f (a /* b) "*/"`, "p:c=d:f", "p::#f", "p::/f/", "p::f/1/", `p:"x":f`, "p:/*x:f", "p://x:f",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, specifier string) {
		text, err := Trace(specifier)
		if err != nil {
			return
		}
		r := newText(specifier)
		oneProbe(t, specifier, text, r.point(0, r.pointEnd()).Entry())
	})
}

func FuzzPoint(f *testing.F) {
	for _, s := range []string{"vfs_*", "p:c:malloc", "r::x", "t:a:b*", "p:/a b:c", "^x[a-c].*y$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, specifier string) {
		for _, parse := range []func(string) (Point, error){ParsePoint, ParseRegexp} {
			p, err := parse(specifier)
			if err != nil {
				continue
			}
			oneProbe(t, specifier, p.Entry()+" /1/ { exit(); }\n", p.Entry())
		}
	})
}

// FuzzDistribution allows for the probe of the call before that of the return; what shows the values is a macro of calls and nothing else.
func FuzzDistribution(f *testing.F) {
	for _, s := range []string{
		"p:c:write(int fd):int:fd", "r::vfs_read(u64 n):u64,u64:$entry(n),$latency/1000:$entry(n) > 5#label", `p::f():char*:"a%b'c{}"#x"y\`,
		"t:a:b():int:args->c", "p:c:fork()#fork } calls", "p::f(struct x *y):struct x *:y->z[0]:(y?1:2)", "p::f():int:a#b#c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, specifier string) {
		for _, histogram := range []bool{false, true} {
			var d Distributions
			add := d.Count
			if histogram {
				add = d.Histogram
			}
			if add(specifier) != nil {
				continue
			}
			script, list := syntax.Parse(&diag.Source{Text: d.Text() + "END { }\n"}, syntax.Options{})
			if list.HasErrors() {
				continue
			}
			if n := len(script.Probes); n < 2 || n > 3 || len(script.Macros) != 1 ||
				len(script.Funcs)+len(script.Config)+len(script.MapDecls)+len(script.Imports)+len(script.C)+len(script.Defines)+len(script.Includes) > 0 || len(script.Comments) != 1 {
				t.Fatalf("%q has become more than a probe or two:\n%s", specifier, d.Text())
			}
			if n := len(script.Macros[0].Body.Stmts); n > 3 {
				t.Fatalf("%q is shown by %d statements:\n%s", specifier, n, d.Text())
			}
		}
	})
}
