package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca/fetch"
	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const listPath = "/company.crl"

// listed is a portal whose CA elsewhere publishes lists.
type listed struct {
	*elsewhere
	lists *fixture.UpstreamLists
}

func newListed(t *testing.T, address string) *listed {
	e := newElsewhere(t, address)
	e.Registrar = e.NewRegistrar(func(c *enroll.Config) {
		c.Lists = &fetch.Client{Timeout: 5 * time.Second} // of an address that does not end
	})
	return &listed{e, e.company.Lists(listPath)}
}

// look lets an hour pass, so that the lists are due.
func (l *listed) look() {
	l.T.Helper()
	l.Clock.Advance(time.Hour)
	l.follow()
}

// follow carries out revocations and looks at lists, and ends nothing that waits for its
// download.
func (l *listed) follow() {
	l.T.Helper()
	testkit.NoError(l.T, l.SweepUpstream(l.T.Context()))
}

// blocked makes a certificate and blocks it. The CA can revoke by hand only, unless it confirms.
func (l *listed) blocked(confirms bool) enroll.Enrolment {
	l.T.Helper()
	if !confirms {
		l.company.OnRevoke = func() error { return upstream.ErrUnsupported }
	}
	done := l.enroll("Phone", "form")
	testkit.NoError(l.T, l.Block(l.T.Context(), l.actor(), enroll.Block{Person: l.anna.ID, Device: done.Device, Cause: portal.Lost}))
	return done
}

func (l *listed) of(done enroll.Enrolment) portal.Certificate {
	l.T.Helper()
	return l.device(done.Device).Certificate
}

// list gives what is recorded of the only list.
func (l *listed) list() enroll.UpstreamList {
	l.T.Helper()
	all := testkit.Must(l.DB.UpstreamLists(l.T.Context()))(l.T)
	if len(all) != 1 {
		l.T.Fatalf("%d lists are recorded: %+v", len(all), all)
	}
	return all[0]
}

// entries are those of the audit log with an action.
func (l *listed) entries(of audit.Action) []audit.Entry {
	l.T.Helper()
	return slices.DeleteFunc(l.Entries(), func(e audit.Entry) bool { return e.Action != of })
}

func (l *listed) trouble() enroll.UpstreamTrouble {
	l.T.Helper()
	return testkit.Must(l.DB.UpstreamTrouble(l.T.Context(), l.Clock.Now()))(l.T)
}

// A list of the CA settles what its protocol cannot confirm, and is recorded.
func TestF13_UpstreamListSettlesARevocation(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		l := newListed(t, address)
		done := l.blocked(false)
		l.lists.Publish(listPath, 7)
		without := l.Clock.Now()
		l.look()
		if c := l.of(done); !c.Confirmed.IsZero() || !c.Named.IsZero() || !c.Absent.Equal(without) || !c.AbsentUntil.Equal(without.Add(7*24*time.Hour)) {
			t.Fatalf("with a list that does not name it: %+v", c)
		}
		l.lists.Publish(listPath, 8, fixture.Names(done.Serial.Big(), 1))
		from := l.Clock.Now()
		l.look()
		c := l.of(done)
		if !c.Confirmed.Equal(l.Clock.Now()) || !c.Named.Equal(from) || !c.Absent.IsZero() || !c.AbsentUntil.Equal(without.Add(7*24*time.Hour)) {
			t.Errorf("with a list that names it: %+v", c)
		}
		if open := testkit.Must(l.DB.UpstreamRevocations(t.Context(), 9))(t); len(open) != 0 {
			t.Errorf("still open: %+v", open)
		}
		entries := l.entries(audit.UpstreamRevoked)
		if len(entries) != 1 || entries[0].Detail["by"] != "list" || entries[0].Detail["number"] != "8" || entries[0].Detail["list"] != l.lists.URL+listPath {
			t.Errorf("audit log says %+v", entries)
		}
		if list := l.list(); list.Number != "8" || list.Problem != "" || !list.ThisUpdate.Equal(from) {
			t.Errorf("recorded of the list: %+v", list)
		}
	})
}

