package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/durable"
	"certportal/internal/portal"
)

// demoData is where the demo lives unless --data says otherwise.
const demoData = "certportal-demo"

type demoCommand struct {
	Listen     string `placeholder:"ADDRESS:PORT" default:"127.0.0.1:8443" help:"Address of the portal. :8443 lets phones in your network in; port 0 takes a free one."`
	ListenHTTP string `name:"listen-http" placeholder:"ADDRESS:PORT" help:"Address for revocation lists and CA certificates. Default: beside the other."`
}

// Run serves with sample people and prints their passwords.
func (c demoCommand) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if i.cli.Data == "" && s.Data == config.Defaults().Data {
		s.Data = demoData
	}
	if s.Database != "" || s.DatabaseFile != "" {
		return usageError("a demo keeps its records in its own folder: leave database and database_file out")
	}
	demoSettings(s)
	s.Listen = c.Listen
	if _, port, _ := net.SplitHostPort(c.Listen); port != "8443" && s.ListenOps == config.DefaultOps {
		s.ListenOps = "127.0.0.1:0" // beside another portal
	}
	s.ListenCheck = c.checkAddress(s.ListenCheck)
	if s.ListenHTTP, err = c.plainAddress(s); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return usageError(err.Error())
	}
	return i.serve(s, func(ctx context.Context, p *app.App) error {
		announce(p, i)
		return samplePeople(ctx, p, i)
	})
}

// demoSettings are what a demo sets in place of the settings, except for its ports.
func demoSettings(s *config.Settings) {
	if s.Organization == config.Defaults().Organization {
		s.Organization = "Example Company"
	}
	if h := &s.Helpdesk; h.Phone == "" && h.Mail == "" && h.Hours == "" {
		h.Phone, h.Mail, h.Hours, h.AfterHoursPhone = "+49 30 5550 100", "helpdesk@demo.example", "8–18", "+49 30 5550 199"
	}
	s.Directory, s.OpenID = config.DefaultDirectory(), config.OpenIDSettings{}
	s.Directory.Domain = "demo.example"
	s.PublicURL, s.PublicHTTPURL, s.PublicCheckURL, s.CheckHeader = "", "", "", ""
}

// checkAddress puts the check page beside the portal, on a free port where the usual one
// belongs to another demo.
func (c demoCommand) checkAddress(set string) string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || set != config.DefaultCheck {
		return set
	}
	if port != "8443" {
		return net.JoinHostPort(host, "0")
	}
	return net.JoinHostPort(host, freePort(host, "8444"))
}

// plainAddress chooses the plain-http listener. With port 0, a demo that ran before
// takes its former port again, because its CA certificate names it.
func (c demoCommand) plainAddress(s *config.Settings) (string, error) {
	if c.ListenHTTP != "" {
		return c.ListenHTTP, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", usageError(fmt.Sprintf("--listen %q: write ADDRESS:PORT or :PORT", c.Listen))
	}
	if port == "8443" {
		return net.JoinHostPort(host, "8080"), nil
	}
	return net.JoinHostPort(host, formerPort(s, host)), nil
}

// formerPort is the port in the CA's certificate, if it is free, else 0.
func formerPort(s *config.Settings, host string) string {
	const free = "0"
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil || !folder.OwnRoot() || len(folder.Issuing().CRLDistributionPoints) == 0 {
		return free
	}
	u, err := url.Parse(folder.Issuing().CRLDistributionPoints[0])
	if err != nil || u.Port() == "" {
		return free
	}
	return freePort(host, u.Port())
}

// freePort is the port if it is free, else 0.
func freePort(host, port string) string {
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil || l.Close() != nil {
		return "0"
	}
	return port
}

// samplePerson is a line of people.json.
type samplePerson struct {
	Role     string `json:"role"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// samples returns one person of each role, with SIDs, so that certificates are
// complete.
func samples() []directory.NewAccount {
	sid := func(rid string) string { return doctor.SampleSID + rid }
	return []directory.NewAccount{
		{Login: "anna", Name: "Anna Schmidt", GivenName: "Anna", SID: sid("1101"), Roles: []portal.Role{portal.Employee}},
		{Login: "hugo", Name: "Hugo Weber", GivenName: "Hugo", SID: sid("1102"), Roles: []portal.Role{portal.Helpdesk}},
		{Login: "wei", Name: "李伟", GivenName: "伟", SID: sid("1103"), Roles: []portal.Role{portal.Auditor}},
		{Login: "ada", Name: "Ada King", GivenName: "Ada", SID: sid("1104"), Roles: []portal.Role{portal.Admin}},
	}
}

// samplePeople makes the sample people that are missing, keeps the passwords of
// an earlier run, writes people.json and prints the table.
func samplePeople(ctx context.Context, p *app.App, i *invocation) error {
	file := p.Settings.Path(doctor.SampleFile)
	known, err := readPeople(file)
	if err != nil {
		return err
	}
	if lived, err := lived(ctx, p); err != nil || lived && known == nil {
		return errors.Join(err, fmt.Errorf("%s is the folder of a portal and not of a demo: nobody was added", p.Settings.Data))
	}
	var people []samplePerson
	for _, a := range samples() {
		a.UPN, a.Mail = a.Login+"@"+p.Settings.Directory.Domain, a.Login+"@"+p.Settings.Directory.Domain
		a.Password = known[a.Login]
		if err := addSamplePerson(ctx, p, &a); err != nil {
			return fmt.Errorf("making sample person %s: %w", a.Login, err)
		}
		people = append(people, samplePerson{roleNames(a.Roles), a.Login, a.Password})
	}
	text, err := json.MarshalIndent(people, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(file, append(text, '\n'), 0o600); err != nil {
		return err
	}
	w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  ROLE\tUSERNAME\tPASSWORD")
	for _, s := range people {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Role, s.Username, s.Password)
	}
	fmt.Fprintf(w, "\nThey are also in %s. This is a demo: do not trust its root on a phone you need.\n\n", file)
	return w.Flush()
}

// lived reports whether the portal was used: its audit log holds more than the
// creation of a CA. Accounts do not show it, because the directory may be elsewhere.
func lived(ctx context.Context, p *app.App) (bool, error) {
	entries, err := p.DB.Entries(ctx, 0, 100)
	return slices.ContainsFunc(entries, func(e audit.Entry) bool {
		switch e.Action {
		case audit.CACreated, audit.CARequested, audit.CAImported, audit.CAAdded, audit.RootKeyExported,
			audit.CertificateReserved, audit.CertificateIssued, audit.CertificateRevoked: // of the portal itself
			return false
		}
		return true
	}), err
}

// addSamplePerson adds an account, or sets its password to the one of people.json.
func addSamplePerson(ctx context.Context, p *app.App, a *directory.NewAccount) error {
	made := a.Password == ""
	if made {
		a.Password = strings.ToLower(rand.Text())[:12]
	}
	_, err := p.Builtin.Add(ctx, *a, byOperator())
	if !errors.Is(err, portal.ErrConflict) {
		return err
	}
	if !made {
		_, err = p.Builtin.Authenticate(ctx, a.Login, a.Password)
		made = errors.Is(err, portal.ErrCredentials)
	}
	if made {
		return p.Builtin.SetPassword(ctx, a.Login, a.Password, byOperator())
	}
	return nil
}

func readPeople(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading sample people: %w", err)
	}
	var people []samplePerson
	if err := json.Unmarshal(text, &people); err != nil {
		return nil, fmt.Errorf("reading sample people %s: %w", file, err)
	}
	known := map[string]string{}
	for _, p := range people {
		known[p.Username] = p.Password
	}
	return known, nil
}
