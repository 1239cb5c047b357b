package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
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

// authorityDesk is what package admin asks about the CAs.
type authorityDesk struct{ p *App }

// Standing tells how they stand, from memory.
func (d authorityDesk) Status() admin.AuthorityStatus {
	p := d.p
	st := admin.AuthorityStatus{
		Online: p.onlineHealth(), Sealed: p.CA.Sealed != nil, Away: !p.CA.Folder.HoldsRootKey(),
		CAs: []admin.CAStatus{
			{Name: localca.RootName, Certificate: p.CA.Folder.Root()}, {Name: localca.IssuingName, Certificate: p.CA.Folder.Issuing()},
		},
	}
	for _, h := range p.lists.Health() {
		for i := range st.CAs {
			if st.CAs[i].Name == h.Issuer {
				st.CAs[i].Lists = append(st.CAs[i].Lists, h)
			}
		}
	}
	return st
}

// PublishNow makes the next list of an issuer.
func (d authorityDesk) PublishNow(ctx context.Context, issuer string) (crl.List, error) {
	return d.p.lists.PublishNow(ctx, issuer)
}

// trialLife is how long a test certificate would be valid: short, so that it soon
// leaves the lists again.
const trialLife = time.Hour

// trialPatience is how long a revocation may take to be told online.
const trialPatience = 5 * time.Second

// TestIssue issues a certificate for a made-up name under .invalid (RFC 2606 section
// 2), recorded before it is signed like every other, and revokes it. A step that fails
// ends it; what was recorded is revoked in any case.
func (d authorityDesk) TestIssue(ctx context.Context, by audit.Entry) []portal.Finding {
	t := &trial{p: d.p, by: by}
	steps := []struct {
		what string
		do   func(context.Context) (string, error)
	}{
		{"issue", t.issue}, {"verify", t.verify}, {"ask online", t.askBefore}, {"revoke", t.revoke}, {"ask online again", t.askAfter},
	}
	var findings []portal.Finding
	for _, step := range steps {
		began := time.Now()
		text, err := step.do(ctx)
		if err == nil && text == "" {
			continue // there is nothing to ask
		}
		f := found(step.what, err, fmt.Sprintf("%s, in %v", text, time.Since(began).Round(time.Millisecond)))
		findings = append(findings, f)
		if err != nil {
			break
		}
	}
	if err := t.cleanUp(ctx); err != nil {
		findings = append(findings, found("revoke", err, ""))
	}
	return findings
}

// trial is one test certificate on its way.
type trial struct {
	p       *App
	by      audit.Entry
	serial  ca.Serial // zero until it is issued
	cert    *x509.Certificate
	revoked bool
}

func (t *trial) entry(action audit.Action, detail map[string]string) audit.Entry {
	e := t.by
	e.At, e.Action, e.Object, e.Detail = t.p.Now(), action, t.serial.String(), detail
	return e
}

// issue makes key and certificate. The key is gone when it returns.
func (t *trial) issue(ctx context.Context) (string, error) {
	p := t.p
	key, err := ca.ECP256.Generate()
	if err != nil {
		return "", err
	}
	name := trialName()
	cert, err := p.own.IssueOwn(ctx, enroll.OwnRequest{
		Profile: "Test", Key: key.Public(), Entry: t.by, Detail: map[string]string{"names": name},
		Certificate: ca.ServerConfig{
			Names: []string{name}, Validity: trialLife,
			CRLURLs:    []string{localca.CRLURL(p.Public.HTTP, localca.IssuingName)},
			IssuerURLs: []string{localca.CertificateURL(p.Public.HTTP, localca.IssuingName)},
			OCSPURLs:   p.onlineURLs(),
		},
	})
	if err != nil {
		return "", err
	}
	t.cert = cert
	t.serial, err = ca.SerialOf(cert.SerialNumber)
	return fmt.Sprintf("%s, serial %s", name, t.serial), err
}

func trialName() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return "test-" + hex.EncodeToString(random[:]) + ".invalid"
}

// verify builds the chain that others build, to the root they trust.
func (t *trial) verify(context.Context) (string, error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(t.p.CA.Folder.Root())
	for _, cert := range t.p.CA.Chain() {
		between.AddCert(cert)
	}
	_, err := t.cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, DNSName: t.cert.DNSNames[0], CurrentTime: t.p.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return "the chain to the root holds", err
}

// askBefore expects good at the public address.
func (t *trial) askBefore(ctx context.Context) (string, error) {
	if len(t.cert.OCSPServer) == 0 {
		return "", nil
	}
	status, _, err := t.p.askOnline(ctx, t.cert.OCSPServer[0], t.cert)
	if err == nil && status.Status != ocsp.Good {
		err = fmt.Errorf("a certificate just issued is %s", onlineWord(status.Status))
	}
	return "good", err
}

func (t *trial) revoke(ctx context.Context) (string, error) {
	if err := t.end(ctx); err != nil {
		return "", err
	}
	return "recorded; the next list names it", nil
}

// askAfter waits until the public address says revoked.
func (t *trial) askAfter(ctx context.Context) (string, error) {
	if len(t.cert.OCSPServer) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, trialPatience)
	defer cancel()
	for {
		status, _, err := t.p.askOnline(ctx, t.cert.OCSPServer[0], t.cert)
		if err == nil && status.Status == ocsp.Revoked {
			return "revoked", nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("still %s after %v", onlineWord(status.Status), trialPatience)
			}
			return "", err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (t *trial) end(ctx context.Context) error {
	_, err := t.p.DB.Revoke(ctx, enroll.Revocation{
		Serials: []ca.Serial{t.serial}, Cause: portal.Withdrawn, At: t.p.Now(),
		Entry: t.entry(audit.CertificateRevoked, map[string]string{"comment": "test certificate"}),
	})
	if err == nil {
		t.revoked = true
		t.p.revoked()
	}
	return err
}

// cleanUp revokes what a failed step left, even when whoever asked is gone.
func (t *trial) cleanUp(ctx context.Context) error {
	if t.serial.IsZero() || t.revoked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialPatience)
	defer cancel()
	return t.end(ctx)
}
