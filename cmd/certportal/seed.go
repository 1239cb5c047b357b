package main

import (
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
	"certportal/store/seed"
)

type seedCommand struct {
	Certificates int `default:"1000000" help:"How many certificates to make up."`
}

// Run fills an empty database with made-up people, so that lists and searches can be
// tried at the size of an installation of years. Their certificates are copies of a
// few that a throwaway CA prepared: no signature verifies, and nothing opens with them.
func (c seedCommand) Run(i *invocation) error {
	if c.Certificates < 1 || c.Certificates > 10_000_000 {
		return usageError("--certificates: choose 1 to 10000000")
	}
	s, err := i.settings()
	if err != nil {
		return err
	}
	db, err := i.program().OpenBeside(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	bodies, err := newBodyMaker(time.Now())
	if err != nil {
		return err
	}
	began, told := time.Now(), time.Now()
	err = seed.Fill(i.ctx, db, seed.Config{
		Certificates: c.Certificates, Now: began, Template: bodies.body,
		Progress: func(written int) {
			if time.Since(told) < 5*time.Second {
				return
			}
			told = time.Now()
			fmt.Fprintf(i.io.err, "%d entries written\n", written)
		},
	})
	if errors.Is(err, seed.ErrNotEmpty) {
		return errors.New("there are people in this database already: seed makes up an installation of its own; name an empty folder with --data")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "%d certificates made up in %v\n", c.Certificates, time.Since(began).Round(time.Second))
	return err
}

// bodyMaker makes the certificates that the made-up ones are copies of.
type bodyMaker struct {
	issuer  *ca.Issuer
	profile *ca.Profile
	now     time.Time
}

func newBodyMaker(now time.Time) (*bodyMaker, error) {
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Seed", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, now)
	if err != nil {
		return nil, err
	}
	m := &bodyMaker{now: now}
	if m.issuer, err = ca.NewIssuer(ca.IssuerConfig{
		Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.Publication{CRLURLs: []string{"http://seed.example/crl/issuing.crl"}},
	}); err != nil {
		return nil, err
	}
	m.profile, err = ca.NewProfile(ca.ProfileConfig{Name: "User"})
	return m, err
}

// body makes the certificate for names of a length. The name occurs nowhere
// else in the certificate.
func (m *bodyMaker) body(length int) (seed.Template, error) {
	const tail = "@seed.example"
	upn := strings.Repeat("q", max(length-len(tail), 1)) + tail
	const sid = "S-1-5-21-1000000000-2000000000-3000000000-9999999"
	key, err := ca.RSA2048.Generate()
	if err != nil {
		return seed.Template{}, err
	}
	prepared, err := m.issuer.Prepare(m.profile, ca.Subject{UPN: upn, SID: sid, Mail: upn}, key.Public(), m.now)
	if err != nil {
		return seed.Template{}, err
	}
	raw, err := withoutSignature(prepared.TBS())
	if err != nil {
		return seed.Template{}, err
	}
	const utcTime = "060102150405Z"
	return seed.Template{
		DER: raw, Serial: prepared.Serial().Big().Bytes(), UPN: []byte(upn), SID: []byte(sid),
		NotBefore: []byte(prepared.NotBefore().UTC().Format(utcTime)), NotAfter: []byte(prepared.NotAfter().UTC().Format(utcTime)),
	}, nil
}

// withoutSignature completes a TBSCertificate of a P-256 issuer (RFC 5280 section 4.1)
// with zeros in the place and of the length of a signature. No issuer signs outside
// package enroll, and the copies would not verify anyway.
func withoutSignature(tbs []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}) // ecdsa-with-SHA256
		})
		b.AddASN1BitString(make([]byte, 71))
	})
	return b.Bytes()
}
