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

// ListsConfig says where in a directory revocation lists are copied to. All is
// required that does not say otherwise.
type ListsConfig struct {
	URL   string         // ldaps://HOST or ldap://HOST, which is raised to TLS
	Roots *x509.CertPool // optional: who signs the server's certificate; default those of the machine

	User     string                 // who may write the entries
	Password func() (string, error) // asked for each connection

	// Entries are the distinguished names of the entries, under the names of the
	// lists' issuers. An issuer without one is not copied.
	Entries map[string]string

	// Signers are the CA certificates under the names of the issuers.
	Signers map[string]*x509.Certificate

	Timeout time.Duration // optional, of one answer; default 20 seconds: lists are long
}

// Lists copies revocation lists into entries of class cRLDistributionPoint (RFC 4523
// section 3.4), such as those of a CDP container of Active Directory: complete ones into
// certificateRevocationList, delta lists into deltaRevocationList. The entries must be
// there.
type Lists struct {
	c      ListsConfig
	server *server
	client *LDAP // for its way of opening TLS
}

// NewLists checks the configuration. Nobody is asked before Put or Check.
func NewLists(c ListsConfig) (*Lists, error) {
	if c.User == "" || c.Password == nil || len(c.Entries) == 0 {
		return nil, errors.New("lists in a directory: a required part is missing")
	}
	for issuer, dn := range c.Entries {
		if _, err := ldap.ParseDN(dn); err != nil || dn == "" || c.Signers[issuer] == nil {
			return nil, fmt.Errorf("lists in a directory: entry %q of %s has no distinguished name, or no certificate", dn, issuer)
		}
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	s, err := newServer(c.URL)
	if err != nil {
		return nil, err
	}
	return &Lists{c: c, server: s, client: &LDAP{c: LDAPConfig{Roots: c.Roots, Timeout: c.Timeout}}}, nil
}

// Name tells the server.
func (l *Lists) Name() string { return l.server.url }

// maxLists bounds what a server may send in one session: two lists of a million
// entries.
const maxLists = 128 << 20

// bounded is a connection that ends where somebody sends without end.
type bounded struct {
	net.Conn
	left int
}

// Read counts.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("answers are longer than %d bytes", maxLists)
	}
	return n, err
}

// session is a bound connection for one errand.
type session struct {
	*ldap.Conn
	stop func() bool
}

func (s *session) close() {
	s.stop()
	s.Conn.Close()
}

// open connects, under TLS that verifies, and says who is writing.
func (l *Lists) open(ctx context.Context) (*session, error) {
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
	conn := ldap.NewConn(&bounded{Conn: secured, left: maxLists}, true)
	conn.SetTimeout(l.c.Timeout)
	conn.Start()
	s := &session{conn, stop}
	if err := conn.Bind(l.c.User, password); err != nil {
		s.close()
		return nil, fmt.Errorf("signing in as %s: %w", l.c.User, err)
	}
	return s, nil
}

// attributeOf is where a list goes. Certificates and lists travel as octets (RFC 4523
// section 2.2).
func attributeOf(delta bool) string {
	if delta {
		return "deltaRevocationList"
	}
	return "certificateRevocationList"
}

// Put replaces the list in the entry of its issuer, unless a later one stands there,
// and reads it back. An issuer without an entry counts as done.
func (l *Lists) Put(ctx context.Context, list crl.List) (int64, error) {
	dn := l.c.Entries[list.Issuer]
	if dn == "" {
		return list.Number, nil
	}
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

// replace writes the value as octets. A server that does not know the option for that
// takes octets without it.
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

// value reads the list of an entry; nil when it has none.
func (s *session) value(dn, attribute string) ([]byte, error) {
	request := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", []string{attribute, attribute + ";binary"}, nil)
	found, err := s.Search(request)
	if err == nil && len(found.Entries) != 1 {
		err = errors.New("it is not there, or must not be read")
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

// numberOf is the number of a list of ours; 0 of anything else, which is replaced.
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

// Check tries whether the entries can be reached and read. Whether they can be written
// shows when something is.
func (l *Lists) Check(ctx context.Context) error {
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
