package tools

import (
	"fmt"
	"strings"
)

// Shells lists those that Completion knows.
func Shells() []string { return []string{"bash", "fish", "zsh"} }

// Completion is a script for a shell that completes the commands of skep, its tools and their flags.
func Completion(shell string, commands []string) (string, error) {
	all, err := All()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	switch shell {
	case "bash":
		completeBash(&b, all, commands)
	case "zsh":
		completeZsh(&b, all, commands)
	case "fish":
		completeFish(&b, all, commands)
	default:
		return "", fmt.Errorf("there is no completion for %q, only for %s", shell, strings.Join(Shells(), ", "))
	}
	return b.String(), nil
}

func (t *Tool) allFlags() []*Flag {
	return append(t.Flags[:len(t.Flags):len(t.Flags)], t.commonFlags()...)
}

func toolNames(all []*Tool) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	return names
}

// programs are the names under which tools are called: links, too.
func programs(all []*Tool) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.Name, t.Name+"-bpfcc")
	}
	return names
}

// values says what a shell offers for the value of a flag: the words of a choice, files, or nothing.
func (f *Flag) values() (words []string, files bool) {
	if f.Kind == Choice {
		return f.Words, false
	}
	return nil, f.Kind == Text && (f.is("FILE") || f.is("PATH"))
}

func completeBash(b *strings.Builder, all []*Tool, commands []string) {
	b.WriteString(`# completion of skep and its tools for bash

_skep_flags() {
	case $1 in
`)
	for _, t := range all {
		var names []string
		for _, f := range t.allFlags() {
			names = append(names, f.all()...)
		}
		fmt.Fprintf(b, "\t%s) echo '%s' ;;\n", t.Name, strings.Join(names, " "))
	}
	b.WriteString(`	esac
}

# prints the words that a flag takes; "-" stands for files
_skep_values() {
	case $1:$2 in
`)
	for _, t := range all {
		for _, f := range t.allFlags() {
			words, files := f.values()
			if f.Kind == Bool {
				continue
			}
			if files {
				words = []string{"-"}
			}
			fmt.Fprintf(b, "\t%s:%s) echo '%s' ;;\n", t.Name, strings.Join(f.all(), "|"+t.Name+":"), strings.Join(words, " "))
		}
	}
	fmt.Fprintf(b, `	*) return 1 ;;
	esac
}

_skep() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} tool=${COMP_WORDS[0]##*/} words
	COMPREPLY=()
	if [ "$tool" = skep ]; then
		if [ "$COMP_CWORD" = 1 ]; then
			COMPREPLY=($(compgen -W '%[1]s %[2]s' -- "$word") $(compgen -f -X '!*.bt' -- "$word"))
			return
		fi
		tool=${COMP_WORDS[1]}
		if [ "$tool" = help ]; then
			COMPREPLY=($(compgen -W '%[2]s' -- "$word"))
			return
		elif [ "$tool" = completion ]; then
			COMPREPLY=($(compgen -W '%[4]s' -- "$word"))
			return
		fi
	fi
	tool=${tool%%-bpfcc}
	if words=$(_skep_values "$tool" "$before"); then
		if [ "$words" = - ]; then
			COMPREPLY=($(compgen -f -- "$word"))
		else
			COMPREPLY=($(compgen -W "$words" -- "$word"))
		fi
		return
	fi
	words=$(_skep_flags "$tool")
	if [ -n "$words" ]; then
		COMPREPLY=($(compgen -W "$words" -- "$word"))
	else
		COMPREPLY=($(compgen -f -- "$word"))
	fi
}

complete -F _skep skep %[3]s
`, strings.Join(commands, " "), strings.Join(toolNames(all), " "), strings.Join(programs(all), " "), strings.Join(Shells(), " "))
}

