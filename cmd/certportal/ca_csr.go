package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/durable"
)

type caCSR struct {
	Out      string `required:"" placeholder:"FILE" help:"New file for the request (PKCS#10, PEM)."`
	Subject  string `placeholder:"DN" help:"Name of the CA, such as \"CN=Corp Phones CA,O=Corp\". Default: ca.subject of the settings."`
	Template string `placeholder:"NAME" help:"Certificate template of AD CS to name in the request, such as SubCA."`
}

// Run makes a key and a request for the company's CA. What runs does not change.
func (c caCSR) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if err := newFile(c.Out); err != nil {
		return err
	}
	db, err := i.program().OpenBeside(i.ctx, s, i.logger(s))
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := localca.RequestAuthority(i.ctx, s, db, i.terminal(), c.Subject, c.Template, time.Now())
	if err != nil {
		return err
	}
	kept := filepath.Join(s.Path("ca"), r.Name+".csr")
	if err := durable.Create(c.Out, ca.PEMRequest(r.Request.Request), 0o644); err != nil {
		return fmt.Errorf("the request is made and kept in %s; copying it: %w", kept, err)
	}
	fmt.Fprintf(i.io.out, "The request %s for %s is in %s; a copy is in %s.\n", r.Name, r.Request.Request.Subject, c.Out, kept)
	if r.PassphraseMade {
		fmt.Fprintf(i.io.out, "Its key is encrypted; the passphrase is in %s, readable by you alone.\n"+
			"For better protection move it elsewhere and set ca.passphrase_file.\n", s.DefaultPassphraseFile())
	}
	_, err = fmt.Fprint(i.io.out, "Give it to the company's CA as a request of a subordinate CA, then import what comes back:\n"+
		"  certportal ca import --cert FILE --chain FILE\n"+
		"Keep a backup of the data folder until then: without the key here the certificate is of no use.\n")
	return err
}

// newFile checks that a file can be made before anything else is done.
func newFile(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return usageError(fmt.Sprintf("%s is there already: name a new file", path))
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		return usageError(fmt.Sprintf("there is no folder %s", filepath.Dir(path)))
	}
	return nil
}
