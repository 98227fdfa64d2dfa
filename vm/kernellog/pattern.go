package kernellog

import (
	"regexp"
	"sync"
)

// A pattern is a regular expression that is compiled when it is first used: none costs anything when a program starts.
type pattern struct {
	text string
	once sync.Once
	re   *regexp.Regexp
}

func (p *pattern) compiled() *regexp.Regexp {
	p.once.Do(func() { p.re = regexp.MustCompile(p.text) })
	return p.re
}

func (p *pattern) matches(s string) bool       { return p.compiled().MatchString(s) }
func (p *pattern) find(s string) []string      { return p.compiled().FindStringSubmatch(s) }
func (p *pattern) findAll(s string) [][]string { return p.compiled().FindAllStringSubmatch(s, -1) }
