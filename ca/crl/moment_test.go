package crl_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"maps"
	"path/filepath"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	engines "certportal/internal/test/testkit/fixture"
)

func TestMain(m *testing.M) { engines.Main(m) }

// moments is a fixture with a responder over the same database, and the moments at which
// certificates were revoked.
type moments struct {
	*fixture
	responder *ocsp.Responder
	want      map[ca.Serial]time.Time
}

func newMoments(t *testing.T, address string, changes ...func(*crl.Config)) *moments {
	t.Helper()
	m := &moments{fixture: fixtureAt(t, address, changes...), want: map[ca.Serial]time.Time{}}
	certify := func(_ context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
		issuer, err := m.issuing()
		if err != nil {
			return nil, err
		}
		p, err := issuer.PrepareOwn(ca.ResponderConfig{Name: "Certificate status"}, key, m.clock())
		if err != nil {
			return nil, err
		}
		return issuer.Sign(p)
	}
	var err error
	m.responder, err = ocsp.New(ocsp.Config{Store: m.db, Issuing: m.hierarchy.Issuing, Certify: certify, Now: m.clock})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ended notes the moment of a revocation in whole seconds, as lists and answers state it.
func (m *moments) ended(at time.Time, serials ...ca.Serial) {
	for _, serial := range serials {
		m.want[serial] = at.Truncate(time.Second)
	}
}

// revokeAt revokes a certificate at a moment of another replica's clock.
func (m *moments) revokeAt(at time.Time, cause portal.Cause) ca.Serial {
	m.t.Helper()
	serial := m.reserve()
	_, err := m.db.Revoke(m.t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: cause, At: at,
		Entry: audit.Entry{At: at, Action: audit.CertificateRevoked, Actor: "test"},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return serial
}

// replay restores revocations, as from a journal.
func (m *moments) replay(records ...crl.Record) {
	m.t.Helper()
	if _, err := m.db.Replay(m.t.Context(), records, m.clock()); err != nil {
		m.t.Fatal(err)
	}
}

// answered gives the revocationTime of an OCSP answer.
func (m *moments) answered(serial ca.Serial) time.Time {
	m.t.Helper()
	leaf := &x509.Certificate{SerialNumber: serial.Big()}
	request, err := xocsp.CreateRequest(leaf, m.hierarchy.Issuing, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	got, err := xocsp.ParseResponseForCert(m.responder.Respond(m.t.Context(), request).DER, leaf, m.hierarchy.Issuing)
	if err != nil || got.Status != xocsp.Revoked {
		m.t.Fatalf("%s: %+v, %v", serial, got, err)
	}
	return got.RevokedAt
}

// check makes what is due and compares the lists and the answers with the moments. Each of
// lists must have all revocations.
func (m *moments) check(when string, lists ...string) {
	m.t.Helper()
	m.refresh()
	if err := m.responder.Refresh(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	for _, name := range lists {
		l, parsed := m.list(name)
		missing := maps.Clone(m.want)
		for _, e := range parsed.RevokedCertificateEntries {
			serial, err := ca.SerialOf(e.SerialNumber)
			if err != nil {
				m.t.Fatal(err)
			}
			if want := m.want[serial]; !e.RevocationTime.Equal(want) {
				m.t.Errorf("%s: list %s of %s: entry %s at %s, want %s", when, name, l.ThisUpdate, serial, e.RevocationTime, want)
			}
			delete(missing, serial)
		}
		if len(missing) > 0 {
			m.t.Errorf("%s: list %s lacks %v", when, name, missing)
		}
	}
	for serial, want := range m.want {
		if got := m.answered(serial); !got.Equal(want) {
			m.t.Errorf("%s: OCSP: %s at %s, want %s", when, serial, got, want)
		}
	}
}

// TestC4_ListsAndAnswersNameTheMoment makes several lists over time: the revocationDate of
// an entry is the moment of the revocation in each of them, although thisUpdate is
// backdated to before it, and the revocationTime of OCSP is the same.
func TestC4_ListsAndAnswersNameTheMoment(t *testing.T) {
	for name, test := range map[string]struct {
		changes []func(*crl.Config)
		lists   []string
	}{
		"complete": {nil, []string{"issuing"}},
		"delta":    {[]func(*crl.Config){withDeltas}, []string{"issuing-delta"}},
	} {
		t.Run(name, func(t *testing.T) {
			engines.OnBothEngines(t, func(t *testing.T, address string) {
				m := newMoments(t, address, test.changes...)
				m.refresh()
				m.refresh()
				for _, step := range []time.Duration{700 * time.Millisecond, time.Second, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute} {
					m.pass(step)
					now := m.clock()
					m.ended(now, m.revokeAt(now, portal.Removed), m.revokeAt(now, portal.Abandoned))
					m.check("at once", test.lists...)
				}
				m.replayed()
				m.check("restored", test.lists...)
				// A replica whose clock is ahead.
				ahead := m.clock().Add(3 * time.Minute)
				m.ended(ahead, m.revokeAt(ahead, portal.Lost))
				m.check("by a clock ahead", test.lists...)
				m.pass(7 * time.Hour)
				m.check("hours later", append(test.lists, "issuing")...)
				m.pass(30 * time.Hour)
				m.check("a day later", append(test.lists, "issuing")...)
			})
		})
	}
}

// replayed restores a revocation of a certificate on record and of one that is not.
func (m *moments) replayed() {
	m.t.Helper()
	past := m.clock().Add(-40 * time.Hour)
	known, unknown := m.reserve(), m.reserve()
	gone, err := ca.NewSerial(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	m.replay(
		crl.Record{Issuer: "issuing", Serial: known, Revoked: past, Reason: 1},
		crl.Record{Issuer: "issuing", Serial: gone, NotAfter: m.clock().AddDate(1, 0, 0)},
	)
	m.ended(past, known)
	m.ended(m.clock(), gone)
	m.ended(m.clock(), m.revoke(unknown))
}

// A list restores the moments that its entries name.
func TestC4_ListsRestoreTheMoment(t *testing.T) {
	folder := &crl.Folder{Path: t.TempDir()}
	o := newFixture(t, func(c *crl.Config) { c.Targets = []crl.Target{folder} })
	folder.Signers = o.signers
	o.pass(200 * time.Millisecond)
	serial := o.revokeNew()
	at := o.clock()
	o.refresh()
	l, _ := o.CRL("issuing")
	if _, err := folder.Put(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	m := newMoments(t, filepath.Join(t.TempDir(), "older.db"))
	m.hierarchy = o.hierarchy
	m.pass(time.Hour)
	if n, err := folder.Recover(t.Context(), m.db, nil, m.clock()); err != nil || n != 1 {
		t.Fatalf("restored %d, %v", n, err)
	}
	status, err := m.db.Status(t.Context(), serial)
	if err != nil || !status.At.Equal(at.Truncate(time.Second)) {
		t.Errorf("restored as of %s, %v, want %s", status.At, err, at)
	}
}

// TestF8_RevokedByAWrongClock records a revocation a day ahead: lists are still made, and
// neither they nor the answers name a time until which a client would accept the
// certificate.
func TestF8_RevokedByAWrongClock(t *testing.T) {
	m := newMoments(t, filepath.Join(t.TempDir(), "portal.db"))
	m.refresh()
	tomorrow := m.clock().Add(day)
	serial := m.revokeAt(tomorrow, portal.Lost)
	m.ended(m.clock(), serial)
	m.check("a day before it", "issuing")
	m.pass(day + time.Hour)
	m.ended(tomorrow, serial)
	m.check("after it", "issuing")
}
