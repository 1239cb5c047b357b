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
	return i.writeScript(script, c.Out, fmt.Sprintf("On each Exchange server, in an elevated Exchange Management Shell:\n\n"+
		"  .\\%[1]s -Check                 shows what is right and wrong, changes nothing\n"+
		"  .\\%[1]s -Mode Pilot            certificates beside passwords\n"+
		"  .\\%[1]s -Mode Required         certificates only; first with -WhatIf\n"+
		"  .\\%[1]s -Undo                  back to what was before\n", filepath.Base(c.Out)))
}

// writeScript prints a script, or writes it to a file and says what comes next.
func (i *invocation) writeScript(script []byte, file, next string) error {
	if file == "" {
		_, err := i.io.out.Write(script)
		return err
	}
	if err := durable.Replace(file, script, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(i.io.out, "%s is written. %s", file, next)
	return err
}
