package vm

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
)

// ReadObject reads an ELF object. Whatever the file is, it is an error and no panic.
func ReadObject(r io.ReaderAt) (spec *ebpf.CollectionSpec, err error) {
	defer func() {
		// The reader of cilium/ebpf is made for what compilers write.
		if p := recover(); p != nil {
			spec, err = nil, fmt.Errorf("reading the object: it is malformed: %v", p)
		}
	}()
	if spec, err = ebpf.LoadCollectionSpecFromReader(r); err != nil {
		return nil, fmt.Errorf("reading the object: %w", err)
	}
	return spec, nil
}
