package directory

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"certportal/internal/portal"
)

// Kind is the kind of server behind an LDAP directory.
type Kind string

// The kinds there are.
const (
	ActiveDirectory Kind = "active-directory" // Windows Server or Samba
	PlainLDAP       Kind = "ldap"             // OpenLDAP and others, with Attributes
)

// LDAPConfig is what an LDAP directory works with. Kind, Servers, User and
// Password are required, Domain with ActiveDirectory, Base and Attributes with
// PlainLDAP.
type LDAPConfig struct {
	Kind Kind

	// Servers are asked in this order, the next when one does not answer:
	// ldaps://HOST[:636], or ldap://HOST[:389], which is always raised to TLS by
	// StartTLS before anything is said.
	Servers []string

	// GlobalCatalog are servers that know the names of the whole forest, such as
	// ldaps://dc1.corp.example:3269. Optional: without them a UPN is proven unique
	// in this domain only. ActiveDirectory only.
	GlobalCatalog []string

	// Roots are the CAs that may sign the servers' certificates; nil means those
	// of the system. There is no way to switch the check off.
	Roots *x509.CertPool

	// User and Password are those of the account the portal reads with: a UPN,
	// DOMAIN\name or a DN. Password is asked again for every connection, so that
	// a changed one is used without a restart.
	User     string
	Password func() (string, error)

	// Base is where people are looked for. Default with ActiveDirectory: the whole
	// domain (defaultNamingContext).
	Base string

	// GroupBase is where groups are looked for. Default: Base. PlainLDAP only.
	GroupBase string

	// Domain is the DNS name of the domain, added to bare login names. NetBIOS is
	// the name before the backslash; default with ActiveDirectory: read from the
	// server.
	Domain  string
	NetBIOS string

	// UPNSuffixes are the suffixes a UPN may have. Default: Domain alone.
	UPNSuffixes []string

	// LoginByMail lets people type their mail address as login name.
	LoginByMail bool

	Attributes Attributes

	// Groups are named by DN or by SID (PlainLDAP: by DN). A role or an Enroll
	// list may name several. With Enroll empty, everybody may enrol.
	Roles     map[portal.Role][]string
	Enroll    []string
	Protected []string // besides those protected by nature (attack A3)

	// Timeout bounds one question to the directory over all its servers. Default
	// 5 seconds.
	Timeout time.Duration

	// Calls bounds the questions under way at the same time. Default 32.
	Calls int

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Attributes name what PlainLDAP reads of an entry. ActiveDirectory has its own
// and takes none of these.
type Attributes struct {
	PersonFilter   string // who counts as a person, default (objectClass=inetOrgPerson)
	ID             string // never changes, default entryUUID
	Login          string // default uid
	UPN            string // default mail
	SID            string // text form; default none
	Mail           string // default mail
	Name           string // default cn
	GivenName      string // default givenName
	EmployeeNumber string // default employeeNumber
	Department     string // default departmentNumber
	Member         string // of a group: the DNs of its members, default member
}

// LDAP is a directory behind LDAP. It fulfils enroll.Directory.
type LDAP struct {
	c      LDAPConfig
	d      decoder
	people []*server
	forest []*server // the global catalog, or people where there is none

	slots   chan struct{}
	service service
	cached  factCache
	groups  groupCache
	pace    pace
	nobody  string // RDN that no entry has
}

// NewLDAP checks the configuration. It connects at the first question: a
// directory that is down must not keep the portal from starting.
func NewLDAP(c LDAPConfig) (*LDAP, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("LDAP directory: %w", err)
	}
	people, err := newServers(c.Servers)
	if err != nil {
		return nil, fmt.Errorf("LDAP directory: %w", err)
	}
	forest, err := newServers(c.GlobalCatalog)
	if err != nil {
		return nil, fmt.Errorf("LDAP directory: %w", err)
	}
	if len(forest) == 0 {
		forest = people
	}
	return &LDAP{
		c: c, d: decoder{kind: c.Kind, a: c.Attributes, now: c.Now}, people: people, forest: forest,
		slots: make(chan struct{}, c.Calls), service: service{turn: make(chan struct{}, 1)}, nobody: "CN=nobody-" + strings.ToLower(rand.Text()),
	}, nil
}

// Close closes the idle connections. What is under way ends by itself.
func (l *LDAP) Close() error {
	for _, s := range slices.Concat(l.people, l.forest) {
		s.readers.close()
		s.doors.close()
	}
	return nil
}

// RequiresSID fulfils enroll.Directory.
func (l *LDAP) RequiresSID() bool { return l.c.Attributes.SID != "" }

// bounded gives one question its time.
func (l *LDAP) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.c.Timeout, errSlow)
}