// What the CA confirmed is not in its list: at first that is usual, later it is an alert, and
// so is a name that leaves the list again.
func TestF13_ConfirmedButInNoList(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	l.lists.Publish(listPath, 7)
	done := l.blocked(true)
	l.look()
	if c := l.of(done); c.Confirmed.IsZero() || c.Absent.IsZero() || l.trouble().Unlisted != 0 {
		t.Fatalf("with the list from before: %+v, trouble %+v", c, l.trouble())
	}
	l.Clock.Advance(time.Hour)
	l.lists.Publish(listPath, 8)
	l.look()
	if got := l.trouble(); got.Unlisted != 1 || !got.UnlistedSince.Equal(l.of(done).Confirmed) {
		t.Errorf("a later list does not name it, trouble is %+v", got)
	}
	l.lists.Publish(listPath, 9, fixture.Names(done.Serial.Big(), 1))
	l.look()
	if l.trouble().Unlisted != 0 {
		t.Error("a list names it, and it counts as missing")
	}
	l.lists.Publish(listPath, 10)
	l.look()
	if c := l.of(done); l.trouble().Unlisted != 1 || c.Named.IsZero() || c.Absent.IsZero() {
		t.Errorf("it is in the list no more: %+v", c)
	}
}

// TestF14_HostSaysRevokedAndNoListNamesIt: what the host of a CA reported as revoked is offered
// to it again when a later list does not name it. A word of the CA or of an operator stays.
func TestF14_HostSaysRevokedAndNoListNamesIt(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		l := newListed(t, address)
		l.lists.Publish(listPath, 7)
		done := l.blocked(false)
		l.follow()
		open := func() int {
			t.Helper()
			return len(testkit.Must(l.DB.OpenRevocations(t.Context(), "upstream-company", l.Clock.Now(), 9))(t))
		}
		report := func() {
			t.Helper()
			entry := portal.Revoker("company").Entry(l.Clock.Now(), audit.UpstreamRevoked)
			testkit.NoError(t, l.DB.NoteRevokerReport(t.Context(), "upstream-company", enroll.RevokerReport{Serial: done.Serial, Revoked: true}, entry))
		}
		report()
		l.look()
		if open() != 0 {
			t.Fatal("it is open again with the list from before")
		}
		l.lists.Publish(listPath, 8)
		l.look()
		if got := l.entries(audit.UpstreamNotRevoked); open() != 1 || !l.of(done).Confirmed.IsZero() || len(got) != 1 || got[0].Object != done.Serial.String() || got[0].Detail["by"] != "list" {
			t.Fatalf("open %d, confirmed %s, audit log says %+v", open(), l.of(done).Confirmed, got)
		}
		if got := l.trouble(); got.Unrevoked != 1 || got.Unlisted != 0 {
			t.Errorf("trouble: %+v", got)
		}
		report()
		l.lists.Publish(listPath, 9, fixture.Names(done.Serial.Big(), 1))
		l.look()
		if got := l.trouble(); open() != 0 || l.of(done).Named.IsZero() || got.Unrevoked+got.Unlisted != 0 || len(l.entries(audit.UpstreamNotRevoked)) != 1 {
			t.Errorf("a list names it: %+v, trouble %+v", l.of(done), got)
		}
	})
}

// A certificate that the CA revoked by itself is ended here too, with the CA as the actor. A
// hold is made final, or it would end unseen.
func TestF14_CARevokesByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		reason int
		asked  bool // the CA, to revoke
	}{"for good": {1, false}, "hold": {6, true}} {
		t.Run(name, func(t *testing.T) {
			fixture.OnBothEngines(t, func(t *testing.T, address string) {
				l := newListed(t, address)
				done := l.enroll("Phone", "form")
				stays := l.enroll("Tablet", "other")
				l.lists.Publish(listPath, 7, fixture.Names(done.Serial.Big(), tt.reason))
				l.look()
				c := l.of(done)
				if c.Status != portal.Revoked || c.Cause != portal.ByAuthority || c.Named.IsZero() || c.Confirmed.IsZero() == !tt.asked {
					t.Fatalf("certificate: %+v", c)
				}
				if l.of(stays).Status == portal.Revoked {
					t.Error("another certificate was ended")
				}
				revoked := l.entries(audit.CertificateRevoked)
				if len(revoked) != 1 || revoked[0].Actor != "upstream-company" || !strings.Contains(revoked[0].Detail["comment"], "the list 7 of ") {
					t.Errorf("audit log says %+v", revoked)
				}
				if got := l.trouble(); got.ByAuthority != 1 {
					t.Errorf("trouble: %+v", got)
				}
				l.follow()
				if _, asked := l.company.Revoked()[done.Serial.Big().String()]; asked != tt.asked || l.of(done).Confirmed.IsZero() {
					t.Errorf("the CA was asked to revoke: %v", asked)
				}
			})
		})
	}
}

