package trace

import (
	"os"
	"strconv"
	"strings"
)

// numberIn is the first number behind a name that a line of a file begins with, as in /proc/meminfo, /proc/vmstat or a control group's
// memory.stat; 0 if it is not there.
func numberIn(path, name string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && strings.TrimSuffix(words[0], ":") == name {
			n, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
