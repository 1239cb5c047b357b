// Package manual writes what a package of the program carries besides it: the manual page
// (man(7)) and the completions of bash, zsh and fish. All of it is made from the declared
// commands, so that it cannot differ from them.
package manual

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// command is one command or group of commands as a person types it.
type command struct {
	path  string // without the name of the program; empty for the program itself
	help  string
	node  *kong.Node
	flags []*kong.Flag // of its own, without those of all commands
}

// commandsOf lists the program and all commands, in the order of their declaration.
// Hidden ones are left out.
func commandsOf(app *kong.Application) []command {
	var list []command
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		c := command{path: path, help: n.Help, node: n, flags: visible(n.Flags)}
		if n.DefaultCmd != nil {
			c.flags = append(c.flags, visible(n.DefaultCmd.Flags)...)
		}
		list = append(list, c)
		for _, child := range n.Children {
			if !child.Hidden {
				walk(child, strings.TrimSpace(path+" "+child.Name))
			}
		}
	}
	walk(app.Node, "")
	return list
}

// visible are the flags that help shows.
func visible(flags []*kong.Flag) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f *kong.Flag) bool { return f.Hidden })
}

// children are the commands one level below.
func children(list []command, of command) []command {
	var below []command
	for _, c := range list {
		rest, ok := strings.CutPrefix(c.path, strings.TrimLeft(of.path+" ", " "))
		if ok && rest != "" && !strings.Contains(rest, " ") {
			below = append(below, c)
		}
	}
	return below
}

// name is the last word of a command.
func (c command) name() string { return c.path[strings.LastIndex(c.path, " ")+1:] }

// takesValue reports whether a word follows the flag.
func takesValue(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// Page writes the manual page. Version stands in its foot.
func Page(w io.Writer, app *kong.Application, version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH CERTPORTAL 8 \"\" \"certportal %s\"\n", roff(version))
	section(&b, "NAME", "certportal \\- "+roff(strings.TrimSuffix(lowerFirst(app.Help), ".")))
	b.WriteString(".SH SYNOPSIS\n.B certportal\n.I COMMAND\n.RI [ FLAGS ]\n")
	section(&b, "DESCRIPTION", roff("Certportal is a web page on which people fetch a client certificate for their phone, so that mail opens without a password. "+
		"It is one program with its own CA and its own database. "+
		"Start with certportal setup; certportal doctor finds out what is wrong."))
	list := commandsOf(app)
	b.WriteString(".SH FLAGS OF ALL COMMANDS\n")
	flagList(&b, list[0].flags)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range list[1:] {
		writeCommand(&b, c)
	}
	b.WriteString(closing())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCommand writes a command that can be run: its words, what it does, its flags.
func writeCommand(b *strings.Builder, c command) {
	if !c.node.Leaf() && c.node.DefaultCmd == nil {
		return
	}
	usage := "certportal " + c.path
	for _, arg := range c.node.Positional {
		usage += " " + arg.Summary()
	}
	fmt.Fprintf(b, ".SS \"%s\"\n%s\n", strings.ReplaceAll(roff(usage), `"`, `\(dq`), roff(c.help))
	flagList(b, c.flags)
}

func flagList(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(f.String()), roff(f.Help))
	}
}

func section(b *strings.Builder, title, text string) {
	fmt.Fprintf(b, ".SH %s\n%s\n", title, text)
}

// closing are the sections that no command declares.
func closing() string {
	var b strings.Builder
	section(&b, "ENVIRONMENT", roff("Every setting is also a variable: CERTPORTAL_ and the key in capitals, with _ for the dots, such as CERTPORTAL_TLS_CERTIFICATE."))
	b.WriteString(".SH FILES\n")
	for _, f := range [][2]string{
		{"/etc/certportal/certportal.yaml", "Settings of the installed service. certportal config example prints all of them."},
		{"/etc/certportal/ca-passphrase", "Passphrase of the CA's keys, which systemd hands to the service."},
		{"/var/lib/certportal", "Database, CA, TLS certificate. Without settings: ./certportal-data."},
	} {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(f[0]), roff(f[1]))
	}
	section(&b, "EXIT STATUS", roff("0 done, 1 failed, 2 wrong usage. Of doctor: see there."))
	return b.String()
}

// roff escapes text for a line of man(7).
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "\n", " ").Replace(strings.TrimSpace(text))
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}

func lowerFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}
