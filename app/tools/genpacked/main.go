// Command genpacked writes the scripts of the tools, compressed, for the build tag packed.
package main

import (
	"fmt"
	"os"

	"skep/app/tools"
)

func main() {
	if err := tools.Pack(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "genpacked:", err)
		os.Exit(1)
	}
}
