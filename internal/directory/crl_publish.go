package directory

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/ca/crl"
)

// CRLPublisherConfig configures a CRLPublisher. Fields are required unless they say
// otherwise.
type CRLPublisherConfig struct {
	URL   string         // ldaps://HOST, or ldap://HOST for StartTLS
	Roots *x509.CertPool // CAs of the server's certificate; default: those of the system

	User     string                 // account that may write the entries
	Password func() (string, error) // called for each connection

	// Entries maps the name of a CRL's issuer to the distinguished name of its entry.
	// CRLs of other issuers are not published.
	Entries map[string]string

	// Signers maps the names of the issuers to their CA certificates.
	Signers map[string]*x509.Certificate

	Timeout time.Duration // of one response; default 20 seconds, because CRLs are large
}

// CRLPublisher writes CRLs into entries of class cRLDistributionPoint (RFC 4523 section
// 3.4), such as those of a CDP container of Active Directory: complete CRLs into
// certificateRevocationList, delta CRLs into deltaRevocationList. It does not create
// entries.
type CRLPublisher struct {
	c      CRLPublisherConfig
	server *server
	client *LDAP // opens TLS
}

// NewCRLPublisher checks the configuration. It does not connect before Put or Check.
func NewCRLPublisher(c CRLPublisherConfig) (*CRLPublisher, error) {
	if c.User == "" || c.Password == nil || len(c.Entries) == 0 {
		return nil, errors.New("CRLs in a directory: a required part is missing")
	}
	for issuer, dn := range c.Entries {
		if _, err := ldap.ParseDN(dn); err != nil || dn == "" || c.Signers[issuer] == nil {
			return nil, fmt.Errorf("CRLs in a directory: entry %q of %s has no distinguished name, or no certificate", dn, issuer)
		}
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	s, err := newServer(c.URL)
	if err != nil {
		return nil, err
	}
	return &CRLPublisher{c: c, server: s, client: &LDAP{c: LDAPConfig{Roots: c.Roots, Timeout: c.Timeout}}}, nil
}

// Name returns the URL of the server.
func (l *CRLPublisher) Name() string { return l.server.url }

// maxSessionBytes limits what a server may send in one session: two CRLs of a million
// entries.
const maxSessionBytes = 128 << 20

// limitedSession is a connection that fails once the server has sent more than left bytes.
type limitedSession struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (b *limitedSession) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("responses are longer than %d bytes", maxSessionBytes)
	}
	return n, err
}

// session is a bound connection for one Put or Check.
type session struct {
	*ldap.Conn
	stop func() bool
}

func (s *session) close() {
	s.stop()
	s.Conn.Close()
}

// open connects under verified TLS and binds.
func (l *CRLPublisher) open(ctx context.Context) (*session, error) {
	password, err := l.c.Password()
	if err != nil {
		return nil, err
	}
	if password == "" {
		return nil, errors.New("the password is empty") // an anonymous success (RFC 4513 section 5.1.2)
	}
	dialer := net.Dialer{Timeout: l.c.Timeout}
	raw, err := dialer.DialContext(ctx, "tcp", l.server.address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	secured, err := l.client.secure(ctx, l.server, raw)
	if err != nil {
		stop()
		raw.Close()
		return nil, err
	}
	conn := ldap.NewConn(&limitedSession{Conn: secured, left: maxSessionBytes}, true)
	conn.SetTimeout(l.c.Timeout)
	conn.Start()
	s := &session{conn, stop}
	if err := conn.Bind(l.c.User, password); err != nil {
		s.close()
		return nil, fmt.Errorf("signing in as %s: %w", l.c.User, err)
	}
	return s, nil
}

// attributeOf returns the attribute of a CRL. Its values are octets (RFC 4523 section
// 2.2).
func attributeOf(delta bool) string {
	if delta {
		return "deltaRevocationList"
	}
	return "certificateRevocationList"
}

// Takes reports whether an entry is configured for lists of an issuer.
func (l *CRLPublisher) Takes(issuer string) bool { return l.c.Entries[issuer] != "" }

// Put replaces the CRL in the entry of its issuer and reads it back, unless the entry
// holds a newer one. It returns the number of the CRL in the entry.
func (l *CRLPublisher) Put(ctx context.Context, list crl.List) (int64, error) {
	dn := l.c.Entries[list.Issuer]
	s, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	defer s.close()
	attribute := attributeOf(list.Base > 0)
	there, err := s.value(dn, attribute)
	if err != nil {
		return 0, err
	}
	if number := numberOf(there, l.c.Signers[list.Issuer]); number >= list.Number {
		return number, nil
	}
	if err := s.replace(dn, attribute, list.DER); err != nil {
		return 0, fmt.Errorf("writing %s of %s: %w", attribute, dn, err)
	}
	if there, err = s.value(dn, attribute); err != nil {
		return 0, err
	}
	if !bytes.Equal(there, list.DER) {
		return 0, fmt.Errorf("reading %s of %s back: it is not what was written", attribute, dn)
	}
	return list.Number, nil
}

// replace writes the value with the option ";binary", and without it for a server that
// does not know the option.
func (s *session) replace(dn, attribute string, octets []byte) error {
	var err error
	for _, name := range []string{attribute + ";binary", attribute} {
		change := ldap.NewModifyRequest(dn, nil)
		change.Replace(name, []string{string(octets)})
		err = s.Modify(change)
		if !ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultUndefinedAttributeType) {
			return err
		}
	}
	return err
}

// value reads the CRL of an entry; nil when it has none.
func (s *session) value(dn, attribute string) ([]byte, error) {
	request := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", []string{attribute, attribute + ";binary"}, nil)
	found, err := s.Search(request)
	if err == nil && len(found.Entries) != 1 {
		err = errors.New("the entry does not exist, or is not readable")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", attribute, dn, err)
	}
	for _, a := range found.Entries[0].Attributes {
		name, _, _ := strings.Cut(a.Name, ";")
		if strings.EqualFold(name, attribute) && len(a.ByteValues) > 0 {
			return a.ByteValues[0], nil
		}
	}
	return nil, nil
}

// numberOf returns the number of a CRL signed by signer, and 0 for any other value, which
// Put replaces.
func numberOf(raw []byte, signer *x509.Certificate) int64 {
	if len(raw) == 0 {
		return 0
	}
	crl, err := ca.ReadCRL(raw, signer)
	if err != nil || !crl.Number.Big().IsInt64() {
		return 0
	}
	return crl.Number.Big().Int64()
}

// Check reports whether the entries can be read. It does not test the right to write.
func (l *CRLPublisher) Check(ctx context.Context) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for _, dn := range l.c.Entries {
		if _, err := s.value(dn, attributeOf(false)); err != nil {
			return err
		}
	}
	return nil
}
