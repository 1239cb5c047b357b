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

// The supported kinds.
const (
	ActiveDirectory Kind = "active-directory" // Windows Server or Samba
	PlainLDAP       Kind = "ldap"             // OpenLDAP and others, with Attributes
)

// LDAPConfig configures an LDAP directory. Kind, Servers, User and Password are
// required, Domain with ActiveDirectory, and Base with PlainLDAP.
type LDAPConfig struct {
	Kind Kind

	// Servers are tried in this order, the next one when a server does not answer:
	// ldaps://HOST[:636], or ldap://HOST[:389], where StartTLS always comes before any
	// other request.
	Servers []string

	// GlobalCatalog are servers of the global catalog, such as
	// ldaps://dc1.corp.example:3269. Optional: without them a UPN is checked for
	// uniqueness in this domain only. ActiveDirectory only.
	GlobalCatalog []string

	// Roots are the CAs of the servers' certificates; nil means those of the system.
	// Verification cannot be disabled.
	Roots *x509.CertPool

	// User and Password are those of the portal's service account: a UPN, DOMAIN\name
	// or a DN. Password is called for every connection, so that a changed password is
	// used without a restart.
	User     string
	Password func() (string, error)

	// Base is the base DN of searches for people. Default with ActiveDirectory: the
	// whole domain (defaultNamingContext).
	Base string

	// GroupBase is the base DN of searches for groups. Default: Base. PlainLDAP only.
	GroupBase string

	// Domain is the DNS name of the domain, appended to login names without one.
	// NetBIOS is the domain's NetBIOS name, as in DOMAIN\name; default with
	// ActiveDirectory: read from the server.
	Domain  string
	NetBIOS string

	// UPNSuffixes are the allowed suffixes of a UPN. Default: only Domain.
	UPNSuffixes []string

	// LoginByMail accepts mail addresses as login names.
	LoginByMail bool

	Attributes Attributes

	// Groups are given by DN, by SID or by name (PlainLDAP: by DN, those of Enroll also by
	// name). With Enroll empty, all people may enrol.
	Roles     map[portal.Role][]string
	Enroll    []string
	Protected []string // besides the privileged groups of Windows (attack A3)

	// Timeout limits one operation, over all servers. Default 5 seconds.
	Timeout time.Duration

	// Calls limits the concurrent requests. Default 32.
	Calls int

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Attributes are the attribute names used with PlainLDAP. ActiveDirectory has its own
// and accepts only Phone and Manager, which decide nothing.
type Attributes struct {
	PersonFilter   string // default (objectClass=inetOrgPerson)
	ID             string // never changes, default entryUUID
	Login          string // default uid
	UPN            string // required: a single value that people cannot change themselves
	SID            string // text form; default none
	Mail           string // default mail
	Name           string // default cn
	GivenName      string // default givenName
	EmployeeNumber string // default employeeNumber
	Department     string // default departmentNumber
	Phone          string // default telephoneNumber
	Manager        string // DN of the manager, default manager
	Member         string // of a group: the DNs of its members, default member
}

// LDAP is a directory accessed over LDAP. It implements portal.Directory.
type LDAP struct {
	c      LDAPConfig
	d      decoder
	people []*server
	forest []*server // the global catalog, or people without one

	slots     chan struct{}
	service   serviceAccount
	cached    rootCache
	groups    groupCache
	timing    timing
	absentRDN string // RDN that no entry has
}

// NewLDAP checks the configuration. It connects at the first request: a directory that
// is down must not keep the portal from starting.
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
		slots: make(chan struct{}, c.Calls), service: serviceAccount{binding: make(chan struct{}, 1)}, absentRDN: "CN=nobody-" + strings.ToLower(rand.Text()),
	}, nil
}

// Close closes the idle connections. Requests in progress finish.
func (l *LDAP) Close() error {
	for _, s := range slices.Concat(l.people, l.forest) {
		s.readPool.close()
		s.bindPool.close()
	}
	return nil
}

// RequiresSID implements portal.Directory.
func (l *LDAP) RequiresSID() bool { return l.c.Attributes.SID != "" }

// withTimeout limits one operation to the configured Timeout.
func (l *LDAP) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.c.Timeout, errTimeout)
}
