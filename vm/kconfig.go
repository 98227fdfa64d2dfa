package vm

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/vm/metadata"
)

// ReadKconfig reads a kernel's configuration for [Options.Kconfig]: the text of .config, which may be compressed as /proc/config.gz is.
// Options that are not set have the value n.
func ReadKconfig(r io.Reader) (map[string]string, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		b = bufio.NewReader(z)
	}
	config := map[string]string{}
	lines := bufio.NewScanner(b)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, unset := strings.CutSuffix(line, " is not set"); unset {
			config[strings.TrimPrefix(name, "# ")] = "n"
		} else if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			config[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(config) == 0 {
		return nil, errors.New("reading the configuration: it has no options")
	}
	return config, nil
}

// NeedsKconfig reports whether the collection has variables of the kernel's configuration.
func NeedsKconfig(spec *ebpf.CollectionSpec) bool {
	var section *btf.Datasec
	return spec.Types != nil && spec.Types.TypeByName(metadata.KconfigName, &section) == nil
}
