package main

import (
	"github.com/alecthomas/kong"

	"certportal/cmd/certportal/internal/manual"
)

type manualCommand struct{}

// Run prints the manual page.
func (manualCommand) Run(i *invocation, parser *kong.Kong) error {
	return manual.Page(i.io.out, parser.Model, version)
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script.
func (c completionCommand) Run(i *invocation, parser *kong.Kong) error {
	return manual.Completion(i.io.out, parser.Model, c.Shell)
}