// Nothing that is not a good list of this CA settles a revocation or ends a certificate, and
// the list is reported.
func TestF14_HostileLists(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc
		problem string
	}{
		{"another CA's", func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc {
			return content(fixture.NewUpstreamCA(l.T, l.Clock.Now).List(9, names))
		}, enroll.UpstreamListInvalid},
		{"of certificates of CAs only", func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc {
			return content(l.company.List(9, names, scoped(0x82, 1, 0xff)))
		}, ""},
		{"for some reasons", func(l *listed, _ func(*x509.RevocationList)) http.HandlerFunc {
			return content(l.company.List(9, scoped(0x83, 2, 5, 0x60)))
		}, ""},
		{"indirect", func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc {
			return content(l.company.List(9, names, scoped(0x84, 1, 0xff)))
		}, enroll.UpstreamListInvalid},
		{"a delta list in the place of the complete one", func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc {
			return content(l.company.List(9, names, deltaTo(8)))
		}, enroll.UpstreamListInvalid},
		{"of tomorrow", func(l *listed, names func(*x509.RevocationList)) http.HandlerFunc {
			return content(l.company.List(9, names, func(r *x509.RevocationList) { r.ThisUpdate = l.Clock.Now().Add(24 * time.Hour) }))
		}, enroll.UpstreamListInvalid},
		{"gzip", func(*listed, func(*x509.RevocationList)) http.HandlerFunc {
			return content([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0})
		}, enroll.UpstreamListInvalid},
		{"a page", func(*listed, func(*x509.RevocationList)) http.HandlerFunc {
			return content([]byte("<html>Sign in</html>"))
		}, enroll.UpstreamListUnreachable},
		{"10 MB", func(*listed, func(*x509.RevocationList)) http.HandlerFunc {
			return content(make([]byte, 10<<20))
		}, enroll.UpstreamListInvalid},
		{"never ending", func(*listed, func(*x509.RevocationList)) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		}, enroll.UpstreamListUnreachable},
		{"redirected to a file", func(*listed, func(*x509.RevocationList)) http.HandlerFunc {
			return http.RedirectHandler("file:///etc/passwd", http.StatusFound).ServeHTTP
		}, enroll.UpstreamListUnreachable},
		{"not there", func(*listed, func(*x509.RevocationList)) http.HandlerFunc { return http.NotFound }, enroll.UpstreamListUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newListed(t, fixture.SQLite(t))
			done := l.blocked(false)
			valid := l.enroll("Tablet", "other")
			both := func(r *x509.RevocationList) {
				fixture.Names(done.Serial.Big(), 1)(r)
				fixture.Names(valid.Serial.Big(), 1)(r)
			}
			l.lists.Handle(listPath, tt.answer(l, both))
			l.look()
			if c := l.of(done); !c.Confirmed.IsZero() || !c.Named.IsZero() || !c.Absent.IsZero() {
				t.Errorf("it says about the blocked certificate: %+v", c)
			}
			if l.of(valid).Status != portal.Issued {
				t.Error("it ended a valid certificate")
			}
			list := l.list()
			if list.Problem != tt.problem || !list.Needed || list.Detail == "" || (list.Problem != "") == list.Failing.IsZero() {
				t.Errorf("recorded: %+v", list)
			}
			if strings.Contains(list.Detail, "passwd") || strings.Contains(list.Detail, "Sign in") {
				t.Errorf("it repeats what it was answered: %s", list.Detail)
			}
		})
	}
}

func content(of []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(of) }
}

// scoped adds an IssuingDistributionPoint with one field.
func scoped(field ...byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(field))}, field...),
		})
	}
}

func deltaTo(base byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}})
	}
}

