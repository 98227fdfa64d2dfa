//go:build !amd64

package main

import "errors"

func openWays(string) error { return errors.New("only amd64 has all ways to open a file") }
func open32(string) error   { return errors.New("only amd64 has 32-bit system calls") }
