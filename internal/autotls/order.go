package autotls

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"certportal/internal/audit"
)

const (
	// orderWithin bounds one order with all its waiting.
	orderWithin = 5 * time.Minute

	// answerWithin bounds one answer of the server.
	answerWithin = 30 * time.Second

	// recordWithin bounds each thing that must be recorded although the order was cut off.
	recordWithin = 10 * time.Second

	// stopWithin bounds all of them together once the portal stops.
	stopWithin = 3 * time.Second
)

// outlive returns a context that ends some time after ctx does: for what must be recorded
// although the portal stops, all of it together.
func outlive(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(after, cancel)
		<-longer.Done()
		timer.Stop()
	})
	return longer, func() { stop(); cancel() }
}

// order orders a certificate under the lease, and records what came of it.
func (m *Manager) order(ctx, record context.Context, before Failure) error {
	m.c.Log.Info("ordering a TLS certificate by ACME", "directory", m.c.Directory, "names", strings.Join(m.c.Names, " "))
	within, cancel := context.WithTimeout(ctx, orderWithin)
	pair, err := m.obtain(within, record)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			// The portal stops: that is no failure of the server.
			return m.fail(record, before)
		}
		f := m.failure(before, err)
		return errors.Join(errors.New(f.Text), m.fail(record, f))
	}
	// First into the folder: with it there a failing store costs no second order.
	used := m.use(pair)
	m.c.Log.Info("a TLS certificate by ACME is in use", "issuer", pair.Leaf.Issuer.String(), "ends", pair.Leaf.NotAfter)
	return errors.Join(used, m.keep(record, before, pair))
}

// keep records the certificate in use for the other replicas, under the lease.
func (m *Manager) keep(record context.Context, before Failure, pair *tls.Certificate) error {
	sealed, err := m.seal(pair)
	if err == nil {
		within, cancel := context.WithTimeout(record, recordWithin)
		err = m.c.Store.KeepACME(within, m.id, m.c.Holder, sealed, m.entry(pair))
		cancel()
	}
	if err == nil {
		return nil
	}
	f := m.failure(before, notKept{err})
	return errors.Join(errors.New(f.Text), m.fail(record, f))
}

// fail records a failure and ends the lease.
func (m *Manager) fail(record context.Context, f Failure) error {
	within, cancel := context.WithTimeout(record, recordWithin)
	defer cancel()
	return m.c.Store.FailACME(within, m.id, m.c.Holder, f)
}

func (m *Manager) entry(pair *tls.Certificate) audit.Entry {
	return audit.Entry{
		At: m.c.Now(), Action: audit.TLSOrdered, Actor: "system", Role: "system", Object: pair.Leaf.SerialNumber.Text(16),
		Detail: map[string]string{"names": strings.Join(m.c.Names, " "), "directory": m.c.Directory, "ends": pair.Leaf.NotAfter.UTC().Format(time.RFC3339)},
	}
}

// obtain goes through one order (RFC 8555 section 7).
func (m *Manager) obtain(ctx, record context.Context) (*tls.Certificate, error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	if err := m.register(ctx, client); err != nil {
		return nil, err
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(m.c.Names...))
	if err != nil {
		return nil, fmt.Errorf("ordering: %w", err)
	}
	for _, address := range order.AuthzURLs {
		if err := m.prove(ctx, record, client, address); err != nil {
			return nil, err
		}
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
		return nil, fmt.Errorf("waiting for the order: %w", err)
	}
	return m.finalize(ctx, client, order)
}

// client makes one with this replica's account key. Its connections end with the order.
func (m *Manager) client() (*acme.Client, error) {
	key, err := accountKey(m.c.Folder)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ResponseHeaderTimeout: answerWithin, TLSHandshakeTimeout: answerWithin,
		TLSClientConfig: &tls.Config{RootCAs: m.c.Roots, MinVersion: tls.VersionTLS12, Time: m.c.Now},
	}
	return &acme.Client{
		Key: key, DirectoryURL: m.c.Directory, UserAgent: m.c.Agent, RetryBackoff: backoff,
		HTTPClient: &http.Client{Transport: limited{transport}, Timeout: answerWithin},
	}, nil
}

