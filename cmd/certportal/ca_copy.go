package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/store/sqldb"
)

type caCopyTo struct {
	File           string `arg:"" help:"New file. It is encrypted by age under the passphrase of the CA's keys."`
	PassphraseFile string `placeholder:"FILE" help:"File with that passphrase, or prompt. Default: as the portal finds it."`
}

// Run writes the sealed copy of the CA.
func (c caCopyTo) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if c.PassphraseFile != "" {
		s.CA.PassphraseFile = c.PassphraseFile
	}
	a, err := localca.Open(s, nil, i.terminal())
	if err != nil {
		return err
	}
	defer a.Close()
	if a.Sealed != nil {
		return fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := a.BelongsTo(i.ctx, db); err != nil {
		return err
	}
	err = db.Note(i.ctx, audit.Entry{At: time.Now(), Action: audit.CACopied, Actor: "operator", Role: "operator", Object: s.Node})
	if err != nil {
		return err
	}
	files, err := a.WriteCopy(c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "%d files of the CA are in %s, with its private keys, under the passphrase of the CA's keys.\n"+
		"Bring file and passphrase to the other machine on different ways, run there: certportal ca copy-from FILE\n"+
		"Then remove the file on both.\n", files, c.File)
	return err
}

type caCopyFrom struct {
	File           string `arg:"" help:"File of certportal ca copy-to."`
	PassphraseFile string `placeholder:"FILE" help:"File with the passphrase of the CA's keys, or prompt. Default: as the portal finds it."`
}

// Run brings the CA of another replica to this machine. It replaces nothing.
func (c caCopyFrom) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if c.PassphraseFile != "" {
		s.CA.PassphraseFile = c.PassphraseFile
	}
	passphrase, err := localca.Passphrase(s, i.terminal())
	if err != nil {
		return err
	}
	db, err := app.OpenAsIs(i.ctx, s, i.quiet())
	if errors.Is(err, sqldb.ErrSchemaBehind) {
		return fmt.Errorf("start this version of the portal on the machine that has the CA first: %w", err)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	added, err := localca.ReadCopy(i.ctx, s, db, c.File, passphrase, func(files []string) error {
		return db.Note(i.ctx, audit.Entry{
			At: time.Now(), Action: audit.CAReceived, Actor: "operator", Role: "operator", Object: s.Node,
			Detail: map[string]string{"files": strings.Join(files, " ")},
		})
	})
	if err != nil {
		return err
	}
	text := "All files of the CA are in %s already.\n"
	if len(added) > 0 {
		text = "The CA of the records is in %s. Added: " + strings.Join(added, ", ") + ".\n"
	}
	_, err = fmt.Fprintf(i.io.out, text+"Remove the copy here and where it was made.\n", s.Path("ca"))
	return err
}
