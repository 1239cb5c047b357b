package doctor

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Status gives the state of both CAs and their CRLs, from memory.
func (d *Doctor) Status() admin.AuthorityStatus {
	st := admin.AuthorityStatus{
		Online: d.c.OCSP(), Sealed: d.c.CA.Ready() != nil && !d.c.CA.Stopped(), Stopped: d.c.CA.Stopped(), Away: !d.c.CA.Folder.HoldsRootKey(), Company: !d.c.CA.Folder.OwnRoot(),
		CAs: []admin.CAStatus{{Name: localca.RootName, Certificate: d.c.CA.Folder.Root()}},
	}
	for _, of := range d.c.CA.Line.All() {
		st.CAs = append(st.CAs, admin.CAStatus{Name: of.Name, Certificate: of.Certificate, State: of.Record.State})
	}
	for _, h := range d.c.Lists.Health() {
		for i := range st.CAs {
			if st.CAs[i].Name == h.Issuer {
				st.CAs[i].Lists = append(st.CAs[i].Lists, h)
			}
		}
	}
	return st
}

// PublishNow issues and publishes the next CRL of an issuer.
func (d *Doctor) PublishNow(ctx context.Context, issuer string) (crl.List, error) {
	if issuer == localca.RootName && !d.c.CA.Folder.OwnRoot() {
		return crl.List{}, portal.ErrNotFound // a company publishes it
	}
	return d.c.Lists.PublishNow(ctx, issuer)
}

// testLife is the validity of a test certificate: short, so that it soon leaves the
// CRLs.
const testLife = time.Hour

// testTimeout bounds the wait until OCSP answers that a test certificate is revoked.
const testTimeout = 5 * time.Second

// TestIssue issues a certificate for a made-up name under .invalid (RFC 2606 section
// 2), recorded before it is signed like every other, and revokes it. A step that fails
// ends it; what was recorded is revoked in any case.
func (d *Doctor) TestIssue(ctx context.Context, by audit.Entry) []portal.Finding {
	t := &testRun{d: d, by: by}
	steps := []struct {
		what string
		do   func(context.Context) (string, error)
	}{
		{"issue", t.issue}, {"verify", t.verify}, {"ask online", t.expectGood}, {"revoke", t.revoke}, {"ask online again", t.expectRevoked},
	}
	var findings []portal.Finding
	for _, step := range steps {
		began := time.Now()
		text, err := step.do(ctx)
		if err == nil && text == "" {
			continue // there is nothing to ask
		}
		f := found(step.what, err, portal.Sentence{Text: fmt.Sprintf("%s, in %v", text, time.Since(began).Round(time.Millisecond))})
		findings = append(findings, f)
		if err != nil {
			break
		}
	}
	if err := t.cleanUp(ctx); err != nil {
		findings = append(findings, found("revoke", err, portal.Sentence{}))
	}
	return findings
}

// testRun is the state of one test issuance.
type testRun struct {
	d       *Doctor
	by      audit.Entry
	serial  ca.Serial // zero until it is issued
	cert    *x509.Certificate
	revoked bool
}

func (t *testRun) entry(action audit.Action, detail map[string]string) audit.Entry {
	e := t.by
	e.At, e.Action, e.Object, e.Detail = t.d.c.Now(), action, t.serial.String(), detail
	return e
}

// issue makes key and certificate. The key is gone when it returns.
func (t *testRun) issue(ctx context.Context) (string, error) {
	d := t.d
	key, err := ca.ECP256.Generate()
	if err != nil {
		return "", err
	}
	name := testName()
	cert, err := d.c.Own.IssueOwn(ctx, enroll.OwnRequest{
		Profile: "Test", Key: key.Public(), Entry: t.by, Detail: map[string]string{"names": name},
		Certificate: ca.ServerConfig{Names: []string{name}, Validity: testLife},
	})
	if err != nil {
		return "", err
	}
	t.cert = cert
	t.serial, err = ca.SerialOf(cert.SerialNumber)
	return fmt.Sprintf("%s, serial %s", name, t.serial), err
}

func testName() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return "test-" + hex.EncodeToString(random[:]) + ".invalid"
}

// verify builds the chain to the root, as a relying party does.
func (t *testRun) verify(context.Context) (string, error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	of, ok := t.d.c.CA.Line.Of(t.cert)
	if !ok {
		return "", errors.New("no issuing CA of this portal signed it")
	}
	roots.AddCert(of.Root())
	for _, cert := range t.d.c.CA.Chain(t.cert) {
		between.AddCert(cert)
	}
	_, err := t.cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, DNSName: t.cert.DNSNames[0], CurrentTime: t.d.c.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return "the chain to the root holds", err
}

// expectGood asks the public OCSP address and expects good.
func (t *testRun) expectGood(ctx context.Context) (string, error) {
	if len(t.cert.OCSPServer) == 0 {
		return "", nil
	}
	status, _, err := t.d.askOCSP(ctx, t.cert.OCSPServer[0], t.cert)
	if err == nil && status.Status != ocsp.Good {
		err = fmt.Errorf("a certificate just issued is %s", statusWord(status.Status))
	}
	return "good", err
}

func (t *testRun) revoke(ctx context.Context) (string, error) {
	if err := t.end(ctx); err != nil {
		return "", err
	}
	return "recorded; the next list names it", nil
}

// expectRevoked asks the public OCSP address until it answers revoked.
func (t *testRun) expectRevoked(ctx context.Context) (string, error) {
	if len(t.cert.OCSPServer) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	for {
		status, _, err := t.d.askOCSP(ctx, t.cert.OCSPServer[0], t.cert)
		if err == nil && status.Status == ocsp.Revoked {
			return "revoked", nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("still %s after %v", statusWord(status.Status), testTimeout)
			}
			return "", err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (t *testRun) end(ctx context.Context) error {
	_, err := t.d.c.DB.Revoke(ctx, enroll.Revocation{
		Serials: []ca.Serial{t.serial}, Cause: portal.Withdrawn, At: t.d.c.Now(),
		Entry: t.entry(audit.CertificateRevoked, map[string]string{"comment": "test certificate"}),
	})
	if err == nil {
		t.revoked = true
		t.d.c.Revoked()
	}
	return err
}

// cleanUp revokes the certificate after a failed step, even when the request ended.
func (t *testRun) cleanUp(ctx context.Context) error {
	if t.serial.IsZero() || t.revoked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), testTimeout)
	defer cancel()
	return t.end(ctx)
}
