package enroll

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// UpstreamPrefix is the beginning of the name of an authority that the portal does not run.
const UpstreamPrefix = "upstream-"

// Upstream is a CA that the portal does not run, and how its certificates are judged.
type Upstream struct {
	Name string // of the authority in records: UpstreamPrefix and a name of the administrator's
	CA   upstream.CA

	// Anchors are its roots, and Intermediates what is between them and its certificates.
	Anchors, Intermediates []*x509.Certificate

	SIDByURI bool                    // see [ca.Foreign]
	Policies []asn1.ObjectIdentifier // likewise

	// Template is the certificate template that requests name. Optional: else that of the
	// profile.
	Template string

	// Domain is put before login names, as DOMAIN\name, for a CA that looks people up
	// itself. Optional.
	Domain string

	// Restricts says that the CA can deny the portal a request because of the person, as
	// the restriction of enrolment agents in AD CS does.
	Restricts bool

	// InFlight bounds the requests that wait for an answer of the CA. Optional: default
	// DefaultInFlight.
	InFlight int
}

// DefaultInFlight is the number of requests that wait for an answer of one CA where no
// setting says otherwise.
const DefaultInFlight = 50

const (
	// submitTimeout bounds the wait for an answer. It goes on when the person's request is
	// answered: an answer that is not awaited is a certificate that no record knows.
	submitTimeout = 70 * time.Second

	// submitPatience is how long a person's request waits. Then the page that reloads shows
	// what became of it.
	submitPatience = 8 * time.Second
)

// ErrWaiting means that a certificate was asked for and is not there yet: the CA did not
// answer, or it waits for approval.
var ErrWaiting = errors.New("the certificate is not issued yet")

