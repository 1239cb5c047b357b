package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/succession"
	"certportal/store"
)

type caRevoke struct {
	Name    string `arg:"" optional:"" help:"Of the issuing CA, such as issuing. Needed where there are several."`
	Reason  string `required:"" enum:"keyCompromise,cACompromise,superseded,cessationOfOperation" help:"keyCompromise, cACompromise, superseded or cessationOfOperation, as in the revocation list."`
	Confirm string `placeholder:"NAME" help:"The name of the issuing CA again, to do it without asking."`
}

// code is that of the reason in a revocation list (RFC 5280 section 5.3.1).
func (c caRevoke) code() int {
	return map[string]int{"keyCompromise": 1, "cACompromise": 2, "superseded": 4, "cessationOfOperation": 5}[c.Reason]
}

// Run stops issuing under a CA for good. Under the own root it publishes the root's list
// that names it; under a company's it says what to ask for. Run again, it does what is left.
func (c caRevoke) Run(i *invocation) error {
	return i.withLine(func(s *config.Settings, db *store.DB, a *localca.CA) error { return c.revoke(i, s, db, a) })
}

func (c caRevoke) revoke(i *invocation, s *config.Settings, db *store.DB, a *localca.CA) error {
	of, err := c.target(a.Line)
	if err != nil {
		return err
	}
	held, err := db.AuthorityHolders(i.ctx, time.Now())
	if err != nil {
		return err
	}
	if err := c.ask(i, of, held[of.Name]); err != nil {
		return err
	}
	again, err := a.Revoke(i.ctx, db, of, c.code(), time.Now())
	if errors.Is(err, ca.ErrNoRootKey) {
		return fmt.Errorf("%w: copy it back as root.key into %s for this command, and export it again afterwards; "+
			"until then stop issuing with certportal halt", err, s.Path("ca"))
	}
	if err != nil {
		return err
	}
	of, _ = a.Line.Named(of.Name)
	c.report(i, s, of, held[of.Name], again)
	if again && of.Record.Reason != c.code() {
		fmt.Fprintf(i.io.out, "The recorded reason is %s and stays: a revocation list does not change what it said.\n", reasonName(of.Record.Reason))
	}
	if !a.BelowOwnRoot(of) {
		c.reportRequest(i, of)
	} else if err = c.publish(i, s, db, a, of); err != nil {
		err = fmt.Errorf("%s is revoked and issues nothing, but publishing the root's list failed: %w; run the command again", of.Name, err)
	}
	halt, unread := db.Halted(i.ctx)
	return errors.Join(err, unread, c.reportSteps(i, s, a, of, halt.On()))
}

// target finds the CA to revoke.
func (c caRevoke) target(line *succession.Line) (succession.Authority, error) {
	var names []string
	for _, of := range line.All() {
		if of.Name == c.Name {
			return of, nil
		}
		if of.Record.State != succession.Revoked {
			names = append(names, of.Name)
		}
	}
	switch {
	case c.Name != "":
		return succession.Authority{}, usageError(fmt.Sprintf("there is no issuing CA %s here; see certportal ca show", c.Name))
	case len(line.All()) == 1:
		return line.All()[0], nil
	case len(names) == 0:
		return succession.Authority{}, errors.New("all issuing CAs are revoked: name one to see what is left to do")
	}
	return succession.Authority{}, usageError("name the issuing CA: " + strings.Join(names, " or "))
}

// ask wants the name of the CA typed.
func (c caRevoke) ask(i *invocation, of succession.Authority, held admin.Holders) error {
	answer := c.Confirm
	if answer == "" && of.Record.State != succession.Revoked {
		fmt.Fprintf(i.io.err, "%s: %s, %s, until %s.\n%d certificates of %d people end with it, and nothing is issued under it again.\n"+
			"This cannot be undone. Type %s to go on: ", of.Name, of.Certificate.Subject, of.Record.State,
			of.Certificate.NotAfter.UTC().Format(time.DateOnly), held.Devices, held.People, of.Name)
		line, err := bufio.NewReader(i.io.in).ReadString('\n')
		if answer = strings.TrimSpace(line); answer == "" {
			return errors.Join(errors.New("nothing was revoked"), err)
		}
	}
	if answer != of.Name && !(answer == "" && of.Record.State == succession.Revoked) {
		return usageError(fmt.Sprintf("nothing was revoked: %q is not %s", answer, of.Name))
	}
	return nil
}

func (c caRevoke) report(i *invocation, s *config.Settings, of succession.Authority, held admin.Holders, again bool) {
	was := "is revoked"
	if again {
		was = "was revoked already"
	}
	fmt.Fprintf(i.io.out, "%s %s, since %s. Nothing is issued under it any more, on all replicas.\n"+
		"Its revocation list and its online answers go on.\n%d certificates of %d people are of no use any more.\n",
		of.Name, was, of.Record.RevokedAt.In(s.Location()).Format(time.DateTime+" MST"), held.Devices, held.People)
}

