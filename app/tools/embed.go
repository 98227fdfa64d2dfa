//go:build !packed

package tools

import "embed"

//go:embed scripts/*.bt
var folder embed.FS

// scriptNames lists what scriptText knows, in alphabetical order.
func scriptNames() []string {
	files, err := folder.ReadDir("scripts")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name()[:len(f.Name())-len(extension)])
	}
	return names
}

// scriptText is the text of a script, if there is one of this name.
func scriptText(name string) (string, bool) {
	text, err := folder.ReadFile("scripts/" + name + extension)
	return string(text), err == nil
}
