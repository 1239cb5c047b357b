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

// Run checks the settings and the files they name, then the servers.
func (c configCheck) Run(i *invocation) error {
	s, err := i.settings()
	_, badLook := s.Renderer()
	if err := errors.Join(err, s.CheckFiles(), badLook); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(i.io.out, "settings are well formed"); err != nil || c.Offline {
		return err
	}
	return i.checkServers(s)
}

type configExample struct{}

// Run prints the example.
func (configExample) Run(i *invocation) error {
	_, err := io.WriteString(i.io.out, config.Example())
	return err
}
