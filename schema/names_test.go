package schema

import "testing"

func TestNames(t *testing.T) {
	flags := &NameTable{Names: []MaskedName{{1, 1, "|FIN"}, {2, 2, "|SYN"}}}
	kinds := &NameTable{Names: []MaskedName{{0x100, 0x100, "Sync-"}, {0xff, 0, "Read"}, {0xff, 1, "Write"}}, Other: "?"}
	results := &NameTable{Names: []MaskedName{{^uint64(0), ^uint64(0), "-EPERM"}}}
	for _, test := range []struct {
		table *NameTable
		value uint64
		want  string
	}{
		{flags, 0, "0"}, {flags, 1, "FIN"}, {flags, 3, "FIN|SYN"}, {flags, 8, "8"}, {flags, ^uint64(0), "FIN|SYN"}, {flags, ^uint64(3), "18446744073709551612"},
		{kinds, 0x101, "Sync-Write"}, {kinds, 0, "Read"}, {kinds, 2, "?"},
		{results, ^uint64(0), "-EPERM"}, {results, 0, "0"}, {results, 7, "7"}, {results, ^uint64(1), "-2"},
	} {
		if got := string(ParseNames(test.table.String()).Append(nil, test.value)); got != test.want {
			t.Errorf("%#x of %v is %q, want %q", test.value, test.table, got, test.want)
		}
	}
}
