package manual

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Shells are those that Completion writes for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Completion writes the script with which a shell completes commands, flags, files and
// fixed choices.
func Completion(w io.Writer, app *kong.Application, shell string) error {
	write, ok := map[string]func([]command) string{"bash": bash, "zsh": zsh, "fish": fish}[shell]
	if !ok {
		return fmt.Errorf("%q is not a shell that can be completed for: %s are", shell, strings.Join(Shells(), ", "))
	}
	_, err := io.WriteString(w, write(commandsOf(app)))
	return err
}

// paths are all commands as a person types them.
func paths(list []command) []string {
	var all []string
	for _, c := range list[1:] {
		all = append(all, c.path)
	}
	return all
}

// valueFlags are all flags that a word follows.
func valueFlags(list []command) []string {
	var all []string
	for _, c := range list {
		for _, f := range c.flags {
			if takesValue(f) {
				all = append(all, "--"+f.Name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// value says how the word after a flag is completed.
type value struct {
	files   bool
	choices []string
}

// valueOf reads it from the declaration: FILE, DIR, a list of choices, or anything.
func valueOf(f *kong.Flag) value {
	switch {
	case f.Enum != "":
		return value{choices: f.EnumSlice()}
	case strings.Contains(f.PlaceHolder, "FILE"), f.PlaceHolder == "DIR":
		return value{files: true}
	}
	return value{}
}

// allFlags are the flags of a command and those of all commands, which also end with help.
func allFlags(list []command, c command) []*kong.Flag {
	if c.path == "" {
		return c.flags
	}
	return append(slices.Clone(c.flags), list[0].flags...)
}

// single quotes text for bash and zsh.
func single(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// patterns are the alternatives of a case of bash and zsh: each with a space in front.
func patterns(words []string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, single(" "+w))
	}
	return strings.Join(quoted, "|")
}

func bash(list []command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by: certportal completion bash\n_certportal() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= word i\n"+
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tword=${COMP_WORDS[i]}\n"+
		"\t\tcase $word in %s) i=$((i + 1)); continue ;; esac\n"+
		"\t\tcase \"$at $word\" in %s) at+=\" $word\" ;; esac\n\tdone\n\tlocal IFS=$' \\t\\n'\n\tCOMPREPLY=()\n",
		strings.Join(valueFlags(list), "|"), patterns(paths(list)))
	b.WriteString("\tcase \"$at $prev\" in\n")
	for _, c := range list {
		for _, f := range c.flags {
			if takesValue(f) {
				fmt.Fprintf(&b, "\t%s) %s; return ;;\n", flagPattern(c, f), bashValue(valueOf(f)))
			}
		}
	}
	b.WriteString("\tesac\n\tlocal words=\n\tcase $at in\n")
	for _, c := range list {
		var words []string
		for _, child := range children(list, c) {
			words = append(words, child.name())
		}
		for _, f := range allFlags(list, c) {
			words = append(words, "--"+f.Name)
		}
		fmt.Fprintf(&b, "\t%s) words=%s ;;\n", single(spaced(c.path)), single(strings.Join(words, " ")))
	}
	b.WriteString("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\ncomplete -F _certportal certportal\n")
	return b.String()
}

// spaced puts a space in front of a path, but for the program itself.
func spaced(path string) string {
	if path == "" {
		return ""
	}
	return " " + path
}

// flagPattern matches "$at $prev": a flag of all commands at any place.
func flagPattern(c command, f *kong.Flag) string {
	if c.path == "" {
		return "*" + single(" --"+f.Name)
	}
	return single(" " + c.path + " --" + f.Name)
}

func bashValue(v value) string {
	if v.files {
		// Outside of a completion, as in a test, there is nothing to set.
		return `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
	}
	return fmt.Sprintf(`mapfile -t COMPREPLY < <(compgen -W %s -- "$cur")`, single(strings.Join(v.choices, " ")))
}

func zsh(list []command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef certportal\n# Made by: certportal completion zsh\n_certportal() {\n\tlocal at= word i\n\tlocal -a found\n"+
		"\tfor ((i = 2; i < CURRENT; i++)); do\n\t\tword=$words[i]\n"+
		"\t\tcase $word in (%s) i=$((i + 1)); continue ;; esac\n"+
		"\t\tcase \"$at $word\" in (%s) at+=\" $word\" ;; esac\n\tdone\n",
		strings.Join(valueFlags(list), "|"), patterns(paths(list)))
	b.WriteString("\tcase \"$at $words[CURRENT-1]\" in\n")
	for _, c := range list {
		for _, f := range c.flags {
			if takesValue(f) {
				fmt.Fprintf(&b, "\t(%s) %s; return ;;\n", flagPattern(c, f), zshValue(valueOf(f)))
			}
		}
	}
	b.WriteString("\tesac\n\tcase $at in\n")
	for _, c := range list {
		fmt.Fprintf(&b, "\t(%s) found=(\n", single(spaced(c.path)))
		for _, child := range children(list, c) {
			fmt.Fprintf(&b, "\t\t%s\n", single(child.name()+":"+child.help))
		}
		for _, f := range allFlags(list, c) {
			fmt.Fprintf(&b, "\t\t%s\n", single("--"+f.Name+":"+f.Help))
		}
		b.WriteString("\t) ;;\n")
	}
	b.WriteString("\tesac\n\t_describe -o certportal found\n}\ncompdef _certportal certportal\n")
	return b.String()
}

func zshValue(v value) string {
	switch {
	case v.files:
		return "_files"
	case len(v.choices) > 0:
		return "compadd " + strings.Join(v.choices, " ")
	}
	return "_message value"
}

func fish(list []command) string {
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
	}
	var known []string
	for _, p := range paths(list) {
		known = append(known, quote(p))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by: certportal completion fish\nfunction __certportal_at\n    set -l at ''\n    set -l skip 0\n"+
		"    for word in (commandline -opc)[2..-1]\n        if test $skip = 1\n            set skip 0\n            continue\n        end\n"+
		"        if contains -- $word %s\n            set skip 1\n            continue\n        end\n"+
		"        set -l longer (string trim -- \"$at $word\")\n        contains -- $longer %s; and set at $longer\n    end\n"+
		"    test \"$at\" = \"$argv[1]\"\nend\ncomplete -c certportal -f\n", strings.Join(valueFlags(list), " "), strings.Join(known, " "))
	for _, c := range list {
		at := quote("__certportal_at " + quote(c.path))
		for _, child := range children(list, c) {
			fmt.Fprintf(&b, "complete -c certportal -n %s -a %s -d %s\n", at, child.name(), quote(child.help))
		}
		if c.path == "" {
			at = "true" // flags of all commands
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c certportal -n %s -l %s%s -d %s\n", at, f.Name, fishValue(f), quote(f.Help))
		}
	}
	return b.String()
}

func fishValue(f *kong.Flag) string {
	switch v := valueOf(f); {
	case !takesValue(f):
		return ""
	case v.files:
		return " -r -F"
	case len(v.choices) > 0:
		return " -x -a '" + strings.Join(v.choices, " ") + "'"
	}
	return " -x"
}