// login is how the CA calls a person.
func (u *Upstream) login(p portal.Person) string {
	if u.Domain == "" {
		return p.Login
	}
	return u.Domain + `\` + p.Login
}

// chain gives what a device needs between a certificate and the root, its issuer first; all
// there is without a certificate.
func (u *Upstream) chain(leaf *x509.Certificate) []*x509.Certificate {
	if leaf == nil {
		return u.Intermediates
	}
	var chain []*x509.Certificate
	for below := leaf; len(chain) < len(u.Intermediates); below = chain[len(chain)-1] {
		i := slices.IndexFunc(u.Intermediates, func(c *x509.Certificate) bool { return below.CheckSignatureFrom(c) == nil })
		if i < 0 {
			break
		}
		chain = append(chain, u.Intermediates[i])
	}
	return chain
}

// issued reports whether the CA is the issuer of a certificate.
func (u *Upstream) issued(cert *x509.Certificate) bool {
	return u.issuerOf(cert) != nil
}

// issuerOf finds the certificate of the CA that signed a certificate; nil for one of another CA.
func (u *Upstream) issuerOf(cert *x509.Certificate) *x509.Certificate {
	for _, issuer := range slices.Concat(u.Intermediates, u.Anchors) {
		if cert.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}

// elsewhere issues and revokes with CAs that the portal does not run.
type elsewhere struct{ *Registrar }

// upstreamIntent is what is known of a certificate before another CA issues it.
type upstreamIntent struct {
	number    ca.Serial
	authority string
	key       [sha256.Size]byte
	from, to  time.Time
}

// Serial is the number of the request: the CA chooses the serial.
func (i upstreamIntent) Serial() ca.Serial                { return i.number }
func (i upstreamIntent) Issuer() string                   { return i.authority }
func (i upstreamIntent) PublicKeyHash() [sha256.Size]byte { return i.key }
func (i upstreamIntent) NotBefore() time.Time             { return i.from }
func (i upstreamIntent) NotAfter() time.Time              { return i.to }

// issue records the request with its encrypted key, then sends it. The error wraps
// ErrWaiting when there is no certificate yet.
func (r elsewhere) issue(ctx context.Context, o issuance, person portal.Person, key crypto.Signer) (*x509.Certificate, error) {
	u := r.c.Upstream
	if key == nil {
		// Of a request that a device made, another CA would take the names.
		return nil, &portal.Denial{Why: portal.KeyRefused}
	}
	leave, err := r.turn(ctx, u)
	if err != nil {
		r.c.Keys.GiveBack(key)
		return nil, err
	}
	q, err := r.record(ctx, o, u, person, key)
	if err != nil {
		leave()
		if refused(err) { // see recordIntent
			r.c.Keys.GiveBack(key)
		}
		return nil, err
	}
	o.leave() // from here on the processor has nothing to do
	done := make(chan settled, 1)
	r.submits.Go(func() {
		defer leave()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), submitTimeout)
		defer cancel()
		done <- r.submit(ctx, u, q, submission{o: o, person: person, key: key})
	})
	patience := time.NewTimer(submitPatience)
	defer patience.Stop()
	select {
	case s := <-done:
		return s.cert, s.err
	case <-patience.C:
		return nil, fmt.Errorf("request %s: %w", q.Number, ErrWaiting)
	}
}

// turn waits for one of the places in flight.
func (r elsewhere) turn(ctx context.Context, u *Upstream) (leave func(), err error) {
	places := r.inFlight[u.Name]
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, &portal.Outage{Part: portal.PartIssuer, Err: fmt.Errorf("%d requests wait for %s: %w", cap(places), u.Name, ctx.Err())}
	}
}

// request makes the request to a CA, and what is known of its certificate.
func (r elsewhere) request(u *Upstream, p portal.Person, key crypto.Signer) (UpstreamRequest, upstreamIntent, error) {
	profile, err := r.c.Profile.WithTemplate(u.Template)
	if err != nil {
		return UpstreamRequest{}, upstreamIntent{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	csr, err := profile.CertificateRequest(p.Subject(), key)
	var bad *ca.SubjectError
	switch {
	case errors.As(err, &bad):
		return UpstreamRequest{}, upstreamIntent{}, &portal.Refusal{Reason: portal.BadIdentity, Value: bad.Field}
	case err != nil:
		return UpstreamRequest{}, upstreamIntent{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	number, err := ca.NewSerial(nil)
	if err != nil {
		return UpstreamRequest{}, upstreamIntent{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return UpstreamRequest{}, upstreamIntent{}, &portal.Outage{Part: portal.PartIssuer, Err: fmt.Errorf("encoding public key: %w", err)}
	}
	now := r.c.Now()
	q := UpstreamRequest{
		Number: number, Authority: u.Name, CSR: csr, State: UpstreamSent, Sent: now, Next: now.Add(upstreamStale), Person: p.ID,
	}
	intent := upstreamIntent{number: number, authority: u.Name, key: sha256.Sum256(spki), from: now, to: now.Add(r.c.Profile.Validity())}
	return q, intent, nil
}

// record makes the request to the CA and records it.
func (r elsewhere) record(ctx context.Context, o issuance, u *Upstream, p portal.Person, key crypto.Signer) (UpstreamRequest, error) {
	q, intent, err := r.request(u, p, key)
	if err != nil {
		return q, err
	}
	q.Overlap, q.Ends = o.overlaps(), o.ends
	if q.TokenHash, q.SealedKey, err = sealWaiting(cmp.Or(o.wait, o.pickup).Token(q.Number), q.Number, key); err != nil {
		return q, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	reservation := r.reservation(o, p, intent)
	reservation.Upstream = &q
	err = r.reserve(ctx, reservation)
	if errors.Is(err, portal.ErrConflict) && !errors.Is(err, ErrFileInUse) {
		return q, fmt.Errorf("%w: %w", errTaken, err)
	}
	return q, portal.AsOutage(portal.PartStore, "reserving certificate", err)
}

// submission is what is known of a request only while it is sent.
type submission struct {
	o      issuance
	person portal.Person
	key    crypto.Signer
}

// settled is the outcome of a request.
type settled struct {
	cert *x509.Certificate
	err  error
}

// submit sends a request once and records what came of it.
func (r elsewhere) submit(ctx context.Context, u *Upstream, q UpstreamRequest, s submission) settled {
	return r.send(ctx, u, q, s.person, func(done *Completion) error {
		done.Entry = s.o.entry(s.o.by.Entry(done.At, audit.CertificateIssued))
		sealed, err := encryptPickup(s.o.pickup.Token(done.Serial), done.Serial, s.key, done.At)
		done.Pickup = &sealed
		return err
	})
}

// send sends a request once and records what came of it; see settle for seal.
func (r elsewhere) send(ctx context.Context, u *Upstream, q UpstreamRequest, p portal.Person, seal func(*Completion) error) settled {
	answer, err := u.CA.Submit(ctx, upstream.Request{
		Number: q.Number.String(), CSR: q.CSR, Subject: p.Subject(), Login: u.login(p), Validity: r.c.Profile.Validity(),
	})
	if errors.Is(err, upstream.ErrUnsent) {
		return settled{err: r.end(ctx, q, UpstreamUnsent, err)}
	}
	q.Subject = p.Subject()
	return r.settle(ctx, u, q, answer, err, seal)
}

// DrainUpstream waits until no request waits for an answer of another CA, or the context
// ends: then the outcome of those is unknown.
func (r *Registrar) DrainUpstream(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		r.submits.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// byName checks the names of all CAs elsewhere, and makes the places of their requests.
func byName(all []*Upstream, active *Upstream) (map[string]*Upstream, map[string]chan struct{}, error) {
	upstreams, inFlight := make(map[string]*Upstream), make(map[string]chan struct{})
	if active != nil {
		all = append([]*Upstream{active}, all...)
	}
	for _, u := range all {
		if known := upstreams[u.Name]; known == u {
			continue
		} else if name, _ := strings.CutPrefix(u.Name, UpstreamPrefix); known != nil || name == "" || name == u.Name || u.CA == nil {
			return nil, nil, fmt.Errorf("registrar: upstream CA %q: its name is taken or not of the form, or it is missing", u.Name)
		}
		upstreams[u.Name] = u
		inFlight[u.Name] = make(chan struct{}, cmp.Or(u.InFlight, DefaultInFlight))
	}
	return upstreams, inFlight, nil
}
