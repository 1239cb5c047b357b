package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/store"
)

type caCommands struct {
	Init      caInit      `cmd:"" help:"Create root and issuing CA with their first revocation lists."`
	Show      caShow      `cmd:"" help:"Show the CA: names, fingerprints, ends, keys, requests, revocation lists."`
	CSR       caCSR       `cmd:"" name:"csr" help:"Make a key and the request for an issuing CA under the company's root."`
	Import    caImport    `cmd:"" help:"Import the certificate that the company's CA made of a request."`
	Next      caNext      `cmd:"" help:"Make the next issuing CA under the portal's own root."`
	Activate  caActivate  `cmd:"" help:"Let another issuing CA issue, now or at a time."`
	Revoke    caRevoke    `cmd:"" name:"revoke-issuing" help:"Revoke an issuing CA whose key was lost or stolen. For good."`
	CRL       caCRL       `cmd:"" name:"crl" help:"Show the revocation lists, publish them, or write one into a file."`
	CopyTo    caCopyTo    `cmd:"" name:"copy-to" help:"Write the CA into a sealed file, for another replica."`
	CopyFrom  caCopyFrom  `cmd:"" name:"copy-from" help:"Bring the CA of another replica to this machine."`
	ExportKey caExportKey `cmd:"" name:"export-root-key" help:"Take the root's key off this machine."`
}

type caInit struct{}

// Run creates the CA; it never touches one that is there.
func (caInit) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if _, err := ca.OpenFolder(s.Path("ca")); !localca.NotCreated(err) {
		if err == nil {
			err = fmt.Errorf("there is a CA in %s already", s.Path("ca"))
		}
		return err
	}
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return err
	}
	warnOfNames(i, s, public)
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("making data folder: %w", err)
	}
	lock, err := app.LockForCommand(s) // a start beside would make a CA of its own
	if err != nil {
		return err
	}
	defer lock.Close()
	db, err := i.program().OpenStore(i.ctx, s, i.logger(s))
	if err != nil {
		return err
	}
	defer db.Close()
	a, made, err := localca.Create(i.ctx, s, db, public.HTTP, i.terminal(), time.Now())
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
		return err
	}
	if err := publishAll(a, i, s, db); err != nil {
		return err
	}
	fmt.Fprintf(i.io.out, "CA created in %s\n", s.Path("ca"))
	if made {
		fmt.Fprintf(i.io.out, "The secrets in its folder are encrypted; the passphrase is in %s, readable by you alone.\n"+
			"For better protection move it elsewhere and set ca.passphrase_file.\n", s.DefaultPassphraseFile())
	}
	fmt.Fprintf(i.io.out, "Revocation lists will be at %s and %s\n",
		localca.CRLURL(public.HTTP, localca.RootName), localca.CRLURL(public.HTTP, localca.IssuingName))
	shown, err := showCA(i, s)
	if err != nil {
		return err
	}
	shown.Lists = nil // named above
	return shown.print(i)
}

// warnOfNames says which names that the CA carries for years were not chosen, or are of no
// use to others. The operator asked for the CA, so that it is made.
func warnOfNames(i *invocation, s *config.Settings, public config.Addresses) {
	for _, f := range doctor.CheckNames(s, public, false) {
		if f.What == "organization" || f.What == "public_http_url" {
			fmt.Fprintf(i.io.err, "warning: %s: %s\n", f.What, f.Text)
		}
	}
}

type caExportKey struct {
	To string `required:"" placeholder:"FILE" help:"New file for the key, best on a medium that goes into a safe."`
}

// Run renews the root's revocation list, records the act, and moves the key.
func (c caExportKey) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	dest, err := filepath.Abs(c.To)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dest); err == nil {
		return usageError(fmt.Sprintf("%s is there already: name a new file", dest))
	}
	if dir, err := os.Stat(filepath.Dir(dest)); err != nil || !dir.IsDir() {
		return usageError(fmt.Sprintf("there is no folder %s", filepath.Dir(dest)))
	}
	a, err := localca.Open(s, nil, i.terminal())
	if err != nil {
		return err
	}
	defer a.Close()
	if !a.Folder.OwnRoot() {
		return errors.New("the root is the company's: its key was never here")
	}
	if place, err := localca.KeyPlaceOf(a.Folder, localca.RootName); err == nil && place.Token != "" {
		return fmt.Errorf("the root's key is in the token %q, which it never leaves: take the token off this machine instead", place.Token)
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := a.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
		return err
	}
	list, err := lastRootList(a, i, s, db)
	if err != nil {
		return err
	}
	err = db.Note(i.ctx, audit.Entry{
		At: time.Now(), Action: audit.RootKeyExported, Actor: "operator", Role: "operator", Object: localca.RootName,
	})
	if err != nil {
		return err
	}
	if err := a.Folder.ExportRootKey(dest); err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "The root's key is in %s, under the same passphrase, and no longer here.\n"+
		"Keep file and passphrase apart. To renew the root's revocation list before %s,\n"+
		"copy the key to %s and export it again: every export makes a new list.\n",
		dest, list.NextUpdate.UTC().Format(time.DateOnly), filepath.Join(s.Path("ca"), "root.key"))
	return err
}

// lastRootList makes the list that must last until the root's key is brought
// back.
func lastRootList(a *localca.CA, i *invocation, s *config.Settings, db *store.DB) (crl.List, error) {
	if a.Sealed != nil && len(a.Passphrase) == 0 {
		return crl.List{}, a.Sealed
	}
	p, err := publisher(a, i, s, db)
	if err != nil {
		return crl.List{}, err
	}
	list, err := p.PublishNow(i.ctx, localca.RootName)
	if errors.Is(err, ca.ErrNoRootKey) {
		return list, errors.New("the root's key is not on this machine any more")
	}
	return list, err
}
