package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/store"
)

type caCRL struct {
	Publish bool   `help:"Make and publish the next list now, also of a portal that runs. Needs the passphrase."`
	Issuer  string `placeholder:"root|issuing|issuing-2" help:"Whose list. Default: all; with --out issuing."`
	Out     string `placeholder:"FILE" help:"Write the list into a new file."`
	PEM     bool   `name:"pem" help:"Write it as PEM instead of DER."`
}

// Run publishes new CRLs if asked to, prints the published ones, and writes one to a
// file if asked to.
func (c caCRL) Run(i *invocation) error {
	if c.PEM && c.Out == "" {
		return usageError("--pem says how --out writes: give --out FILE")
	}
	s, err := i.settings()
	if err != nil {
		return err
	}
	folder, err := ca.OpenFolder(s.Path("ca"))
	if localca.NotCreated(err) {
		return fmt.Errorf("there is no CA in %s: create it with certportal ca init", s.Path("ca"))
	}
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	if c.Issuer == localca.RootName && !folder.OwnRoot() {
		return usageError("the root is the company's, which publishes its list: --issuer issuing is the portal's")
	}
	signers := folder.Signers()
	if c.Issuer != "" && signers[c.Issuer] == nil {
		return usageError(fmt.Sprintf("there is no CA named %s: write one of %s", c.Issuer, strings.Join(localca.ListNames(folder), ", ")))
	}
	if c.Publish {
		if err := c.publish(i, s, db, c.issuers(folder)); err != nil {
			return err
		}
	}
	if c.Out != "" {
		return c.write(i, db)
	}
	return c.show(i, s, db, folder)
}

// issuers lists the issuers that the flags select.
func (c caCRL) issuers(folder *ca.Folder) []string {
	if c.Issuer != "" {
		return []string{c.Issuer}
	}
	return localca.ListNames(folder)
}

func (c caCRL) publish(i *invocation, s *config.Settings, db *store.DB, issuers []string) error {
	a, err := localca.Open(s, nil, i.terminal())
	if err != nil {
		return err
	}
	defer a.Close()
	if a.Sealed != nil {
		return a.Sealed
	}
	if err := a.BelongsTo(i.ctx, db); err != nil {
		return err
	}
	if err := a.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
		return err
	}
	p, err := publisher(a, i, s, db)
	if err != nil {
		return err
	}
	for _, issuer := range issuers {
		list, err := orderList(i.ctx, p, db, issuer)
		if errors.Is(err, ca.ErrNoRootKey) && c.Issuer == "" {
			fmt.Fprintln(i.io.out, "The root's key is not on this machine: its list stays as it is.")
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(i.io.out, "Published list %d of %s.\n", list.Number, issuer)
	}
	return p.Deliver(i.ctx)
}

// orderList records the request, then publishes the CRL.
func orderList(ctx context.Context, p *crl.Publisher, db *store.DB, issuer string) (crl.List, error) {
	err := db.Note(ctx, audit.Entry{
		At: time.Now(), Action: audit.CRLRequested, Actor: "operator", Role: "operator", Object: issuer,
	})
	if err != nil {
		return crl.List{}, err
	}
	return p.PublishNow(ctx, issuer)
}

// publisher makes a CRL publisher for one command: of all lists, or of those named, so that
// the key of another CA does not matter.
func publisher(a *localca.CA, i *invocation, s *config.Settings, db *store.DB, only ...string) (*crl.Publisher, error) {
	base := &url.URL{} // only the address of a delta list is made from it
	if s.Revocation.DeltaEvery > 0 {
		public, err := s.ConfiguredAddresses()
		if err != nil {
			return nil, err
		}
		base = public.HTTP
	}
	targets, err := app.ListTargets(s, a.Signers)
	if err != nil {
		return nil, err
	}
	of := app.Authorities(a, s, base)
	if len(only) > 0 {
		of = slices.DeleteFunc(of, func(one crl.Authority) bool { return !slices.Contains(only, one.Name) })
	}
	return crl.New(crl.Config{
		Store: db, Authorities: of, Targets: targets, Log: i.quiet(),
		Patience: crl.PatienceWithTheDead, // an earlier run of this command may have been killed
	})
}

// publishAll makes the revocation lists that are due.
func publishAll(a *localca.CA, i *invocation, s *config.Settings, db *store.DB) error {
	p, err := publisher(a, i, s, db)
	if err == nil {
		err = p.Refresh(i.ctx)
	}
	if err == nil {
		err = p.Deliver(i.ctx)
	}
	return err
}

func (c caCRL) write(i *invocation, db *store.DB) error {
	issuer := c.Issuer
	if issuer == "" {
		issuer = localca.IssuingName
	}
	list, ok, err := db.Latest(i.ctx, issuer, false, 0)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("there is no revocation list of %s yet", issuer)
	}
	octets := list.DER
	if c.PEM {
		octets = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: octets})
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return usageError(c.Out + " is there already: name a new file")
	}
	if err != nil {
		return fmt.Errorf("making file: %w", err)
	}
	_, err = file.Write(octets)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing list: %w", err)
	}
	_, err = fmt.Fprintf(i.io.out, "List %d of %s is in %s.\n", list.Number, issuer, c.Out)
	return err
}

func (c caCRL) show(i *invocation, s *config.Settings, db *store.DB, folder *ca.Folder) error {
	signers := folder.Signers()
	for _, issuer := range c.issuers(folder) {
		kinds := []bool{false}
		if issuer != localca.RootName && s.Revocation.DeltaEvery > 0 {
			kinds = append(kinds, true)
		}
		for _, delta := range kinds {
			if err := showList(i, db, issuer, delta, signers[issuer]); err != nil {
				return err
			}
		}
	}
	return nil
}

// showList parses a CRL as a client does, and describes it.
func showList(i *invocation, db *store.DB, issuer string, delta bool, signer *x509.Certificate) error {
	what := "Revocation list of " + issuer
	if delta {
		what = "Delta revocation list of " + issuer
	}
	list, ok, err := db.Latest(i.ctx, issuer, delta, 0)
	if err != nil {
		return err
	}
	if !ok {
		_, err := fmt.Fprintf(i.io.out, "%s: none\n", what)
		return err
	}
	crl, err := ca.ReadCRL(list.DER, signer)
	if err != nil {
		return fmt.Errorf("list %d of %s: %w", list.Number, issuer, err)
	}
	entries, err := crl.Count()
	if err != nil {
		return fmt.Errorf("list %d of %s: %w", list.Number, issuer, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n  number       %d\n  this update  %s\n  next update  %s\n  entries      %d\n  size         %d bytes\n", what,
		list.Number, crl.ThisUpdate.UTC().Format(time.RFC3339), crl.NextUpdate.UTC().Format(time.RFC3339), entries, len(list.DER))
	if !list.Published.IsZero() {
		fmt.Fprintf(&b, "  published    %s\n", list.Published.UTC().Format(time.RFC3339))
	}
	for _, extension := range crl.Extensions {
		fmt.Fprintf(&b, "  extension    %s\n", extension)
	}
	_, err = b.WriteTo(i.io.out)
	return err
}
