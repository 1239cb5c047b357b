package enroll_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// people make a certificate each, and one more of Anna.
func (l *listed) people(n int) []enroll.Enrolment {
	l.T.Helper()
	var all []enroll.Enrolment
	for i := range n {
		person := l.Add("person"+strconv.Itoa(i), fixture.SIDPrefix+strconv.Itoa(2000+i))
		all = append(all, l.MustEnroll(person, "Phone", "form"+strconv.Itoa(i)))
	}
	return all
}

// valid counts the certificates that are in force.
func (l *listed) valid() int {
	l.T.Helper()
	w := testkit.Must(l.DB.UpstreamWatched(l.T.Context(), "upstream-company", l.Clock.Now()))(l.T)
	return len(w.InForce)
}

// A few certificates on hold are ended. Of many at once none is, since the CA may take a
// mistake back: the list is reported.
func TestF14_ManyHoldsAtOnce(t *testing.T) {
	for _, tt := range []struct{ holds, valid int }{{20, 0}, {21, 21}} {
		t.Run(strconv.Itoa(tt.holds), func(t *testing.T) {
			t.Parallel()
			l := newListed(t, fixture.SQLite(t))
			all, revoked := l.people(tt.holds), l.enroll("Phone", "form")
			holds := func(r *x509.RevocationList) {
				for _, done := range all {
					fixture.Names(done.Serial.Big(), 6)(r)
				}
			}
			l.lists.Publish(listPath, 7, holds, fixture.Names(revoked.Serial.Big(), 1))
			l.look()
			l.follow()
			if n := l.valid(); n != tt.valid || l.of(revoked).Status != portal.Revoked {
				t.Errorf("%d are valid, want %d", n, tt.valid)
			}
			if n := len(l.company.Revoked()); n != tt.holds-tt.valid {
				t.Errorf("the CA was asked to revoke %d", n)
			}
			list := l.list()
			if tt.valid == 0 {
				if list.Problem != "" {
					t.Errorf("recorded: %+v", list)
				}
				return
			}
			since := l.Clock.Now()
			if list.Problem != enroll.UpstreamListHolds || !list.Failing.Equal(since) || !strings.Contains(list.Detail, "21 certificates on hold") || list.Number != "7" {
				t.Errorf("recorded: %+v", list)
			}
			l.look()
			if list := l.list(); !list.Failing.Equal(since) {
				t.Errorf("recorded again: %+v", list)
			}
			l.lists.Publish(listPath, 8, fixture.Names(revoked.Serial.Big(), 1))
			l.look()
			if list := l.list(); list.Problem != "" || !list.Failing.IsZero() || l.valid() != tt.valid {
				t.Errorf("after the release: %+v", list)
			}
		})
	}
}

// A hold counts only with the delta list that may end it: who blocks that on the way makes
// no revocation of a hold that is over.
func TestF14_HoldWithoutItsDeltaList(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	blocked, held := l.blocked(true), l.enroll("Tablet", "other")
	l.follow()
	l.Clock.Advance(time.Hour)
	l.lists.Publish(listPath, 7, l.freshest, fixture.Names(held.Serial.Big(), 6), fixture.Names(blocked.Serial.Big(), 6))
	for _, delta := range []http.HandlerFunc{
		http.NotFound,
		content([]byte("no list")),
		content(l.company.List(9, deltaTo(8), fixture.Names(held.Serial.Big(), 8))),
		content(l.company.List(9, deltaTo(7), fixture.Names(held.Serial.Big(), 8), fixture.Names(blocked.Serial.Big(), 6))),
	} {
		l.lists.Handle("/delta.crl", delta)
		l.look()
		if s := l.of(held).Status; s != portal.Issued {
			t.Fatalf("it is %s", s)
		}
		if c := l.of(blocked); !c.Absent.IsZero() {
			t.Errorf("the one on hold counts as absent: %+v", c)
		}
	}
	l.lists.Publish("/delta.crl", 10, deltaTo(7))
	l.look()
	if s := l.of(held).Status; s != portal.Revoked {
		t.Errorf("with a delta list that does not end the hold it is %s", s)
	}
}