// backoff repeats a request with a nonce that the server would not take at once (RFC 8555
// section 6.5), and after an error of the server a few times. What is limited is not repeated.
func backoff(n int, _ *http.Request, resp *http.Response) time.Duration {
	switch {
	case resp == nil || resp.StatusCode == http.StatusTooManyRequests:
		return 0
	case resp.StatusCode == http.StatusBadRequest && n <= 8:
		return time.Duration(n) * 50 * time.Millisecond
	case resp.StatusCode >= http.StatusInternalServerError && n <= 2:
		return time.Duration(n) * 500 * time.Millisecond
	}
	return 0
}

// register makes the account, or finds the one of this key.
func (m *Manager) register(ctx context.Context, client *acme.Client) error {
	directory, err := client.Discover(ctx)
	if err != nil {
		return fmt.Errorf("reading the directory: %w", err)
	}
	account := &acme.Account{}
	for _, address := range m.c.Contacts {
		account.Contact = append(account.Contact, "mailto:"+address)
	}
	switch {
	case m.c.AccountID != "":
		account.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: m.c.AccountID, Key: m.c.AccountKey}
	case directory.ExternalAccountRequired:
		return errNeedsAccount
	}
	there, err := client.Register(ctx, account, acme.AcceptTOS)
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return fmt.Errorf("making an account: %w", err)
	}
	if there == nil || slices.Equal(there.Contact, account.Contact) {
		return nil
	}
	if _, err := client.UpdateReg(ctx, account); err != nil {
		m.c.Log.Warn("changing the contacts of the ACME account", "err", err)
	}
	return nil
}

// prove answers the challenge of one name, unless the server knows of an earlier proof.
func (m *Manager) prove(ctx, record context.Context, client *acme.Client, address string) error {
	z, err := client.GetAuthorization(ctx, address)
	if err != nil {
		return fmt.Errorf("reading an authorization: %w", err)
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
	if at < 0 {
		return fmt.Errorf("proving %s: %w", z.Identifier.Value, errNoChallenge)
	}
	challenge := z.Challenges[at]
	if !ValidToken(challenge.Token) {
		return fmt.Errorf("proving %s: %w", z.Identifier.Value, errBadToken)
	}
	answer, err := client.HTTP01ChallengeResponse(challenge.Token)
	if err != nil {
		return fmt.Errorf("proving %s: %w", z.Identifier.Value, err)
	}
	if err := m.c.Store.AddHTTPChallenge(ctx, challenge.Token, answer, m.c.Now().Add(orderWithin)); err != nil {
		return fmt.Errorf("recording the answer to the challenge: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(record, recordWithin)
		defer cancel()
		if err := m.c.Store.EndHTTPChallenge(end, challenge.Token); err != nil {
			m.c.Log.Warn("removing the answer to a challenge, which ends by itself", "err", err)
		}
	}()
	if _, err := client.Accept(ctx, challenge); err != nil {
		return fmt.Errorf("proving %s: %w", z.Identifier.Value, err)
	}
	if _, err := client.WaitAuthorization(ctx, z.URI); err != nil {
		return notProven{z.Identifier.Value, err}
	}
	return nil
}

// maxToken bounds a token, which servers make of 22 characters and more.
const maxToken = 256

// ValidToken reports whether a text may be a token (RFC 8555 section 8.3): base64url.
func ValidToken(token string) bool {
	return token != "" && len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// finalize sends a request for a new key and takes the certificate, if it is what was ordered.
func (m *Manager) finalize(ctx context.Context, client *acme.Client, order *acme.Order) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making TLS key: %w", err)
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{}, DNSNames: m.c.Names}
	csr, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return nil, fmt.Errorf("making certificate request: %w", err)
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return nil, fmt.Errorf("fetching the certificate: %w", err)
	}
	return m.check(chain, key)
}

func (m *Manager) check(chain [][]byte, key crypto.Signer) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("reading the certificate that came: %w", err)
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	now := m.c.Now()
	switch {
	case !ok || !public.Equal(key.Public()):
		return nil, errOtherKey
	case !covers(leaf, m.c.Names):
		return nil, fmt.Errorf("%w: it names %s", errOtherNames, strings.Join(leaf.DNSNames, ", "))
	case !validAt(leaf, now) || Due(leaf, now):
		return nil, fmt.Errorf("%w: it is valid from %s to %s, and here it is %s", errClock,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}
