package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store"
)

// testSignIn makes a test certificate of a person when the check asks for it, and revokes
// it at the end. Nil does nothing.
type testSignIn struct {
	upn     string
	issuer  *enroll.TestIssuer
	people  app.Directory
	ca      *localca.CA
	kind    ca.KeyKind
	request enroll.TestRequest
	closers []func() error

	made chan issuedTest // nil until the certificate was asked for
	got  *issuedTest
}

// issuedTest is what came of issuing.
type issuedTest struct {
	cert   *x509.Certificate
	client *exchangecheck.Client
	err    error
}

// openTestSignIn opens database, CA and directory. It signs nothing.
func (i *invocation) openTestSignIn(s *config.Settings, upn, host string) (t *testSignIn, err error) {
	t = &testSignIn{upn: upn, kind: s.Certificates.Key, request: enroll.TestRequest{By: portal.Operator(), Comment: "test of " + host}}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	ctx, cancel := context.WithTimeout(i.ctx, openWithin)
	defer cancel()
	db, err := i.program().OpenExisting(ctx, s, i.quiet())
	if err != nil {
		return t, err
	}
	t.closers = append(t.closers, db.Close)
	if err := t.openCA(i, s, db); err != nil {
		return t, err
	}
	if t.people, err = t.openPeople(i, s, db); err != nil {
		return t, err
	}
	t.issuer, err = app.NewTestIssuer(s, db, t.ca, t.people, i.quiet())
	return t, err
}

// openCA opens the CA; a sealed one is an error.
func (t *testSignIn) openCA(i *invocation, s *config.Settings, db *store.DB) error {
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return err
	}
	if t.ca, err = localca.Open(s, public.HTTP, i.terminal()); err != nil {
		return err
	}
	t.closers = append(t.closers, t.ca.Close)
	if err := t.ca.BelongsTo(i.ctx, db); err != nil {
		return err
	}
	if err := t.ca.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
		return err
	}
	if err := t.ca.Ready(); err != nil {
		return err
	}
	db.UseSecret(t.ca.Secret)
	return nil
}

func (t *testSignIn) openPeople(i *invocation, s *config.Settings, db *store.DB) (app.Directory, error) {
	if s.Directory.Kind == config.KindBuiltin {
		return directory.NewBuiltin(db)
	}
	d, err := app.OpenLDAP(s, time.Now, i.quiet())
	if err == nil {
		t.closers = append(t.closers, d.Close)
	}
	return d, err
}

// client issues the certificate. When ctx ends first, end waits for it.
func (t *testSignIn) client(ctx context.Context) (*exchangecheck.Client, error) {
	t.made = make(chan issuedTest, 1)
	go func() { t.made <- t.issue(ctx) }()
	select {
	case got := <-t.made:
		t.got = &got
		return got.client, got.err
	case <-ctx.Done():
		return nil, errors.New("no test certificate in time: directory, database or CA does not answer")
	}
}

// issue makes the key, which is never written, and the certificate. The person is found by
// the whole UPN, so that a mistyped one is an error and not another person.
func (t *testSignIn) issue(ctx context.Context) issuedTest {
	person, err := t.people.Match(ctx, portal.Claim{UPN: t.upn})
	if errors.Is(err, portal.ErrNotFound) {
		return issuedTest{err: fmt.Errorf("the directory has no person, or several, with the UPN %s", t.upn)}
	}
	if err != nil {
		return issuedTest{err: fmt.Errorf("finding the person whose UPN is %s: %w", t.upn, err)}
	}
	key, err := t.kind.Generate()
	if err != nil {
		return issuedTest{err: err}
	}
	t.request.Person, t.request.Key = person.ID, key.Public()
	cert, err := t.issuer.Issue(ctx, t.request)
	var refusal *portal.Refusal
	switch {
	case errors.As(err, &refusal):
		return issuedTest{err: fmt.Errorf("%s gets no test certificate, as no other: %s %s", t.upn, refusal.Reason, refusal.Value)}
	case err != nil:
		return issuedTest{err: err}
	}
	made := &exchangecheck.Client{About: "a test certificate of " + t.upn}
	made.Certificate.Leaf, made.Certificate.PrivateKey = cert, key
	made.Certificate.Certificate = [][]byte{cert.Raw}
	for _, above := range t.ca.Chain(cert) {
		made.Certificate.Certificate = append(made.Certificate.Certificate, above.Raw)
	}
	return issuedTest{cert: cert, client: made}
}

// end revokes the certificate, also after an interrupt or an error. One that cannot be
// revoked ends by itself within ten minutes.
func (t *testSignIn) end(ctx context.Context) []exchangecheck.Finding {
	if t == nil || t.made == nil {
		return nil
	}
	f := exchangecheck.Finding{Code: "test-certificate", What: "test certificate", Tried: "to revoke it", State: portal.FindingFailed}
	if t.got == nil {
		select {
		case got := <-t.made:
			t.got = &got
		case <-time.After(revokeWithin):
			f.Text = "it is not known whether one was issued: the database or the CA does not answer; it would be valid for ten minutes"
			f.Mend = "see the audit log, and revoke what certportal list --person " + t.upn + " shows"
			return []exchangecheck.Finding{f}
		}
	}
	if t.got.cert == nil {
		return nil // the check says why
	}
	serial := fmt.Sprintf("%x", t.got.cert.SerialNumber)
	if err := t.issuer.Revoke(ctx, t.request, t.got.cert, revokeWithin); err != nil {
		f.Text = fmt.Sprintf("it could not be revoked: %v; it ends by itself at %s", err, t.got.cert.NotAfter.UTC().Format("15:04:05 UTC"))
		f.Mend = "certportal revoke --serial " + serial + " --reason withdrawn --comment test"
		return []exchangecheck.Finding{f}
	}
	f.State, f.Text = portal.FindingOK, "issued, recorded and revoked: "+serial+", a running portal lists it within a minute; its key was never written"
	return []exchangecheck.Finding{f}
}

// close closes what was opened, the last first.
func (t *testSignIn) close() {
	if t == nil {
		return
	}
	for n := len(t.closers) - 1; n >= 0; n-- {
		_ = t.closers[n]() // nothing is written that could be lost
	}
}