// An older list in the place of a newer one takes nothing back, and is reported.
func TestF14_ReplayedList(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	done := l.blocked(false)
	old := l.company.List(7)
	l.Clock.Advance(time.Hour)
	l.lists.Publish(listPath, 8, fixture.Names(done.Serial.Big(), 1))
	l.look()
	l.lists.Put(listPath, old)
	l.look()
	if c := l.of(done); c.Named.IsZero() || !c.Absent.IsZero() {
		t.Errorf("after the older list: %+v", c)
	}
	if list := l.list(); list.Problem != enroll.UpstreamListOutdated || list.Number != "8" || !strings.Contains(list.Detail, "a newer list than number 7") {
		t.Errorf("recorded: %+v", list)
	}
	l.Clock.Advance(7 * 24 * time.Hour)
	l.look()
	if list := l.list(); list.Problem != enroll.UpstreamListInvalid {
		t.Errorf("recorded once the older list has ended: %+v", list)
	}
}

// A list of something else is not what later lists are compared with.
func TestF14_ListOutOfScopeIsNotTheNewest(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	done := l.blocked(false)
	l.lists.Publish(listPath, 99, scoped(0x82, 1, 0xff), func(r *x509.RevocationList) {
		r.ThisUpdate, r.NextUpdate = r.ThisUpdate.AddDate(1, 0, 0), r.NextUpdate.AddDate(2, 0, 0)
	})
	l.look()
	l.lists.Publish(listPath, 7)
	l.look()
	if list := l.list(); list.Problem != "" || list.Number != "7" || l.of(done).Absent.IsZero() {
		t.Errorf("recorded: %+v", list)
	}
}

// An expired list still proves what it names, and is reported.
func TestF14_ExpiredListNames(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	done := l.blocked(false)
	l.lists.Publish(listPath, 7, fixture.Names(done.Serial.Big(), 1))
	l.Clock.Advance(8 * 24 * time.Hour)
	l.look()
	if c := l.of(done); c.Named.IsZero() || c.Confirmed.IsZero() {
		t.Errorf("certificate: %+v", c)
	}
	if list := l.list(); list.Problem != enroll.UpstreamListExpired || !list.Needed {
		t.Errorf("recorded: %+v", list)
	}
}

// freshest names the address of a delta list.
func (l *listed) freshest(list *x509.RevocationList) {
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(l.lists.URL + "/delta.crl")}
	full := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: testkit.Must(asn1.Marshal(name))(l.T)}
	point := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: testkit.Must(asn1.Marshal(full))(l.T)}
	list.ExtraExtensions = append(list.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: testkit.Must(asn1.Marshal([][]asn1.RawValue{{point}}))(l.T),
	})
}

// A delta list that the complete one names has what is newest. One that adds to a list that
// is not there is reported.
func TestUpstreamDeltaList(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	done := l.blocked(false)
	l.lists.Publish(listPath, 7, l.freshest)
	l.lists.Publish("/delta.crl", 9, deltaTo(8), fixture.Names(done.Serial.Big(), 1))
	l.look()
	if c := l.of(done); !c.Named.IsZero() {
		t.Errorf("a delta list without its complete list names it: %+v", c)
	}
	all := testkit.Must(l.DB.UpstreamLists(t.Context()))(t)
	if len(all) != 2 || all[1].Problem != enroll.UpstreamListInvalid || !strings.Contains(all[1].Detail, "adds to the list with number 8") {
		t.Errorf("recorded: %+v", all)
	}
	l.lists.Publish("/delta.crl", 9, deltaTo(7), fixture.Names(done.Serial.Big(), 1))
	l.look()
	if c := l.of(done); c.Named.IsZero() || c.Confirmed.IsZero() || !c.Absent.IsZero() {
		t.Errorf("certificate: %+v", c)
	}
}

// Serials of 20 octets are found among those of certificates that the portal does not know.
func TestUpstreamListWithLongSerials(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	names := l.company.Alter
	long := new(big.Int).Lsh(big.NewInt(0x7f), 152)
	l.company.Alter = func(c *x509.Certificate) { names(c); c.SerialNumber = long }
	done := l.blocked(false)
	l.lists.Publish(listPath, 7, func(r *x509.RevocationList) {
		for i := range 1000 {
			fixture.Names(new(big.Int).Add(long, big.NewInt(int64(i))), 1)(r)
		}
	})
	l.look()
	if c := l.of(done); c.Serial.Big().Cmp(long) != 0 || c.Named.IsZero() {
		t.Errorf("certificate: %+v", c)
	}
}