func completeZsh(b *strings.Builder, all []*Tool, commands []string) {
	fmt.Fprintf(b, "#compdef skep %s\n\n", strings.Join(programs(all), " "))
	b.WriteString("_skep_tool() {\n\tcase $1 in\n")
	for _, t := range all {
		fmt.Fprintf(b, "\t%s)\n\t\t_arguments -s \\\n", t.Name)
		for _, f := range t.allFlags() {
			for _, name := range f.all() {
				star := ""
				if f.List {
					star = "*"
				}
				value := ""
				if words, files := f.values(); len(words) > 0 {
					value = ":" + zshText(f.Meta) + ":(" + strings.Join(words, " ") + ")"
				} else if files {
					value = ":" + zshText(f.Meta) + ":_files"
				} else if f.Kind != Bool {
					value = ":" + zshText(f.Meta) + ":"
				}
				fmt.Fprintf(b, "\t\t\t'%s%s[%s]%s' \\\n", star, name, zshText(f.Help), value)
			}
		}
		b.WriteString("\t\t\t'*: :'\n\t\t;;\n")
	}
	b.WriteString("\t*) _files ;;\n\tesac\n}\n\n_skep() {\n\tlocal tool=${${service:t}%-bpfcc}\n\tif [[ $tool != skep ]]; then\n\t\t_skep_tool $tool\n\t\treturn\n\tfi\n")
	b.WriteString("\tif (( CURRENT == 2 )); then\n\t\tlocal -a commands=(\n")
	for _, c := range commands {
		fmt.Fprintf(b, "\t\t\t%s\n", c)
	}
	for _, t := range all {
		fmt.Fprintf(b, "\t\t\t'%s:%s'\n", t.Name, zshText(t.About))
	}
	fmt.Fprintf(b, "\t\t)\n\t\t_describe command commands\n\t\t_files -g '*.bt'\n\t\treturn\n\tfi\n\tcase $words[2] in\n\thelp) compadd %s ;;\n\tcompletion) compadd %s ;;\n",
		strings.Join(toolNames(all), " "), strings.Join(Shells(), " "))
	b.WriteString("\t*)\n\t\ttool=$words[2]\n\t\tshift words\n\t\t(( CURRENT-- ))\n\t\t_skep_tool $tool\n\t\t;;\n\tesac\n}\n\n_skep \"$@\"\n")
}

// zshText makes text fit between the brackets and colons of _arguments.
func zshText(s string) string {
	return strings.NewReplacer("'", "’", "[", "(", "]", ")", ":", `\:`, `\`, `\\`).Replace(s)
}

func completeFish(b *strings.Builder, all []*Tool, commands []string) {
	b.WriteString("# completion of skep and its tools for fish\n\n")
	fmt.Fprintf(b, "complete -c skep -n __fish_use_subcommand -a '%s'\n", strings.Join(commands, " "))
	for _, t := range all {
		fmt.Fprintf(b, "complete -c skep -n __fish_use_subcommand -a %s -d '%s'\n", t.Name, fishText(t.About))
	}
	fmt.Fprintf(b, "complete -c skep -f -n '__fish_seen_subcommand_from help' -a '%s'\n", strings.Join(toolNames(all), " "))
	fmt.Fprintf(b, "complete -c skep -f -n '__fish_seen_subcommand_from completion' -a '%s'\n", strings.Join(Shells(), " "))
	for _, t := range all {
		fmt.Fprintf(b, "\ncomplete -c %s -w 'skep %s'\ncomplete -c %s-bpfcc -w 'skep %s'\n", t.Name, t.Name, t.Name, t.Name)
		for _, f := range t.allFlags() {
			fmt.Fprintf(b, "complete -c skep -n '__fish_seen_subcommand_from %s'", t.Name)
			for _, s := range f.Short {
				b.WriteString(" -s " + s)
			}
			for _, l := range f.Long {
				b.WriteString(" -l " + l)
			}
			if words, files := f.values(); len(words) > 0 {
				fmt.Fprintf(b, " -x -a '%s'", strings.Join(words, " "))
			} else if files {
				b.WriteString(" -r")
			} else if f.Kind != Bool {
				b.WriteString(" -x")
			}
			fmt.Fprintf(b, " -d '%s'\n", fishText(f.Help))
		}
	}
}

func fishText(s string) string { return strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) }
