package main

import (
	"fmt"
	"path/filepath"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
	"certportal/store"
)

type exchangeCommands struct {
	Script exchangeScript `cmd:"" help:"Print the PowerShell script that sets up Exchange for this portal, checks it, or undoes it."`
}

type exchangeScript struct {
	Out string `placeholder:"FILE" help:"Write it to a file instead."`
}

// Run makes the script from the CA's folder and the settings. It opens no key.
func (c exchangeScript) Run(i *invocation) error {
	var script []byte
	err := i.withRecords(func(s *config.Settings, db *store.DB) (err error) {
		script, err = app.ExchangeScript(i.ctx, s, db)
		return err
	})
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := i.io.out.Write(script)
		return err
	}
	if err := durable.Replace(c.Out, script, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "%s is written. On each Exchange server, in an elevated Exchange Management Shell:\n\n"+
		"  .\\%[2]s -Check                 shows what is right and wrong, changes nothing\n"+
		"  .\\%[2]s -Mode Pilot            certificates beside passwords\n"+
		"  .\\%[2]s -Mode Required         certificates only; first with -WhatIf\n"+
		"  .\\%[2]s -Undo                  back to what was before\n", c.Out, filepath.Base(c.Out))
	return err
}
