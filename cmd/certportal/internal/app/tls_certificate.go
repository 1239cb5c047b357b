package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/autotls"
	"certportal/internal/durable"
	"certportal/internal/enroll"
	"certportal/internal/succession"
)

// serverCertificate is the TLS certificate in use: the one of the settings, or
// one from the embedded CA that is renewed before it ends. With ACME the latter is for clients
// that ask for another name, and for all while there is none by ACME.
type serverCertificate struct {
	settings *config.Settings
	localCA  *localca.CA
	own      *enroll.OwnIssuer
	statuses ocsp.Store
	public   config.Addresses
	now      func() time.Time
	log      *slog.Logger
	acme     *autotls.Manager // nil without

	refreshing sync.Mutex
	current    atomic.Pointer[tls.Certificate]
	temporary  atomic.Bool // the current one is of no CA, as the CA could not issue one
}

const (
	serverLife = 90 * 24 * time.Hour
	// serverRenew is the rest of its life at which it is made anew.
	serverRenew = 30 * 24 * time.Hour
)

// config is the TLS side of the https listener: TLS 1.2 with forward secrecy and
// AEAD, or 1.3.
func (c *serverCertificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		SessionTicketsDisabled: true,
		NextProtos:             []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.forName(hello.ServerName), nil
		},
	}
}

// forName is the certificate for a client that names a host (RFC 6066 section 3): one by ACME
// has the public names alone. Balancers and commands ask for other names of this machine, or
// name none.
func (c *serverCertificate) forName(host string) *tls.Certificate {
	if c.acme != nil && host != "" {
		if pair := c.acme.Certificate(); pair != nil && pair.Leaf.VerifyHostname(host) == nil {
			return pair
		}
	}
	return c.current.Load()
}

// forPeople is the certificate that browsers and phones get under the public name.
func (c *serverCertificate) forPeople() *tls.Certificate { return c.forName(c.public.HTTPS.Hostname()) }

// refresh loads or renews the certificate. It is called at start, twice a day, when the
// issuing CAs changed, and within a minute of its revocation.
func (c *serverCertificate) refresh(ctx context.Context) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if c.settings.TLS.Certificate != "" {
		return c.load(c.settings.TLS.Certificate, c.settings.TLS.Key)
	}
	certFile, keyFile := ownServerFiles(c.settings)
	err := c.load(certFile, keyFile)
	if err == nil && c.serves(c.current.Load().Leaf) && !c.revoked(ctx, c.current.Load().Leaf) {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.log.Warn("the portal's TLS certificate is made anew", "err", err)
	}
	if err := c.renew(ctx, certFile, keyFile); err != nil {
		switch unready := c.localCA.Ready(); {
		case c.temporary.Load() && unready != nil: // logged when it was made
			return nil
		case c.current.Load() != nil:
			c.log.Error("renewing the portal's TLS certificate", "err", err)
			return nil
		case unready != nil:
			return c.serveTemporary(err)
		}
		return fmt.Errorf("making the portal's TLS certificate: %w", err)
	}
	return c.load(certFile, keyFile)
}

// serveTemporary makes a certificate of no CA, in memory: a replica that starts for the first
// time while its CA cannot issue has no other, and must serve lists and pages all the same.
func (c *serverCertificate) serveTemporary(cause error) error {
	key, err := ca.ECP256.Generate()
	if err != nil {
		return err
	}
	cert, err := ca.TemporaryServerCertificate(key, c.settings.ServerNames(c.public), c.now())
	if err != nil {
		return fmt.Errorf("making a temporary TLS certificate: %w", err)
	}
	c.current.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert})
	c.temporary.Store(true)
	c.log.Error("a temporary TLS certificate is served, which no client trusts, until the CA can issue one", "err", cause)
	return nil
}

// ownServerFiles are the files of the certificate that the embedded CA issued.
func ownServerFiles(s *config.Settings) (cert, key string) {
	return s.Path("tls", "server.crt"), s.Path("tls", "server.key")
}

// leaf is the certificate that people get; nil before the first.
func (c *serverCertificate) leaf() *x509.Certificate {
	if pair := c.forPeople(); pair != nil {
		return pair.Leaf
	}
	return nil
}

func (c *serverCertificate) load(certFile, keyFile string) error {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("loading TLS certificate: %w", err)
	}
	c.current.Store(&pair)
	c.temporary.Store(false)
	return nil
}

// serves reports whether the certificate of the embedded CA still does: it lives
// long enough, names all names and is from this CA.
func (c *serverCertificate) serves(leaf *x509.Certificate) bool {
	if leaf.NotAfter.Sub(c.now()) < serverRenew || !c.localCA.Issued(leaf) || c.outlived(leaf) {
		return false
	}
	return !slices.ContainsFunc(c.settings.ServerNames(c.public), func(name string) bool {
		return leaf.VerifyHostname(name) != nil
	})
}

// outlived reports whether the CA that signed the certificate was revoked while another one
// issues: clients that read the root's list refuse it.
func (c *serverCertificate) outlived(leaf *x509.Certificate) bool {
	of, known := c.localCA.Line.Of(leaf)
	_, active := c.localCA.Line.Active()
	return known && active && of.Record.State == succession.Revoked
}

// revoked reports whether the certificate is revoked: by an administrator, or because
// a restored database does not know it. An error of the store counts as not revoked.
func (c *serverCertificate) revoked(ctx context.Context, leaf *x509.Certificate) bool {
	serial, err := ca.SerialOf(leaf.SerialNumber)
	if err != nil {
		return false
	}
	status, err := c.statuses.Status(ctx, serial)
	if err != nil {
		c.log.Warn("looking whether the portal's TLS certificate is revoked", "err", err)
	}
	return err == nil && status.State == ocsp.Revoked
}

// currentRevoked reports whether the certificate in use is from the embedded CA and revoked.
func (c *serverCertificate) currentRevoked(ctx context.Context) bool {
	current := c.current.Load()
	return c.settings.TLS.Certificate == "" && current != nil && !c.temporary.Load() && c.revoked(ctx, current.Leaf)
}

// renew makes a key and issues a certificate for it.
func (c *serverCertificate) renew(ctx context.Context, certFile, keyFile string) error {
	key, err := ca.ECP256.Generate()
	if err != nil {
		return err
	}
	names := c.settings.ServerNames(c.public)
	cert, err := c.own.IssueOwn(ctx, enroll.OwnRequest{
		Profile: "Server", Key: key.Public(), Detail: map[string]string{"names": strings.Join(names, " ")},
		Certificate: ca.ServerConfig{Names: names, Validity: serverLife},
	})
	if err != nil {
		return err
	}
	return writeServerFiles(certFile, keyFile, key, append([]*x509.Certificate{cert}, c.localCA.Chain(cert)...)...)
}

func writeServerFiles(certFile, keyFile string, key crypto.Signer, chain ...*x509.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding TLS key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(certFile), 0o700); err != nil {
		return fmt.Errorf("writing TLS certificate: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := durable.Replace(keyFile, keyPEM, 0o600); err != nil {
		return fmt.Errorf("writing TLS key: %w", err)
	}
	if err := durable.Replace(certFile, ca.PEM(chain...), 0o644); err != nil {
		return fmt.Errorf("writing TLS certificate: %w", err)
	}
	return nil
}