// A device whose renewal the CA revoked by itself is shown as blocked, so it does not go on
// with the certificate before.
func TestF14_CARevokesARenewal(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	former := l.installed("Phone")
	l.Clock.Advance(340 * day)
	renewed := l.renew(former, "renewal")
	l.wantStatus("former", former, portal.Superseded)
	l.lists.Publish(listPath, 7, fixture.Names(renewed.Serial.Big(), 1))
	l.look()
	l.wantStatus("renewed", renewed, portal.Revoked)
	l.wantStatus("former", former, portal.Revoked)
}

// A store that notes what a look writes.
type orderStore struct {
	enroll.Store
	calls *[]string
}

func (s orderStore) NoteUpstreamListings(ctx context.Context, listings []enroll.UpstreamListing) error {
	*s.calls = append(*s.calls, "note")
	return s.Store.NoteUpstreamListings(ctx, listings)
}

func (s orderStore) Revoke(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	*s.calls = append(*s.calls, "revoke")
	return s.Store.Revoke(ctx, r)
}

func (s orderStore) RecordUpstreamLists(ctx context.Context, authority string, now time.Time, lists []enroll.UpstreamList) error {
	*s.calls = append(*s.calls, "free")
	return s.Store.RecordUpstreamLists(ctx, authority, now, lists)
}

// A look is free for other replicas once all that it found is written.
func TestUpstreamLookIsFreedLast(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	var calls []string
	l.Registrar = l.NewRegistrar(func(c *enroll.Config) { c.Store = orderStore{c.Store, &calls} })
	blocked, valid := l.blocked(false), l.enroll("Tablet", "other")
	l.lists.Publish(listPath, 7, fixture.Names(blocked.Serial.Big(), 1), fixture.Names(valid.Serial.Big(), 1))
	calls = nil
	l.look()
	if !slices.Equal(calls, []string{"note", "revoke", "note", "free"}) {
		t.Errorf("written: %v", calls)
	}
}

// More certificates than are asked about in one look all have their turn.
func TestUpstreamAsksAboutAllInTurn(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	names := l.company.Alter
	l.company.Alter = func(c *x509.Certificate) { names(c); c.OCSPServer = []string{l.lists.URL + "/ocsp"} }
	l.company.OnRevoke = nil
	var mu sync.Mutex
	asked := make(map[string]bool)
	l.lists.Handle("/ocsp", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(body)
		if err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		asked[q.SerialNumber.String()] = true
		now := l.Clock.Now()
		_, _ = w.Write(l.company.Answer(ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}, nil, nil))
	})
	all := l.people(21)
	for i, done := range all {
		person := portal.PersonID("id-of-person" + strconv.Itoa(i))
		testkit.NoError(t, l.Block(t.Context(), l.actor(), enroll.Block{Person: person, Device: done.Device, Cause: portal.Lost}))
	}
	for range 60 {
		before := l.lists.Asked("/ocsp")
		l.look()
		if n := l.lists.Asked("/ocsp") - before; n > 20 {
			t.Fatalf("%d were asked about in one look", n)
		}
		if len(asked) == len(all) {
			return
		}
	}
	t.Errorf("%d of %d were asked about", len(asked), len(all))
}

// Certificates with more sets of lists than are looked at are one line of the log in a look.
func TestA17_TooManyListsAreOneLine(t *testing.T) {
	l := newListed(t, fixture.SQLite(t))
	log := testkit.NewLog(t)
	n := 0
	l.company.Alter = func(c *x509.Certificate) {
		n++
		c.CRLDistributionPoints = []string{fmt.Sprintf("%s/%d.crl", l.lists.URL, n)}
	}
	l.people(67)
	l.Registrar = l.NewRegistrar(func(c *enroll.Config) { c.Log = log.Logger() })
	l.look()
	if log.Count("too many lists") != 1 || log.Count("bound=64 more=3") != 1 {
		t.Errorf("log: %s", log)
	}
}
