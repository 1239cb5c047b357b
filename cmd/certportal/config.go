package main

import (
	"errors"
	"fmt"
	"io"

	"certportal/cmd/certportal/internal/config"
)

type configCommands struct {
	Check   configCheck   `cmd:"" help:"Find mistakes in the settings."`
	Example configExample `cmd:"" help:"Print every setting with its meaning and default."`
}

type configCheck struct {
	Offline bool `help:"Ask neither the directory nor the identity provider nor the mail server."`
}

// Run finds every mistake in the settings, in the files they name and, as far as the
// settings can be used, on the servers.
func (c configCheck) Run(i *invocation) error {
	s, err := config.Examine(i.cli.ConfigFile, i.settingsEnvironment())
	var wrong *config.Mistakes
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if err == nil {
		if _, err := fmt.Fprintln(i.io.out, "settings are well formed"); err != nil {
			return err
		}
	}
	if c.Offline {
		return err
	}
	return errors.Join(err, i.checkServers(s, wrong))
}

type configExample struct{}

// Run prints the example.
func (configExample) Run(i *invocation) error {
	_, err := io.WriteString(i.io.out, config.Example())
	return err
}