// publish makes the root's list, unless one names the CA already, and copies it.
func (c caRevoke) publish(i *invocation, s *config.Settings, db *store.DB, a *localca.CA, of succession.Authority) error {
	p, err := publisher(a, i, s, db, localca.RootName)
	if err != nil {
		return err
	}
	waits, err := db.Unlisted(i.ctx, localca.RootName, false)
	if err != nil {
		return err
	}
	if waits {
		if _, err := orderList(i.ctx, p, db, localca.RootName); err != nil {
			return err
		}
	} else if err := p.Load(i.ctx); err != nil {
		return err
	}
	list, ok := p.CRL(localca.RootName)
	if !ok {
		return errors.New("there is none")
	}
	if err := names(list, a, of); err != nil {
		return err
	}
	fmt.Fprintf(i.io.out, "List %d of the root names it, is published, and is valid until %s.\n", list.Number, list.NextUpdate.UTC().Format(time.DateOnly))
	if err := p.Deliver(i.ctx); err != nil {
		return fmt.Errorf("copying the list: %w", err)
	}
	return nil
}

// names reads the list as a server does, and looks for the CA.
func names(list crl.List, a *localca.CA, of succession.Authority) error {
	published, err := ca.ReadCRL(list.DER, a.Folder.Root())
	if err != nil {
		return err
	}
	entry, err := published.Find(of.Certificate.SerialNumber)
	if err == nil && entry == nil {
		err = fmt.Errorf("list %d does not name it", list.Number)
	}
	return err
}

// reportRequest says what the company's CA must do.
func (c caRevoke) reportRequest(i *invocation, of succession.Authority) {
	serial, err := ca.SerialOf(of.Certificate.SerialNumber)
	if err != nil {
		serial = ca.Serial{}
	}
	code := of.Record.Reason
	fmt.Fprintf(i.io.out, "\nThe certificate of %s was issued by your company's CA, and only that can list it. Ask its administrator today:\n\n"+
		"  Revoke this certificate and publish the revocation list.\n"+
		"  serial number  %s\n  issuer         %s\n  subject        %s\n  SHA-1          %s\n  SHA-256        %s\n  reason         %s (%d)\n\n"+
		"  AD CS:    certutil -revoke %s %d\n            certutil -crl\n"+
		"  OpenSSL:  openssl ca -revoke %s.crt -crl_reason %s\n            openssl ca -gencrl -out CRL_FILE\n"+
		"            (with -config, -keyfile and -cert of the root: docs/company-root.md)\n",
		of.Name, serial, of.Certificate.Issuer, of.Certificate.Subject, sha1Of(of.Certificate.Raw), ca.Fingerprint(of.Certificate), reasonName(code), code,
		serial, code, of.Name, opensslReason(code))
}

// reportSteps says what is left to do, in order.
func (c caRevoke) reportSteps(i *invocation, s *config.Settings, a *localca.CA, of succession.Authority, halted bool) error {
	var steps []string
	steps = append(steps,
		"Active Directory: remove it from NTAuth, which Exchange and domain controllers ask at each logon. As Enterprise Admin:\n"+
			"       certutil -viewdelstore \""+ntAuthAddress(s)+"\"\n"+
			"     then on every domain controller and Exchange server:\n"+
			"       gpupdate /force\n       certutil -enterprise -delstore NTAuth "+sha1Of(of.Certificate.Raw)+"\n"+
			"       certutil -urlcache crl delete\n       certutil -setreg chain\\ChainCacheResyncFiletime @now")
	steps = append(steps, c.nextSteps(a)...)
	if halted {
		steps = append(steps, "Issuing is halted. When the next CA is active: "+i.again("resume"))
	}
	if a.BelowOwnRoot(of) && a.Folder.HoldsRootKey() {
		steps = append(steps, "Take the root's key off this machine again: certportal ca export-root-key --to FILE, or the token that holds it.")
	}
	steps = append(steps, "Look for certificates that this portal did not record: docs/key-compromise.md.")
	fmt.Fprintln(i.io.out, "\nNow, in this order:")
	for n, step := range steps {
		if _, err := fmt.Fprintf(i.io.out, "  %d. %s\n", n+1, step); err != nil {
			return err
		}
	}
	return nil
}

// nextSteps lead to another CA that issues.
func (c caRevoke) nextSteps(a *localca.CA) []string {
	if active, ok := a.Line.Active(); ok {
		return []string{active.Name + " issues. People with a certificate of the revoked CA get mail and renew at the portal."}
	}
	all := a.Line.All()
	i := slices.IndexFunc(all, func(of succession.Authority) bool { return of.Record.State == succession.Pending })
	if i >= 0 {
		ready := "check that it is in NTAuth, then\n       certportal ca activate " + all[i].Name
		if c.code() <= 2 {
			ready = "if its key was in this folder when the other was stolen, it is stolen too: revoke it as well,\n" +
				"     and make another on a clean machine. Else " + ready
		}
		return []string{"Nothing is issued until the next CA is active. " + all[i].Name + " is pending: " + ready}
	}
	make := "certportal ca next"
	if !a.Folder.OwnRoot() {
		make = "certportal ca csr --out FILE, and certportal ca import with what the company's CA made of it"
	}
	return []string{
		"Nothing is issued until another CA is active. Make it:\n       " + make,
		"Copy its three files to the replicas, and publish its certificate in NTAuth (certutil -dspublish -f NAME.cer NTAuthCA).",
		"certportal ca activate NAME, as soon as the domain controllers know it (gpupdate /force, else eight hours).",
	}
}
