// Package kerberos makes the tokens by which a client signs in to a web server by Kerberos
// (RFC 4120, RFC 4121, RFC 4178, RFC 4559) over TLS, bound to the server's certificate: a
// relay between client and server has another certificate, and the server refuses what it
// passes on. Servers with Extended Protection accept nothing else.
//
// Tickets come from the KDC by TCP, with the AES keys of a keytab: RC4 and DES are refused.
// The server does not prove itself by Kerberos, since it did so by TLS.
package kerberos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"certportal/ca/upstream"
)

// Config says who signs in.
type Config struct {
	// Principal is the account and its realm, such as svc-portal@CORP.EXAMPLE.
	Principal string

	// Keytab gives the content of the account's keytab, each time a ticket is needed.
	Keytab func() ([]byte, error)

	// Realms gives the text of a krb5.conf, each time a ticket is needed. Of it only the KDCs of
	// realms are used. Optional: default are the KDCs that DNS names.
	Realms func() ([]byte, error)
}

// Account gets tickets and keeps them until shortly before they end. It is safe for
// concurrent use.
type Account struct {
	config      Config
	name, realm string

	asking chan struct{}   // holds one while the KDC is asked
	guard  *upstream.Guard // of the keytab

	mu   sync.Mutex
	held map[string]ticket // by service
}

// ticket is good for one service.
type ticket struct {
	ticket messages.Ticket
	key    types.EncryptionKey // of the session
	realm  string
	client types.PrincipalName
	end    time.Time
}

// early is how long before its end a ticket is used last.
const early = 5 * time.Minute

// New checks the configuration. It asks no KDC.
func New(c Config) (*Account, error) {
	name, realm, err := Principal(c.Principal)
	if err != nil {
		return nil, err
	}
	if c.Keytab == nil {
		return nil, errors.New("account of Kerberos has no keytab")
	}
	return &Account{config: c, name: name, realm: realm, asking: make(chan struct{}, 1), held: map[string]ticket{}, guard: upstream.NewGuard(time.Now)}, nil
}

// Principal splits the name of an account into its name and realm.
func Principal(text string) (name, realm string, err error) {
	name, realm, _ = strings.Cut(text, "@")
	if name == "" || realm == "" || realm != strings.ToUpper(realm) || strings.ContainsAny(text, "\\/ ") || strings.Contains(realm, "@") {
		return "", "", fmt.Errorf("account %q: write NAME@REALM, the realm in capitals, as in svc-portal@CORP.EXAMPLE", text)
	}
	return name, realm, nil
}

// Token makes the message that signs in to a service, such as HTTP/ca.corp.example. The
// channel is the hash of the TLS connection's channel bindings, 16 octets.
func (a *Account) Token(ctx context.Context, service string, channel []byte) ([]byte, error) {
	t, err := a.ticket(ctx, service)
	if err != nil {
		return nil, err
	}
	return t.token(channel)
}

// Forget drops the ticket for a service that refused it: the service may have another key.
func (a *Account) Forget(service string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, service)
}

func (a *Account) kept(service string) (ticket, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.held[service]
	return t, ok && time.Now().Before(t.end.Add(-early))
}

// ticket gives the ticket that is kept, or gets one. Requests that come together ask the KDC
// once.
func (a *Account) ticket(ctx context.Context, service string) (ticket, error) {
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return ticket{}, fmt.Errorf("waiting for a ticket: %w", ctx.Err())
	}
	if t, ok := a.kept(service); ok {
		return t, nil
	}
	t, err := a.ask(ctx, service)
	if err != nil {
		return ticket{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[service] = t
	return t, nil
}