// Where no list can be had, the OCSP responder of the CA is asked, and no other is
// believed.
func TestF14_UpstreamAnswersOnline(t *testing.T) {
	stranger := testkit.ECKey(t)
	for _, tt := range []struct {
		name   string
		change func(l *listed, said *ocsp.Response) []byte
		named  bool
	}{
		{"revoked", func(l *listed, said *ocsp.Response) []byte { return l.company.Answer(*said, nil, nil) }, true},
		{"revoked, by a responder of the CA", func(l *listed, said *ocsp.Response) []byte {
			by := l.company.Below(&x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "OCSP"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, stranger.Public())
			return l.company.Answer(*said, by, stranger)
		}, true},
		{"revoked, by a person of the CA", func(l *listed, said *ocsp.Response) []byte {
			by := l.company.Below(&x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "eve"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, stranger.Public())
			return l.company.Answer(*said, by, stranger)
		}, false},
		{"revoked, by another CA", func(l *listed, said *ocsp.Response) []byte {
			return fixture.NewUpstreamCA(l.T, l.Clock.Now).Answer(*said, nil, nil)
		}, false},
		{"revoked, an answer that ended", func(l *listed, said *ocsp.Response) []byte {
			said.NextUpdate = l.Clock.Now().Add(-time.Minute)
			return l.company.Answer(*said, nil, nil)
		}, false},
		{"revoked, another serial", func(l *listed, said *ocsp.Response) []byte {
			said.SerialNumber = big.NewInt(77)
			return l.company.Answer(*said, nil, nil)
		}, false},
		{"unknown", func(l *listed, said *ocsp.Response) []byte {
			said.Status = ocsp.Unknown
			return l.company.Answer(*said, nil, nil)
		}, false},
		{"hold", func(l *listed, said *ocsp.Response) []byte {
			said.RevocationReason = 6
			return l.company.Answer(*said, nil, nil)
		}, false},
		{"garbage", func(*listed, *ocsp.Response) []byte { return []byte{0x30, 3, 10, 1, 6} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newListed(t, fixture.SQLite(t))
			names := l.company.Alter
			l.company.Alter = func(c *x509.Certificate) { names(c); c.OCSPServer = []string{l.lists.URL + "/ocsp"} }
			done := l.blocked(false)
			l.Clock.Advance(time.Hour)
			now := l.Clock.Now()
			l.lists.Put("/ocsp", tt.change(l, &ocsp.Response{
				Status: ocsp.Revoked, SerialNumber: done.Serial.Big(), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour), RevokedAt: now, RevocationReason: 1,
			}))
			l.follow()
			if c := l.of(done); c.Named.IsZero() == tt.named || c.Confirmed.IsZero() == tt.named {
				t.Errorf("certificate: %+v", c)
			}
			if l.lists.Asked("/ocsp") != 1 {
				t.Errorf("asked %d times", l.lists.Asked("/ocsp"))
			}
		})
	}
}

// Replicas look once together, and each time that it is due.
func TestUpstreamListsAreSharedByReplicas(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		l := newListed(t, address)
		l.lists.Publish(listPath, 7)
		l.enroll("Phone", "form")
		other := l.NewRegistrar(func(*enroll.Config) {})
		for range 3 {
			testkit.NoError(t, errors.Join(l.SweepUpstream(t.Context()), other.SweepUpstream(t.Context())))
		}
		if n := l.lists.Asked(listPath); n != 1 {
			t.Errorf("the list was fetched %d times", n)
		}
		l.Clock.Advance(31 * time.Minute)
		testkit.NoError(t, errors.Join(l.SweepUpstream(t.Context()), other.SweepUpstream(t.Context())))
		if n := l.lists.Asked(listPath); n != 2 {
			t.Errorf("the list was fetched %d times after half an hour", n)
		}
	})
}

// Addresses in LDAP are recorded as not followed: no alarm, and nothing is claimed.
func TestUpstreamListInLDAPIsNotFollowed(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	l.company.Alter = func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"ldap:///CN=Company%20CA,CN=CDP?certificateRevocationList"}
	}
	done := l.blocked(false)
	l.look()
	if list := l.list(); list.Problem != enroll.UpstreamListUnfollowed || !list.Failing.IsZero() || list.Needed {
		t.Errorf("recorded: %+v", list)
	}
	if c := l.of(done); !c.Absent.IsZero() || !c.Named.IsZero() {
		t.Errorf("certificate: %+v", c)
	}
}
