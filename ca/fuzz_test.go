package ca_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"certportal/ca"
)

func FuzzDecryptKey(f *testing.F) {
	good, err := ca.EncryptKey(ca.FixtureKey(f, "user-ec"), []byte("correct horse"))
	if err != nil {
		f.Fatal(err)
	}
	// Decryption takes a tenth of a second, so the seeds are refused before it.
	f.Add(bytes.Replace(good, []byte("Memory: 65536"), []byte("Memory: 99999999"), 1))
	f.Add(bytes.Replace(good, []byte("Passes: 3"), []byte("Passes: 0"), 1))
	f.Add(bytes.Replace(good, []byte("argon2id"), []byte("scrypt"), 1))
	f.Add([]byte("-----BEGIN CERTPORTAL SEALED KEY-----\nKdf: argon2id\n\n-----END CERTPORTAL SEALED KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := ca.DecryptKey(file, []byte("another"))
		if err == nil || key != nil {
			t.Errorf("opened without the passphrase: %q", file)
		}
	})
}

func FuzzParseSerial(f *testing.F) {
	for _, text := range []string{"4d48", "0x4D:48", "00 01", "", "-1", "ffffffffffffffffffffffffffffffffffffffff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ca.ParseSerial(text)
		if err != nil {
			if !errors.Is(err, ca.ErrSerial) || !s.IsZero() {
				t.Errorf("got %s and %v", s, err)
			}
			return
		}
		again, err := ca.ParseSerial(s.String())
		if err != nil || again != s {
			t.Errorf("%q: got %s and %v, want %s", text, again, err, s)
		}
		if of, err := ca.SerialOf(s.Big()); err != nil || of != s {
			t.Errorf("%q: got %s and %v, want %s", text, of, err, s)
		}
		if s.Big().Sign() <= 0 || s.Big().BitLen() > 160 {
			t.Errorf("%q: got %s out of bounds", text, s)
		}
	})
}

func FuzzParseAnchors(f *testing.F) {
	h := ca.FixtureHierarchy(f, "ec")
	f.Add(ca.PEM(h.Root, h.Issuing))
	f.Add(h.Root.Raw)
	f.Add([]byte("\xef\xbb\xbf-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		certs, err := ca.ParseAnchors(file)
		if (err == nil) != (len(certs) > 0) {
			t.Fatalf("got %d certificates and %v", len(certs), err)
		}
		if err != nil {
			return
		}
		again, err := ca.ParseAnchors(ca.PEM(certs...))
		if err != nil || len(again) != len(certs) {
			t.Errorf("got %d certificates and %v, want %d", len(again), err, len(certs))
		}
	})
}

// FuzzSubject checks that directory data is either refused or can be read from the
// certificate as the same text.
func FuzzSubject(f *testing.F) {
	s := ca.FixtureSubject()
	f.Add(s.UPN, s.Mail, s.SID)
	f.Add("jürgen@müller.example", "", "")
	f.Add("a@b", "a.b+c@d.example", "S-1-5-21-0-0-0-4294967295")
	f.Add("&#64;@x", "x@y", "S-1-5-21-1-2-3")
	issuer, profile, pub := ca.FixtureIssuer(f, "ec"), ca.FixtureProfile(f), ca.FixtureKey(f, "user-ec").Public()
	f.Fuzz(func(t *testing.T, upn, mail, sid string) {
		s := ca.Subject{UPN: upn, Mail: mail, SID: sid}
		p, err := issuer.Prepare(profile, s, pub, ca.FixtureNow())
		if err != nil {
			var subject *ca.SubjectError
			var lints *ca.LintError
			if !errors.As(err, &subject) && !errors.As(err, &lints) {
				t.Errorf("%q: got %v", s, err)
			}
			return
		}
		cert, err := issuer.Sign(p)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Subject.CommonName != upn {
			t.Errorf("common name: got %q, want %q", cert.Subject.CommonName, upn)
		}
		got := readSubject(t, cert.Extensions[len(cert.Extensions)-1:], cert.EmailAddresses)
		if got.Mail != mail || (sid != "" && got.SID != sid) {
			t.Errorf("got %q, want %q", got, s)
		}
	})
}

// readSubject reads the SID extension with encoding/asn1, independently of the
// builder.
func readSubject(t *testing.T, last []pkix.Extension, mails []string) ca.Subject {
	t.Helper()
	var s ca.Subject
	if len(mails) == 1 {
		s.Mail = mails[0]
	}
	if last[0].Id.String() != "1.3.6.1.4.1.311.25.2" {
		return s
	}
	var names []struct {
		ID    asn1.ObjectIdentifier
		Value []byte `asn1:"tag:0,explicit"`
	}
	// The element's own tag is [0] in place of SEQUENCE.
	value := bytes.Clone(last[0].Value)
	value[2] = 0x30
	if rest, err := asn1.Unmarshal(value, &names); err != nil || len(rest) > 0 || len(names) != 1 {
		t.Fatalf("SID extension %x: %v", last[0].Value, err)
	}
	s.SID = string(names[0].Value)
	return s
}

// The file in the folder of published lists may have any content.
func FuzzReadCRL(f *testing.F) {
	issuer := ca.FixtureIssuer(f, "ec")
	for _, change := range []func(*ca.CRLConfig){announced, adding, func(*ca.CRLConfig) {}} {
		cfg := listOf(f, manyRevoked(f, 3)...)
		change(&cfg)
		raw, err := issuer.CRL(cfg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		crl, err := ca.ReadCRL(raw, issuer.Certificate())
		if err != nil {
			return
		}
		if _, err := crl.Count(); err != nil || crl.Number.IsZero() {
			t.Errorf("a signed list cannot be read: %v", err)
		}
	})
}

// The addresses in the company's certificates may answer anything.
func FuzzReadForeignCRL(f *testing.F) {
	issuer := ca.FixtureIssuer(f, "ec")
	for _, change := range []func(*ca.CRLConfig){announced, adding, func(*ca.CRLConfig) {}} {
		cfg := listOf(f, manyRevoked(f, 3)...)
		change(&cfg)
		raw, err := issuer.CRL(cfg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		crl, err := ca.ReadForeignCRL(raw, issuer.Certificate())
		if err != nil {
			return
		}
		if _, err := crl.Find(big.NewInt(3)); err != nil || crl.NextUpdate.IsZero() {
			t.Errorf("a signed list cannot be read: %v", err)
		}
	})
}

// FuzzScope reads the octets as both extensions that name distribution points.
func FuzzScope(f *testing.F) {
	f.Add(ca.FixtureHierarchy(f, "ec").Issuing.Extensions[6].Value)
	f.Add([]byte("\x30\x11\x30\x0f\xa0\x0d\xa0\x0b\x86\x09http://a/"))
	f.Add([]byte("\x30\x0d\xa0\x0b\xa0\x09\x86\x07http://\x82\x01\xff\x83\x02\x07\x80"))
	f.Fuzz(func(t *testing.T, value []byte) {
		points, scope := ca.FixturePoints(value)
		for n := range points {
			if len(points[n].Addresses) > len(value) || points[n].Reasons&^ca.AllReasons != 0 {
				t.Errorf("got %+v", points[n])
			}
		}
		if scope != nil && scope.Reasons&^ca.AllReasons != 0 {
			t.Errorf("got %+v", scope)
		}
	})
}
