//go:build linux && (amd64 || arm64)

package jit_test

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/vm/enginetest"
)

// TestKernel compares with the running kernel. SKEP_PROGRAMS=1000000 SKEP_SEED=… makes it a long one.
func TestKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root loads programs into the kernel")
	}
	k, err := enginetest.NewKernel()
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOSYS) {
		t.Skip("this machine, which may be emulated, has no bpf(2)")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	kernel := enginetest.Contender{Name: "kernel", Load: func(r *enginetest.Random) (func([]byte) error, func() error, error) {
		p, err := k.Load(r)
		if err != nil {
			return nil, nil, err
		}
		return func(value []byte) error { return k.Run(p, value) }, p.Close, nil
	}}
	contenders := []enginetest.Contender{kernel, interpreter.Contend(t, true), compiler.Contend(t, false), compiler.Contend(t, true)}
	first, n, taken := seed(t), uint64(programs(t, 1000)), 0
	var why error
	for i := range n {
		refused, differ := enginetest.Compare(first+i, 8, contenders)
		if differ != nil {
			t.Fatal(differ)
		}
		if refused == nil {
			taken++
		} else {
			why = refused
		}
	}
	t.Logf("%d programs compared, of %d", taken, n)
	if taken < int(n)*9/10 {
		t.Errorf("the verifier takes %d of %d random programs; the last one it refused: %+v", taken, n, why)
	}
}
