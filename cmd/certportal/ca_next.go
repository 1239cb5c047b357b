package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/internal/succession"
	"certportal/store"
)

type caNext struct{}

// Run makes the next issuing CA. What runs does not change: it is pending.
func (caNext) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.logger(s))
	if err != nil {
		return err
	}
	defer db.Close()
	name, cert, err := localca.Next(i.ctx, s, db, public.HTTP, i.terminal(), time.Now())
	if errors.Is(err, ca.ErrNoRootKey) {
		return fmt.Errorf("%w: copy it back as root.key into %s for this command, and export it again afterwards", err, s.Path("ca"))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "Issuing CA %s is made and pending: %s, until %s.\n\n"+
		"Now, in this order:\n"+
		"  1. Replicas: bring %s.key, %s.crt and %s.chain into their CA folders: certportal ca copy-to FILE here, ca copy-from FILE there.\n"+
		"  2. Fetch %s and publish it in the domain:\n"+
		"       certutil -dspublish -f %s.cer NTAuthCA\n"+
		"  3. Wait a day: domain controllers and Exchange read it every eight hours.\n"+
		"  4. certportal ca activate %s\n",
		name, cert.Subject, cert.NotAfter.UTC().Format(time.DateOnly), name, name, name,
		localca.CertificateURL(public.HTTP, name), name, name)
	return err
}

type caActivate struct {
	Name string `arg:"" optional:"" help:"Of the pending issuing CA. Needed where there are several."`
	At   string `placeholder:"TIME" help:"When, such as 2030-05-01 or 2030-05-01T22:00:00Z; days begin in the zone of the pages. Default: now. \"never\" takes a plan back."`
}

// Run lets a pending CA issue, on all replicas at the same moment and without a restart.
func (c caActivate) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	at, planned, err := c.moment(s)
	if err != nil {
		return err
	}
	return i.withLine(func(s *config.Settings, db *store.DB, a *localca.CA) error {
		return c.activate(i, s, db, a, at, planned)
	})
}

// activate lets the CA issue now, or plans it.
func (c caActivate) activate(i *invocation, s *config.Settings, db *store.DB, a *localca.CA, at time.Time, planned bool) error {
	of, err := c.pending(a.Line)
	if err != nil {
		return err
	}
	if !planned || !at.IsZero() {
		if err := mayActivate(i, s, a, db, of, at); err != nil {
			return err
		}
	}
	entry := audit.Entry{At: time.Now(), Action: audit.CAActivated, Actor: "operator", Role: "operator", Object: of.Name}
	if !planned {
		return activateNow(i, db, entry)
	}
	entry.Action, entry.Detail = audit.CAScheduled, map[string]string{"at": at.UTC().Format(time.RFC3339)}
	if err := db.ScheduleAuthority(i.ctx, of.Name, at, entry); err != nil {
		return err
	}
	if at.IsZero() {
		_, err = fmt.Fprintf(i.io.out, "%s does not become active by itself any more.\n", of.Name)
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "%s issues from %s on.\n", of.Name, at.In(s.Location()).Format(time.DateTime+" MST"))
	return err
}

// activateNow lets the CA of an audit entry issue at once.
func activateNow(i *invocation, db *store.DB, entry audit.Entry) error {
	if err := db.ActivateAuthority(i.ctx, entry.Object, entry.At, entry); err != nil {
		return err
	}
	halt, err := db.Halted(i.ctx)
	if err != nil {
		return err
	}
	now := "issues from now on"
	if halt.On() {
		now = "is active, but issuing is halted: " + i.again("resume") + " lets it issue"
	}
	_, err = fmt.Fprintf(i.io.out, "%s %s. The one before goes on signing its lists and answers.\n", entry.Object, now)
	return err
}

// moment reads --at; planned is false for now. The zero time takes a plan back.
func (c caActivate) moment(s *config.Settings) (at time.Time, planned bool, err error) {
	switch c.At {
	case "":
		return time.Now(), false, nil
	case "never":
		return time.Time{}, true, nil
	}
	if at, err = time.Parse(time.RFC3339, c.At); err != nil {
		at, err = time.ParseInLocation(time.DateOnly, c.At, s.Location())
	}
	if err != nil {
		return at, false, usageError(fmt.Sprintf("--at %s: write a day such as 2030-05-01, or a time such as 2030-05-01T22:00:00Z", c.At))
	}
	if !at.After(time.Now()) {
		return at, false, usageError("--at is in the past: leave it out to activate now")
	}
	return at, true, nil
}

// pending finds the CA to activate.
func (c caActivate) pending(line *succession.Line) (succession.Authority, error) {
	var names []string
	var found []succession.Authority
	for _, of := range line.All() {
		if of.Record.State == succession.Pending {
			names, found = append(names, of.Name), append(found, of)
		}
	}
	i := slices.Index(names, c.Name)
	switch {
	case c.Name != "" && i >= 0:
		return found[i], nil
	case c.Name != "":
		if of, known := line.Named(c.Name); known {
			return of, usageError(fmt.Sprintf("%s is %s, and only a pending CA can be activated", c.Name, of.Record.State))
		}
		return succession.Authority{}, usageError(fmt.Sprintf("there is no issuing CA %s; see certportal ca show", c.Name))
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return succession.Authority{}, errors.New("there is no pending issuing CA: make one with certportal ca next, or with ca csr and ca import")
	}
	return succession.Authority{}, usageError("name the issuing CA: " + strings.Join(names, " or "))
}

// mayActivate refuses a CA that could not issue: its key must open, its certificate last
// longer than those that it issues, and its list be published.
func mayActivate(i *invocation, s *config.Settings, a *localca.CA, db *store.DB, of succession.Authority, at time.Time) error {
	if _, err := a.IssuerOf(of.Name); err != nil {
		return err
	}
	for _, cert := range append(of.Intermediates(), of.Root()) {
		if at.Before(cert.NotBefore) || cert.NotAfter.Before(at.Add(s.Validity())) {
			return fmt.Errorf("%s is valid from %s to %s: certificates of %d days need more", cert.Subject,
				cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly), int(s.Validity().Hours()/24))
		}
	}
	list, ok, err := db.Latest(i.ctx, of.Name, false, 0)
	if err != nil {
		return err
	}
	if !ok || !time.Now().Before(list.NextUpdate) {
		return fmt.Errorf("%s has no revocation list yet: the portal makes it within seconds when it runs, "+
			"certportal ca crl --publish --issuer %s makes it now", of.Name, of.Name)
	}
	return nil
}
